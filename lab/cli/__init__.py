"""The command line: the same things as in the browser, without one.

    python -m lab train --preset quick
    python -m lab --json runs        --json and --workspace may stand before or after the command

Exit codes: 0 done; 1 failed or bad input; 2 wrong arguments; 75 stopped and resumable.
"""
