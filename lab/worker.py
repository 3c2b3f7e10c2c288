"""The worker process: one run or one task, then it ends.

    python -m lab.worker --workspace DIR run RUN_ID --attempt 0 [--device cuda:0,cuda:1]
    python -m lab.worker --workspace DIR task TASK_ID [--device cpu]
    python -m lab.worker --spare     imports torch, then takes one of the above from its input

Exit codes: 0 done, 1 failed with words in state.json, 75 stopped and resumable.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lab.runs.folder import RunFolder
from lab.workers.allocator import keep_large_blocks
from lab.workspace import Workspace


def train_in_process(
    workspace: Workspace,
    run: RunFolder,
    attempt: int,
    device: str,
    on_event: Callable[[dict[str, Any]], None],
) -> int:
    """What `lab train` does in the foreground. Returns the exit code."""
    from lab.workers.together import killed, train

    code = train(workspace, run, attempt, device, on_event)
    return code if code >= 0 else killed(run, attempt, code)


def main(arguments: Sequence[str]) -> int:
    """Parse and do; see the head of this file."""
    keep_large_blocks()
    wanted = _parser().parse_args(arguments)
    if wanted.spare:
        return _spare()
    workspace = Workspace(Path(wanted.workspace))
    if wanted.what == "run":
        from lab.workers import together

        run = RunFolder(workspace.run(wanted.id))
        work = together.part if together.inside() else together.train
        code = work(workspace, run, wanted.attempt, wanted.device)
        if code < 0:  # of several processes one was killed: the supervisor sees us die of it
            os.kill(os.getpid(), -code)
        return code
    from lab.workers.tasks import perform

    return perform(workspace, wanted.id, wanted.device)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab.worker")
    parser.add_argument("--workspace", default="workspace")
    parser.add_argument("--spare", action="store_true")
    parser.add_argument("what", nargs="?", choices=("run", "task"))
    parser.add_argument("id", nargs="?", default="")
    parser.add_argument("--attempt", type=int, default=0)
    parser.add_argument("--device", default="auto")
    return parser


def _spare() -> int:
    """Import what is slow to import, wait for orders, become that worker."""
    import timm  # noqa: F401
    import torch  # noqa: F401

    import lab.workers.tasks
    import lab.workers.together  # noqa: F401

    line = sys.stdin.readline()
    if not line.strip():
        return 0
    order = json.loads(line)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    return main(order["argv"])


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all is on disk; tearing torch down would hold the device for seconds more
