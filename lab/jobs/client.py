"""What pages and commands call: submit, stop, continue, cancel, and how a run or a task stands.

    run = submit_run(workspace, recipe, owner="ana")
    row = run_status(workspace, run.id)          # StatusRow(status="queued", position=1, ...)

Functions that a person triggers return a sentence for that person. Nothing here waits for a worker.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import Any

from lab.errors import LabError
from lab.jobs import queue as jobs
from lab.jobs.launch import ensure_supervisor
from lab.jobs.order import LIVE, WAITING, Job, expected_starts
from lab.jobs.status import StatusRow, cancel, status_row, stop_job
from lab.jobs.tasks import TaskStatus, stop_task, submit_task, task_status, wait_task
from lab.recipe import Recipe
from lab.runs.folder import STOP_AFTER_STAGE, RunFolder, create_run
from lab.runs.status import standing, supervision
from lab.workspace import Workspace

__all__ = [
    "QueueRow",
    "StatusRow",
    "TaskStatus",
    "cancel",
    "queue",
    "resume_run",
    "run_status",
    "stop_after_stage",
    "stop_run",
    "stop_task",
    "submit_run",
    "submit_task",
    "task_status",
    "wait_task",
]


@dataclass(frozen=True)
class QueueRow:
    """A job that runs (position 0) or waits."""

    id: str
    kind: str
    status: str
    position: int
    owner: str
    device: str
    submitted: float
    after: str
    message: str
    expected_s: float | None  # until it starts, where the durations before it are known


def submit_run(
    workspace: Workspace,
    recipe: Recipe,
    *,
    meta: dict[str, Any] | None = None,
    device: str = "auto",
    after: str | None = None,
    owner: str = "",
    priority: int = 0,
    forecast_s: float | None = None,
) -> RunFolder:
    """Create a run and queue it. It is safe on disk when this returns."""
    workspace.create()
    run = create_run(workspace, recipe, {**(meta or {}), "owner": owner})
    wanted = {"device": device, "owner": owner, "priority": priority, "after": after or ""}
    try:
        jobs.submit(workspace, Job(run.id, "run", forecast_s=forecast_s, **wanted))
    except LabError:
        shutil.rmtree(run.path, ignore_errors=True)  # refused: leave nothing half-made
        raise
    ensure_supervisor(workspace)
    return run


def stop_run(workspace: Workspace, run_id: str) -> str:
    """Stop a run: it saves and leaves, and can be continued. One that waits leaves the queue."""
    return stop_job(workspace, _run(workspace, run_id), "run")


def stop_after_stage(workspace: Workspace, run_id: str) -> str:
    """Let a run end its stage and stop then."""
    run = _run(workspace, run_id)
    status = standing(run).status
    if status not in LIVE:
        return f"{run.id} is not running ({status})."
    run.ask(STOP_AFTER_STAGE)
    ensure_supervisor(workspace)
    return f"{run.id} stops after this stage."


def resume_run(workspace: Workspace, run_id: str, *, device: str | None = None) -> str:
    """Queue the next attempt of a run that stopped, failed or was lost. Finished: only words."""
    run = _run(workspace, run_id)
    status = standing(run).status
    if status == "finished":
        return f"{run.id} is finished; there is nothing to continue."
    if status in (*WAITING, *LIVE):
        return f"{run.id} is {status} already."
    run.clear_wish()
    orders = supervision(run)
    kept = {name: orders[name] for name in ("owner", "priority", "forecast_s") if name in orders}
    wanted = device or orders.get("device", "auto")
    attempt = 1 + max(run.state().get("attempt", -1), orders.get("attempt", -1))
    jobs.submit(workspace, Job(run.id, "run", device=wanted, attempt=attempt, **kept))
    ensure_supervisor(workspace)
    return f"{run.id} is queued to go on."


def queue(workspace: Workspace, now: float | None = None) -> list[QueueRow]:
    """What runs, then what waits, in the order of its turn."""
    running, waiting = jobs.live(workspace), jobs.waiting(workspace)
    starts = expected_starts(waiting, _busy_s(running, now or time.time()))
    rows = [_queue_row(job, 0, None) for job in running]
    turns = enumerate(zip(waiting, starts, strict=True), 1)
    return rows + [_queue_row(job, position, start) for position, (job, start) in turns]


def run_status(workspace: Workspace, run_id: str, now: float | None = None) -> StatusRow:
    """How a run stands. Raises LabError where there is none."""
    return status_row(workspace, _run(workspace, run_id), now)


def _run(workspace: Workspace, run_id: str) -> RunFolder:
    run = RunFolder(workspace.run(run_id))
    if not run.exists():
        raise LabError(f"There is no run {run_id} here.", "List them: python -m lab runs")
    return run


def _busy_s(running: list[Job], now: float) -> float | None:
    """Seconds until the first device is free; None where a running job's duration is unknown."""
    heavy = [job for job in running if job.device != "light"]
    if any(job.forecast_s is None for job in heavy):
        return None
    return min((max(0.0, job.started + job.forecast_s - now) for job in heavy), default=0.0)


def _queue_row(job: Job, position: int, expected_s: float | None) -> QueueRow:
    device = job.slot or job.device
    where = job.submitted, job.after, job.message, expected_s
    return QueueRow(job.id, job.kind, job.status, position, job.owner, device, *where)
