"""Keeping runs in order: tags, notes, the archive, and a trash that gives back what was deleted.

    change_tags(workspace, ids, add=["good"], remove=["draft"])
    archive(workspace, ids);  unarchive(workspace, ids)
    delete_run(workspace, run_id);  restore_run(workspace, run_id);  empty_trash(workspace)

Deleting renames `runs/<id>` to `trash/<id>`: at once or not at all, on the same disk. The run stays
there until the trash is emptied, or for 30 days: then the next start of the lab removes it.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.runs.database import write
from lab.runs.folder import ALIVE, RunFolder
from lab.runs.status import standing
from lab.workspace import Workspace, checked_name, read_json, write_json

KEEP_DAYS = 30
MARK = "deleted.json"  # in the folder of a deleted run: when
MOST_TAG, MOST_TAGS, MOST_NOTES = 60, 40, 10_000
WAITING = ("queued", "blocked")
_GONE = ".gone-"  # a folder on its way out: nobody restores half a run


def cleaned_tags(tags: Iterable[str]) -> list[str]:
    """Tags on one line each, without doubles (a tag's case does not tell it from another)."""
    found: dict[str, str] = {}
    for tag in tags:
        printable = "".join(sign if sign.isprintable() else " " for sign in str(tag))
        word = " ".join(printable.split())[:MOST_TAG].strip()
        if word:
            found.setdefault(word.casefold(), word)
    return list(found.values())[:MOST_TAGS]


def set_tags(run: RunFolder, tags: Iterable[str]) -> None:
    """These tags and no others."""
    run.set_meta(tags=cleaned_tags(tags))


def set_notes(run: RunFolder, notes: str) -> None:
    """A person's notes on a run."""
    run.set_meta(notes=notes[:MOST_NOTES])


def change_tags(
    workspace: Workspace, ids: Sequence[str], add: Iterable[str] = (), remove: Iterable[str] = ()
) -> None:
    """Put tags on runs and take others off."""
    off = {tag.casefold() for tag in cleaned_tags(remove)}
    new = cleaned_tags(add)
    for run_id in ids:
        run = _run(workspace, run_id)
        tags = run.meta().get("tags", ())
        kept = [tag for tag in cleaned_tags(tags if isinstance(tags, list) else ())
                if tag.casefold() not in off]  # fmt: skip
        set_tags(run, [*kept, *new])


def archive(workspace: Workspace, ids: Sequence[str], now: float | None = None) -> None:
    """Out of the usual list; nothing else changes. LabError where one has not ended yet."""
    runs = [_run(workspace, run_id) for run_id in ids]
    for run in runs:
        _check_ended(run, "archived")
    for run in runs:
        run.set_meta(archived=now or time.time())


def unarchive(workspace: Workspace, ids: Sequence[str]) -> None:
    """Back into the usual list."""
    for run_id in ids:
        run = _run(workspace, run_id)
        kept = {name: value for name, value in run.meta().items() if name != "archived"}
        write_json(run.meta_file, kept)


@dataclass(frozen=True)
class Deleted:
    """A run in the trash."""

    id: str
    name: str
    deleted: float  # when; 0 where it is not known
    path: Path

    def leaves(self, days: float = KEEP_DAYS) -> float:
        """From when on a start of the lab removes it."""
        return self.deleted + days * 86400


def trash_of(workspace: Workspace) -> Path:
    """Where deleted runs lie."""
    return workspace.root / "trash"


def delete_run(workspace: Workspace, run_id: str, now: float | None = None) -> None:
    """Move a run to the trash. LabError where it trains, waits, or something works on it.

    Looked at and moved under the queue's lock: nobody can start it in between.
    """
    run, to = RunFolder(workspace.run(run_id)), trash_of(workspace) / checked_name(run_id)
    to.parent.mkdir(exist_ok=True)

    def work(db: sqlite3.Connection) -> None:
        if to.is_dir() and not run.path.exists():
            return  # a second try of this very work
        _check_ended(_run(workspace, run_id), "deleted")
        if task := _task_on(workspace, db, run_id):
            raise LabError(
                f"{run_id} cannot be deleted: {task} is working on it.", "Wait until that is done."
            )
        write_json(run.path / MARK, {"deleted": now or time.time()})
        try:
            _move(run.path, to)
        except LabError:
            (run.path / MARK).unlink(missing_ok=True)
            raise

    write(workspace, work)


def deleted_runs(workspace: Workspace) -> list[Deleted]:
    """What lies in the trash, the latest first."""
    place = trash_of(workspace)
    if not place.is_dir():
        return []
    found = [_deleted(child) for child in place.iterdir() if (child / "recipe.json").is_file()]
    shown = [one for one in found if not one.id.startswith(".")]
    return sorted(shown, key=lambda one: (one.deleted, one.id), reverse=True)


def restore_run(workspace: Workspace, run_id: str) -> None:
    """Back from the trash, as it was. LabError where it is not there (any more)."""
    source, run = trash_of(workspace) / checked_name(run_id), RunFolder(workspace.run(run_id))
    if not source.is_dir():
        raise LabError(f"{run_id} is not in the trash.", "It may have been restored or emptied.")
    _move(source, run.path)
    (run.path / MARK).unlink(missing_ok=True)


def empty_trash(workspace: Workspace, ids: Iterable[str] | None = None) -> int:
    """Remove for good: these, or everything. Returns how many runs that were."""
    wanted = None if ids is None else set(ids)
    _sweep(workspace)
    found = [one for one in deleted_runs(workspace) if wanted is None or one.id in wanted]
    for one in found:
        _move(one.path, one.path.with_name(f"{_GONE}{one.id}"))
    _sweep(workspace)
    return len(found)


def _sweep(workspace: Workspace) -> None:
    """Remove what is on its way out; also what an earlier removal was interrupted in."""
    for left in trash_of(workspace).glob(f"{_GONE}*"):
        left.unlink() if left.is_symlink() else shutil.rmtree(left, ignore_errors=True)


def empty_expired(workspace: Workspace, now: float | None = None) -> int:
    """Remove what was deleted more than 30 days ago. For the start of the lab."""
    now = now or time.time()
    ids = [one.id for one in deleted_runs(workspace) if one.deleted and one.leaves() < now]
    return empty_trash(workspace, ids) if ids else 0


def _run(workspace: Workspace, run_id: str) -> RunFolder:
    run = RunFolder(workspace.run(run_id))
    if not run.exists():
        raise LabError(f"There is no run {run_id} here.", "List them: python -m lab runs")
    return run


def _check_ended(run: RunFolder, what: str) -> None:
    status = standing(run).status
    if status in ALIVE:
        raise LabError(f"{run.id} trains just now and cannot be {what}.", "Stop it first.")
    if status in WAITING:
        words = f"{run.id} waits for its turn and cannot be {what}."
        raise LabError(words, "Take it out of the queue first.")


def _task_on(workspace: Workspace, db: sqlite3.Connection, run_id: str) -> str:
    """A task under way that was given this run; '' where there is none."""
    under_way = (*WAITING, *ALIVE)
    marks = ", ".join("?" for _ in under_way)
    query = f"SELECT id FROM jobs WHERE kind = 'task' AND status IN ({marks})"
    for row in db.execute(query, under_way):
        asked = read_json(workspace.task(row["id"]) / "request.json", {})
        if run_id in _texts(asked):
            return row["id"]
    return ""


def _texts(value: object) -> set[str]:
    """Every text in a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return set().union(*(_texts(inner) for inner in value))
    return {value} if isinstance(value, str) else set()


def _move(source: Path, to: Path) -> None:
    try:
        if to.exists():  # a rename would put up with an empty folder there
            raise FileExistsError(errno.EEXIST, "something of that name is there already")
        os.rename(source, to)
    except OSError as error:
        words = {errno.EXDEV: "the trash lies on another disk"}.get(error.errno, error.strerror)
        raise LabError(
            f"{source.name} cannot be moved: {words}.", "Nothing was changed."
        ) from error


def _deleted(path: Path) -> Deleted:
    recipe, mark = read_json(path / "recipe.json", {}), read_json(path / MARK, {})
    name = recipe.get("name", "") if isinstance(recipe, dict) else ""
    when = mark.get("deleted", 0.0) if isinstance(mark, dict) else 0.0
    return Deleted(
        path.name, str(name or path.name), when if isinstance(when, float | int) else 0.0, path
    )
