"""How a run or task stands: the worker's and the supervisor's word and a look at the process.

standing(run)    # Standing(status="running", attempt=0, message="", ...)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lab.runs.folder import ALIVE, RunFolder, is_alive
from lab.workspace import read_json

STALE_S = 30.0  # a heartbeat comes every 5 s


@dataclass(frozen=True)
class Standing:
    """queued | blocked | starting | running | stopped | finished | failed | cancelled | lost."""

    status: str
    attempt: int = 0
    message: str = ""
    fix: str = ""
    device: str = ""
    since: float = 0.0
    heartbeat: float = 0.0

    def warning(self, now: float) -> str:
        """Words where a live worker has not been heard of for long; '' otherwise."""
        silent_s = now - self.heartbeat if self.status == "running" and self.heartbeat else 0.0
        if silent_s < STALE_S:
            return ""
        return f"No sign of life for {silent_s:.0f} s, though its process is there."


def standing(folder: RunFolder) -> Standing:
    """How it stands now. Of two words about it, that on the later attempt counts."""
    state, orders = folder.state(), supervision(folder)
    if not orders:
        return _worker_says(state) if state else Standing("stopped", message="Never started.")
    if state.get("attempt", -1) > orders.get("attempt", 0):
        return _worker_says(state)
    if orders.get("status") in ALIVE:
        return _live(state, orders)
    return _supervisor_says(orders, "finished" if orders["status"] == "done" else orders["status"])


def supervision(folder: RunFolder) -> dict[str, Any]:
    """supervisor.json: how it was submitted and what became of it; empty for `lab train`."""
    return read_json(folder.supervisor_file, {})


def is_word_of(state: dict[str, Any], worker: dict[str, Any], attempt: int) -> bool:
    """Whether state.json was written by this worker, not by one before it."""
    return state.get("pid") == worker.get("pid") and state.get("attempt", attempt) == attempt


def _live(state: dict[str, Any], orders: dict[str, Any]) -> Standing:
    worker = orders.get("worker") or {}
    if is_word_of(state, worker, orders["attempt"]):
        # A spare's process is older than the run: what counts is when the run was given to it.
        return replace(_worker_says(state), since=orders.get("started") or 0.0)
    if worker and not is_alive(worker):
        return _supervisor_says(orders, "lost")
    return _supervisor_says(orders, "starting")


def _worker_says(state: dict[str, Any]) -> Standing:
    status = state.get("status", "starting")
    if status in ALIVE and not is_alive(state):
        status = "lost"
    return Standing(
        status,
        state.get("attempt", 0),
        state.get("message", ""),
        state.get("fix", ""),
        state.get("device", ""),
        state.get("started", 0.0),
        state.get("heartbeat", 0.0),
    )


def _supervisor_says(orders: dict[str, Any], status: str) -> Standing:
    since = orders.get("started") or orders.get("submitted") or 0.0
    words = orders.get("message", ""), orders.get("fix", "")
    device = orders.get("slot") or orders.get("device", "")
    return Standing(status, orders.get("attempt", 0), *words, device, since)
