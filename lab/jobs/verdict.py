"""What the end of a worker means: `verdict(worker, state, attempt, wish, log)`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from lab.jobs.processes import rebooted_since
from lab.jobs.workers import Worker
from lab.runs.folder import STOP
from lab.runs.status import is_word_of

STOPPED_CODE = 75


def verdict(
    worker: Worker, state: dict[str, Any], attempt: int, wish: str, log: Path
) -> tuple[str, str, str]:
    """(status, message, fix) of a worker that is gone: done | failed | stopped | lost.

    Its own last word counts before its exit code: it may be killed after the last line was written.
    """
    word = state if is_word_of(state, worker.identity, attempt) else {}
    status = word.get("status")
    if status in ("finished", "failed", "stopped"):
        name = "done" if status == "finished" else status
        return name, word.get("message") or "", word.get("fix") or ""
    if worker.code == 0:
        return "done", "", ""
    if worker.code == STOPPED_CODE:
        return "stopped", "", ""
    if wish == STOP:
        return "stopped", "It was ended before it could save; it goes on from its last save.", ""
    if worker.code is not None and worker.code > 0:
        words = f"The worker ended with code {worker.code}: {_last_line(log)}"
        return "failed", words, "Its log has more."
    return "lost", _how_it_died(worker), ""


def _how_it_died(worker: Worker) -> str:
    if rebooted_since(worker.identity):
        return "the machine was restarted"
    if worker.code is None:
        return "its process is gone"
    hint = ", by hand or because memory ran out" if worker.code == -signal.SIGKILL else ""
    return f"killed by signal {-worker.code}{hint}"


def _last_line(log: Path) -> str:
    """The last line of a log: usually the exception."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1][:300] if lines else "it left no words"
