"""The queue: a table of jobs in lab.db; in each job's folder a supervisor.json says the same.

    submit(workspace, Job(run.id, "run", owner="ana"))      # idempotent on (run, attempt)
    for job in waiting(workspace): claim(workspace, job, slot="cpu")

supervisor.json is the truth and is written within the database's write lock, so the two cannot
part; a lost database is filled again from the folders by whoever opens it next.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

from lab.errors import LabError
from lab.jobs.order import LIVE, WAITING, Job, fair_order
from lab.runs import database
from lab.runs.folder import RunFolder
from lab.runs.status import standing, supervision
from lab.workspace import Workspace, write_json

T = TypeVar("T")
RECOVERED = "queue"  # the mark that says that the folders have been read
_COLUMNS = [field.name for field in fields(Job)]


def folder_of(workspace: Workspace, kind: str, job_id: str) -> RunFolder:
    """The folder of a run or of a task: their state, control and log lie alike."""
    return RunFolder(workspace.run(job_id) if kind == "run" else workspace.task(job_id))


def submit(workspace: Workspace, job: Job, now: float | None = None) -> Job:
    """Put a job into the queue. The same attempt again, or an earlier one, changes nothing."""

    def work(db: sqlite3.Connection) -> Job:
        known = _find(db, job.id)
        if known and known.attempt >= job.attempt:
            return known
        _check_dependency(workspace, db, job)
        return _put(workspace, db, replace(job, submitted=now or time.time()), worker=None)

    return _write(workspace, work)


def get(workspace: Workspace, job_id: str) -> Job | None:
    """A job by its id."""
    return _read(workspace, lambda db: _find(db, job_id))


def waiting(workspace: Workspace) -> list[Job]:
    """Jobs that wait for a start, in the order in which they get it."""
    return _read(workspace, _waiting)


def live(workspace: Workspace) -> list[Job]:
    """Jobs that are starting or running, as far as the queue knows."""
    return _read(workspace, lambda db: _with_status(db, LIVE))


def outcome(workspace: Workspace, job_id: str) -> str:
    """How a job that another one waits for stands; a run that no queue knows is asked itself."""
    return _read(workspace, lambda db: _outcome(workspace, db, job_id))


def claim(workspace: Workspace, job: Job, slot: str, now: float | None = None) -> Job | None:
    """Take a waiting job for a start; None where it was cancelled or changed meanwhile."""

    def work(db: sqlite3.Connection) -> Job | None:
        known = _find(db, job.id)
        if not known or known.status not in WAITING or known.attempt != job.attempt:
            return None
        started = now or time.time()
        changes = {"status": "starting", "slot": slot, "started": started, "message": "", "fix": ""}
        return _put(workspace, db, replace(known, **changes), worker=None)

    return _write(workspace, work)


def change(
    workspace: Workspace, job: Job, status: str, message: str = "", fix: str = "", **notes: Any
) -> Job | None:
    """Record what became of an attempt; `notes` go to supervisor.json. None: it is outdated."""

    def work(db: sqlite3.Connection) -> Job | None:
        known = _find(db, job.id)
        if not known or known.attempt != job.attempt:
            return None
        new = replace(known, status=status, message=message, fix=fix)
        return known if new == known and not notes else _put(workspace, db, new, **notes)

    return _write(workspace, work)


def requeue(workspace: Workspace, job: Job, reason: str, now: float | None = None) -> Job | None:
    """Queue the next attempt of a job whose worker died; it keeps its place in the line."""

    def work(db: sqlite3.Connection) -> Job | None:
        known = _find(db, job.id)
        if not known or known.attempt != job.attempt or known.status not in LIVE:
            return None
        message = f"The worker was lost ({reason}); it goes on from the last checkpoint."
        again = {"attempt": known.attempt + 1, "restarts": known.restarts + 1}
        new = replace(known, **again, status="queued", slot="", message=message)
        deaths = supervision(folder_of(workspace, job.kind, job.id)).get("deaths", [])
        death = {"attempt": job.attempt, "t": now or time.time(), "reason": reason}
        return _put(workspace, db, new, worker=None, deaths=[*deaths, death])

    return _write(workspace, work)


def withdraw(workspace: Workspace, job_id: str, status: str, message: str) -> bool:
    """Take a job that still waits out of the queue. False where it does not wait (any more)."""

    def work(db: sqlite3.Connection) -> bool:
        known = _find(db, job_id)
        if not known or known.status not in WAITING:
            return False
        _put(workspace, db, replace(known, status=status, message=message, fix=""))
        return True

    return _write(workspace, work)


def _write(workspace: Workspace, work: Callable[[sqlite3.Connection], T]) -> T:
    def ready(db: sqlite3.Connection) -> T:
        if not _recovered(db):
            _recover(workspace, db)
        return work(db)

    return database.write(workspace, ready)


def _read(workspace: Workspace, work: Callable[[sqlite3.Connection], T]) -> T:
    found = database.read(workspace, lambda db: (work(db),) if _recovered(db) else None)
    return found[0] if found else _write(workspace, work)


def _recovered(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM marks WHERE name = ?", (RECOVERED,)).fetchone() is not None


def _recover(workspace: Workspace, db: sqlite3.Connection) -> None:
    """Fill a new database from the folders. A run without supervisor.json was never submitted."""
    for kind, place in (("run", workspace.runs), ("task", workspace.tasks)):
        for child in sorted(place.iterdir()) if place.is_dir() else ():
            orders = supervision(RunFolder(child))
            if orders.get("kind") == kind:
                known = {name: orders[name] for name in _COLUMNS if name in orders}
                _insert(db, Job(**{**known, "id": child.name, "kind": kind}))
    db.execute("REPLACE INTO marks (name) VALUES (?)", (RECOVERED,))


def _put(workspace: Workspace, db: sqlite3.Connection, job: Job, **notes: Any) -> Job:
    """Store a job in both places. The folder first: if that fails, the database rolls back."""
    folder = folder_of(workspace, job.kind, job.id)
    if folder.path.is_dir():
        write_json(folder.supervisor_file, {**supervision(folder), **asdict(job), **notes})
    _insert(db, job)
    return job


def _insert(db: sqlite3.Connection, job: Job) -> None:
    places = ", ".join(f":{name}" for name in _COLUMNS)
    db.execute(f"REPLACE INTO jobs ({', '.join(_COLUMNS)}) VALUES ({places})", asdict(job))


def _find(db: sqlite3.Connection, job_id: str) -> Job | None:
    row = db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return Job(**dict(row)) if row else None


def _with_status(db: sqlite3.Connection, statuses: tuple[str, ...]) -> list[Job]:
    marks = ", ".join("?" for _ in statuses)
    query = f"SELECT * FROM jobs WHERE status IN ({marks}) ORDER BY submitted"
    return [Job(**dict(row)) for row in db.execute(query, statuses)]


def _waiting(db: sqlite3.Connection) -> list[Job]:
    queued = _with_status(db, WAITING)
    if not queued:
        return []
    running: dict[str, int] = {}
    for job in _with_status(db, LIVE):
        running[job.owner] = running.get(job.owner, 0) + 1
    last = db.execute("SELECT owner, MAX(started) FROM jobs WHERE started > 0 GROUP BY owner")
    return fair_order(queued, running, dict(last.fetchall()))


def _outcome(workspace: Workspace, db: sqlite3.Connection, job_id: str) -> str:
    known = _find(db, job_id)
    if known:
        return known.status
    run = RunFolder(workspace.run(job_id))
    if not run.exists():
        return "cancelled"
    status = standing(run).status
    return "done" if status == "finished" else status


def _check_dependency(workspace: Workspace, db: sqlite3.Connection, job: Job) -> None:
    if job.after and (status := _outcome(workspace, db, job.after)) in ("failed", "cancelled"):
        raise LabError(
            f"This is to follow {job.after}, which is {status}.", "Start that one again first."
        )
