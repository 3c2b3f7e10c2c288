"""The database of a workspace, `lab.db`: index of runs and queue of jobs, made from the folders.

    rows = read(workspace, lambda db: db.execute("SELECT ...").fetchall())
    write(workspace, lambda db: db.execute("UPDATE ..."))

The work is a function because it may run twice: a busy database is tried again, a broken one is
put aside, made anew, and tried again. Workers never open it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from lab.errors import LabError
from lab.workspace import Workspace

T = TypeVar("T")
BUSY_S = 1.0  # one wait for the lock
PATIENCE_S = 15.0  # all waits together


def read(workspace: Workspace, work: Callable[[sqlite3.Connection], T]) -> T:
    """What `work` finds, in one consistent view."""
    return _insist(workspace, work, "BEGIN")


def write(workspace: Workspace, work: Callable[[sqlite3.Connection], T]) -> T:
    """What `work` returns; its changes are made as a whole or not at all.

    BEGIN IMMEDIATE takes the write lock before anything is read: a transaction that reads first
    and then wants to write failed 677 of 800 times among 8 writers, whatever the time-out.
    """
    return _insist(workspace, work, "BEGIN IMMEDIATE")


def connect(workspace: Workspace) -> sqlite3.Connection:
    """An open connection to an up-to-date schema. Raises sqlite3 errors as they are."""
    db = sqlite3.connect(workspace.database, timeout=BUSY_S, isolation_level=None)
    try:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        if _version(db) != len(MIGRATIONS):
            _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _insist(workspace: Workspace, work: Callable[[sqlite3.Connection], T], begin: str) -> T:
    deadline, mended = time.monotonic() + PATIENCE_S, False
    while True:
        try:
            with contextlib.closing(connect(workspace)) as db:
                return _transaction(db, work, begin)
        except sqlite3.DatabaseError as error:
            if is_broken(error) and not mended:
                put_aside(workspace)
                mended = True
            elif not _is_busy(error) or time.monotonic() > deadline:
                raise _in_words(workspace, error) from error


def _transaction(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], begin: str) -> T:
    db.execute(begin)
    try:
        result = work(db)
        db.execute("COMMIT")
        return result
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _is_busy(error: sqlite3.Error) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def is_broken(error: sqlite3.Error) -> bool:
    """Whether the file is no (longer a) database of ours, rather than busy or out of reach."""
    words = ("malformed", "not a database", "newer", "no such table", "no such column")
    return any(word in str(error) for word in words)


def _in_words(workspace: Workspace, error: sqlite3.Error) -> LabError:
    return LabError(
        f"The index {workspace.database.name} cannot be used ({error}).",
        "Check that the disk is not full and that the workspace can be written; "
        "the file may be deleted, it is rebuilt from the runs.",
    )


def put_aside(workspace: Workspace) -> None:
    """Move a broken database out of the way; nothing where another process has done so already."""
    workspace.locks.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace.locks / "database.lock", timeout=PATIENCE_S):
        if _is_sound(workspace):
            return
        file = workspace.database
        with contextlib.suppress(FileNotFoundError):
            file.replace(file.with_name("lab.db.broken"))
        for suffix in ("-wal", "-shm"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)


def _is_sound(workspace: Workspace) -> bool:
    try:
        with contextlib.closing(connect(workspace)) as db:
            tables = [db.execute(f"SELECT * FROM {name} LIMIT 1") for name in ("runs", "jobs")]
            return bool(tables) and db.execute("PRAGMA quick_check").fetchone()[0] == "ok"
    except sqlite3.DatabaseError:
        return False


def _version(db: sqlite3.Connection) -> int:
    return db.execute("PRAGMA user_version").fetchone()[0]


def _migrate(db: sqlite3.Connection) -> None:
    """Bring an older schema up to date; another process may be doing the same just now."""
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _version(db)
        if version > len(MIGRATIONS):
            raise sqlite3.DatabaseError("the database was made by a newer lab")
        for step in MIGRATIONS[version:]:
            step(db)
        db.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _create_runs(db: sqlite3.Connection) -> None:
    """`stamp` tells whether the folder has changed since the row was made."""
    db.execute(
        "CREATE TABLE runs (id TEXT PRIMARY KEY, stamp TEXT, name TEXT, preset TEXT, model TEXT,"
        " dataset TEXT, sizes TEXT, owner TEXT, experiment TEXT, tags TEXT, status TEXT,"
        " message TEXT, attempt INTEGER, created REAL, finished REAL, accuracy REAL,"
        " error_rate REAL, seconds REAL, epochs INTEGER, total_epochs INTEGER)"
    )


def _create_jobs(db: sqlite3.Connection) -> None:
    """`marks` says what has been recovered from the folders since the database was made."""
    db.execute(
        "CREATE TABLE jobs (id TEXT PRIMARY KEY, kind TEXT, device TEXT, owner TEXT,"
        " priority INTEGER, submitted REAL, after TEXT, forecast_s REAL, status TEXT,"
        " attempt INTEGER, restarts INTEGER, slot TEXT, started REAL, message TEXT, fix TEXT)"
    )
    db.execute("CREATE INDEX jobs_by_status ON jobs (status, submitted)")
    db.execute("CREATE TABLE marks (name TEXT PRIMARY KEY)")


def _add_library(db: sqlite3.Connection) -> None:
    """What a library searches and asks. Without a stamp every folder is read again, once."""
    for column in (
        "notes TEXT DEFAULT ''",
        "archived INTEGER DEFAULT 0",
        "refers TEXT DEFAULT '[]'",
    ):
        db.execute(f"ALTER TABLE runs ADD COLUMN {column}")
    db.execute("UPDATE runs SET stamp = ''")


# The schema's version is the number of steps taken: append, never edit.
MIGRATIONS = [_create_runs, _create_jobs, _add_library]
