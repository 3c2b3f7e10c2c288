"""Worker processes as the supervisor sees them: started, found again, kept in reserve, stopped.

worker = start(argv, log, polite=True); worker.gone(); worker.stop(); worker.kill()
"""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from lab.jobs import processes
from lab.runs.folder import is_alive, process_identity

SPARE_MEMORY_MB = 2048  # free memory below which no spare is kept: it must not make a run fail
SPARE_FAILURES = 3  # in a row; then something is wrong that starting more would not mend


@dataclass
class Worker:
    """A worker process: our child, or one that an earlier supervisor started (process is None)."""

    identity: dict[str, Any]
    process: subprocess.Popen | None = None

    def gone(self) -> bool:
        """Whether it has ended, for whatever reason."""
        if self.process:
            return self.process.poll() is not None
        return not is_alive(self.identity)

    @property
    def code(self) -> int | None:
        """Its exit code once it is gone; None where only its dead parent was told."""
        return self.process.returncode if self.process else None

    def stop(self) -> None:
        """Ask it to save and leave."""
        if not self.gone():
            processes.tell(self.identity["pid"], signal.SIGTERM)

    def kill(self) -> None:
        """End it and all that it started."""
        if not self.gone():
            processes.end_group(self.identity["pid"])


def start(argv: list[str], log: Path, polite: bool, stdin: int = subprocess.DEVNULL) -> Worker:
    """A new worker. Raises OSError where it cannot be started."""
    process = processes.start_detached(argv, log, stdin)
    if polite:
        processes.be_polite(process.pid)
    return Worker(process_identity(process.pid), process)


def hand_over(worker: Worker, arguments: list[str], log: Path) -> None:
    """Turn a spare into a worker with these arguments. Raises OSError where it has just died."""
    line = json.dumps({"argv": arguments, "log": str(log)})
    with worker.process.stdin as pipe:
        pipe.write(line.encode() + b"\n")


class Spare:
    """At most one worker that has imported its libraries and waits on its standard input.

    It leaves by itself when its input closes, so it never outlives the supervisor.
    """

    def __init__(self, argv: list[str], log: Path, polite: bool) -> None:
        self._argv, self._log, self._polite = argv, log, polite
        self._worker: Worker | None = None
        self._failures = 0

    def keep(self) -> None:
        """Have one, unless memory is short or it fails to start time after time."""
        if self._worker and self._worker.gone():
            self._worker, self._failures = None, self._failures + 1
        if not self._worker and self._failures < SPARE_FAILURES and _memory_to_spare():
            self._worker = start(self._argv, self._log, self._polite, subprocess.PIPE)

    def take(self) -> Worker | None:
        """The spare, if there is a live one; it is the caller's from now on."""
        worker, self._worker = self._worker, None
        if not worker or worker.gone():
            return None
        self._failures = 0
        return worker

    def close(self) -> None:
        """Let the spare go: it leaves when its input closes."""
        if worker := self.take():
            worker.process.stdin.close()


def _memory_to_spare() -> bool:
    return psutil.virtual_memory().available > SPARE_MEMORY_MB * 2**20
