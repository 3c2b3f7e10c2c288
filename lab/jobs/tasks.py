"""Longer work besides training, as tasks on the same queue: import, download, evaluate, export ...

    task_id = submit_task(workspace, "import", {"path": "/data/pets"})
    value = wait_task(workspace, task_id)

`tasks/<id>/`: request.json, events/0.jsonl (progress), result.json, and a run's state and control.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from lab.errors import LabError, Problem
from lab.jobs import queue as jobs
from lab.jobs.devices import LIGHT, LIGHT_TASKS
from lab.jobs.launch import ensure_supervisor
from lab.jobs.order import LIVE, WAITING, Job
from lab.jobs.status import status_row, stop_job
from lab.runs.folder import RunFolder
from lab.workspace import Workspace, new_folder, read_json, write_json

LAST_BYTES = 4096  # enough for the last progress line


class TaskStatus(NamedTuple):
    """`progress`: {done, total, what} or {}; `result`: {status, value | problems} or None."""

    status: str
    progress: dict[str, Any]
    result: dict[str, Any] | None


def submit_task(
    workspace: Workspace,
    kind: str,
    arguments: dict[str, Any],
    *,
    device: str | None = None,
    after: str | None = None,
    owner: str = "",
    forecast_s: float | None = None,
) -> str:
    """Write a request and queue it; returns the task's id. Light kinds run beside a training."""
    folder = RunFolder(new_folder(workspace.create().task, kind))
    folder.events.mkdir()
    write_json(folder.path / "request.json", {**arguments, "kind": kind, "created": time.time()})
    wanted = device or (LIGHT if kind in LIGHT_TASKS else "auto")
    job = Job(folder.id, "task", wanted, owner, after=after or "", forecast_s=forecast_s)
    jobs.submit(workspace, job)
    ensure_supervisor(workspace)
    return folder.id


def stop_task(workspace: Workspace, task_id: str) -> str:
    """Stop a task, or take it out of the queue."""
    return stop_job(workspace, _task(workspace, task_id), "task")


def task_status(workspace: Workspace, task_id: str) -> TaskStatus:
    """How a task stands. One that failed without a result gets one from what is known."""
    folder = _task(workspace, task_id)
    row = status_row(workspace, folder)
    result = read_json(folder.path / "result.json")
    if result is None and row.status in ("failed", "lost"):
        result = {"status": "failed", "problems": [Problem("", row.message, row.fix).as_dict()]}
    return TaskStatus(row.status, _progress(folder), result)


def wait_task(
    workspace: Workspace,
    task_id: str,
    *,
    timeout_s: float = float("inf"),
    poll_s: float = 0.1,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Any:
    """What a task ends with. Raises LabError where it fails, is stopped or takes too long."""
    deadline, seen = time.monotonic() + timeout_s, {}
    while True:
        now = task_status(workspace, task_id)
        if progress and now.progress and now.progress != seen:
            seen = now.progress
            progress(seen)
        if now.status not in (*WAITING, *LIVE, "lost"):  # a lost one is started again
            return _value(task_id, now)
        if time.monotonic() > deadline:
            raise LabError(f"{task_id} is not done after {timeout_s:.0f} s.", "It goes on.")
        ensure_supervisor(workspace)
        time.sleep(poll_s)


def _value(task_id: str, now: TaskStatus) -> Any:
    if now.result and now.result.get("status") == "finished":
        return now.result.get("value")
    problems = [Problem(**problem) for problem in (now.result or {}).get("problems", [])]
    if problems:
        raise LabError.of(problems)
    raise LabError(f"{task_id} is {now.status}; it left no result.", "Start it again.")


def _progress(folder: RunFolder) -> dict[str, Any]:
    """The last whole progress line; reads the end of the file only."""
    try:
        with open(folder.events / "0.jsonl", "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LAST_BYTES))
            lines = file.read().rpartition(b"\n")[0].split(b"\n")
    except OSError:
        return {}
    for line in reversed(lines):
        try:
            event = json.loads(line)
            if event["kind"] == "progress":
                return {name: event.get(name) for name in ("done", "total", "what")}
        except (ValueError, KeyError, TypeError):
            continue
    return {}


def _task(workspace: Workspace, task_id: str) -> RunFolder:
    folder = RunFolder(workspace.task(task_id))
    if not (folder.path / "request.json").is_file():
        raise LabError(f"There is no task {task_id} here.", "Start it again.")
    return folder
