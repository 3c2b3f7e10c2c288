"""How a run or task stands, queue included, and what a person can do about it: stop, cancel."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lab.errors import LabError
from lab.jobs import queue as jobs
from lab.jobs.launch import ensure_supervisor
from lab.jobs.order import LIVE, WAITING
from lab.runs.folder import STOP, RunFolder
from lab.runs.status import standing, supervision
from lab.workspace import Workspace


@dataclass(frozen=True)
class StatusRow:
    """How a run or task stands: see lab/runs/status.py for the words of `status`."""

    status: str
    message: str = ""
    fix: str = ""
    attempt: int = 0
    position: int = 0  # in the queue, from 1; 0: it does not wait
    device: str = ""
    since: float = 0.0
    warning: str = ""  # it is alive and silent
    restarts: int = 0  # its worker died this often and was replaced


def status_row(workspace: Workspace, folder: RunFolder, now: float | None = None) -> StatusRow:
    """How the run or task of a folder stands: two small files, and the queue if it waits."""
    is_so, orders = standing(folder), supervision(folder)
    position = _position(workspace, folder.id) if is_so.status in WAITING else 0
    deaths = orders.get("deaths") or [{}]
    restarts = orders.get("restarts", 0) if is_so.attempt == orders.get("attempt") else 0
    message = is_so.message
    if restarts and not message:
        message = f"Started again after its worker was lost ({deaths[-1].get('reason', '')})."
    warning = is_so.warning(now or time.time())
    words = message, is_so.fix, is_so.attempt, position, is_so.device, is_so.since, warning
    return StatusRow(is_so.status, *words, restarts)


def stop_job(workspace: Workspace, folder: RunFolder, noun: str) -> str:
    """Ask a live one to save and stop; take a waiting one out of the queue."""
    if standing(folder).status in WAITING and jobs.get(workspace, folder.id):
        cancel(workspace, folder.id)  # it may start in this moment: then the wish does it
    status = standing(folder).status
    if status in LIVE:
        folder.ask(STOP)
        ensure_supervisor(workspace)
        return f"{folder.id} saves and stops."
    if status in ("cancelled", "stopped"):
        return f"{folder.id} is {status}."
    return f"This {noun} is not running ({status})."


def cancel(workspace: Workspace, job_id: str) -> str:
    """Take a waiting run or task out of the queue."""
    job = jobs.get(workspace, job_id)
    if job is None:
        raise LabError(f"{job_id} is not in the queue.", "List the queue to see what is.")
    # What has begun before can be continued; what never began was only an intention.
    status = "stopped" if job.attempt else "cancelled"
    if jobs.withdraw(workspace, job_id, status, "It was taken out of the queue."):
        return f"{job_id} is taken out of the queue."
    return f"{job_id} does not wait in the queue."


def _position(workspace: Workspace, job_id: str) -> int:
    waiting = [job.id for job in jobs.waiting(workspace)]
    return waiting.index(job_id) + 1 if job_id in waiting else 0
