"""`python -m lab`: the command line. See `python -m lab --help`."""

import sys

from lab.cli.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
