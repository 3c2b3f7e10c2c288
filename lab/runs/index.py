"""The index of runs: one row a run, kept in lab.db, brought up to date from the folders when asked.

    for row in list_runs(workspace): print(row.id, row.status, row.accuracy)

Only folders that changed are read again: 1,000 unchanged runs cost about 5,000 stats.
"""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from lab.runs.database import put_aside, read, write
from lab.runs.events import attempts, merge
from lab.runs.folder import ALIVE, RunFolder
from lab.runs.status import standing
from lab.workspace import Workspace, read_json


@dataclass(frozen=True)
class RunRow:
    """What a list of runs shows. Scores are those of the last stage at the final size."""

    id: str
    name: str = ""
    preset: str = ""
    model: str = ""
    dataset: str = ""
    sizes: str = ""  # "64 → 128"
    owner: str = ""
    experiment: str = ""
    tags: tuple[str, ...] = ()
    status: str = ""
    message: str = ""
    attempt: int = 0
    created: float = 0.0
    finished: float | None = None
    accuracy: float | None = None
    error_rate: float | None = None
    seconds: float = 0.0  # training and validation of all epochs that count
    epochs: int = 0
    total_epochs: int = 0
    notes: str = ""  # a person's, then the recipe's
    archived: bool = False
    refers: tuple[tuple[str, str], ...] = ()  # (baseline_of | same_time_as | weights, run id)


def list_runs(
    workspace: Workspace,
    *,
    owner: str | None = None,
    experiment: str | None = None,
    status: str | None = None,
    archived: bool | None = None,
    limit: int | None = None,
) -> list[RunRow]:
    """Runs, newest first, up to date. Archived ones are among them unless `archived` is False."""
    refresh(workspace)
    wanted = {"owner": owner, "experiment": experiment, "status": status, "archived": archived}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    where = " AND ".join(f"{key} = :{key}" for key in wanted) or "1"
    query = f"SELECT * FROM runs WHERE {where} ORDER BY id DESC LIMIT {int(limit or -1)}"
    found = read(workspace, lambda db: db.execute(query, wanted).fetchall())
    return [_row_of(row) for row in found]


def rebuild(workspace: Workspace) -> int:
    """Forget the index and read every folder again; returns the number of runs."""

    def forget(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM runs")
        db.execute("DELETE FROM marks")  # the queue, too, reads its folders again

    put_aside(workspace)
    write(workspace, forget)
    refresh(workspace)
    return read(workspace, lambda db: db.execute("SELECT COUNT(*) FROM runs").fetchone()[0])


def refresh(workspace: Workspace) -> None:
    """Read again what has changed; forget what is gone."""
    stamps = _stamps(workspace)
    known = {row["id"]: row for row in read(workspace, _known)}
    rows = [
        (stamp, row)
        for run_id, stamp in stamps.items()
        if (row := _newer(workspace, run_id, stamp, known.get(run_id)))
    ]
    gone = [(run_id,) for run_id in known if run_id not in stamps]
    if rows or gone:
        write(workspace, lambda db: _store(db, rows, gone))


def _known(db: sqlite3.Connection) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM runs").fetchall()


def _newer(
    workspace: Workspace, run_id: str, stamp: str, known: sqlite3.Row | None
) -> RunRow | None:
    """The row to store; None where the stored one holds. A worker may die and leave no trace."""
    run = RunFolder(workspace.runs / run_id)
    if known is None or known["stamp"] != stamp:
        return read_row(run)
    if known["status"] in ALIVE and (now := standing(run)).status != known["status"]:
        return replace(_row_of(known), status=now.status, message=now.message)
    return None


def read_row(run: RunFolder) -> RunRow:
    """One run's row, from its folder alone. Broken documents make a row that says so."""
    try:
        return _row_from(run)
    except (AttributeError, KeyError, TypeError, ValueError):
        return RunRow(run.id, status="failed", message="Its files cannot be read.")


def _row_from(run: RunFolder) -> RunRow:
    recipe, meta = read_json(run.recipe_file, {}), run.meta()
    now, events = standing(run), _milestones(run)
    epochs = [event for event in events if event["kind"] == "epoch"]
    end = next((event for event in reversed(events) if event["kind"] == "finished"), {})
    scores = end.get("scores") or {}
    columns = _recipe_columns(recipe)
    if recipe.get("same_time_as"):  # its epochs are a guess until the run has begun
        begun = next((event for event in events if event["kind"] == "run_started"), {})
        columns["total_epochs"] = begun.get("epochs", columns["total_epochs"])
    return RunRow(
        id=run.id,
        **columns,
        owner=meta.get("owner", ""),
        experiment=meta.get("experiment", ""),
        tags=_tags(meta),
        status=now.status,
        message=now.message,
        attempt=now.attempt,
        created=meta.get("created") or run.path.stat().st_mtime,
        finished=end.get("t"),
        accuracy=scores.get("accuracy"),
        error_rate=scores.get("error_rate"),
        seconds=sum(event.get("seconds") or 0.0 for event in epochs),
        epochs=len(epochs),
        notes="\n".join(str(said["notes"]) for said in (meta, recipe) if said.get("notes")),
        archived=bool(meta.get("archived")),
        refers=_refers(recipe, meta),
    )


def _tags(meta: dict[str, Any]) -> tuple[str, ...]:
    tags = meta.get("tags", ())
    return tuple(map(str, tags)) if isinstance(tags, list | tuple) else ()


def _refers(recipe: dict[str, Any], meta: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The runs that this one leans on, and how."""
    model = recipe.get("model", {})
    found = {
        "baseline_of": meta.get("baseline_of"),
        "same_time_as": recipe.get("same_time_as"),
        "weights": model.get("run") if model.get("weights") == "run" else "",
    }
    return tuple((how, str(run_id)) for how, run_id in found.items() if run_id)


def _recipe_columns(recipe: dict[str, Any]) -> dict[str, Any]:
    """Straight from the JSON: validating a recipe takes longer than all else here."""
    stages, data = recipe.get("stages", []), recipe.get("dataset", {})
    names = {"path": Path(data.get("path", "")).name, "imported": data.get("id", "")}
    return {
        "name": recipe.get("name", ""),
        "preset": recipe.get("preset", ""),
        "model": recipe.get("model", {}).get("name", ""),
        "dataset": names.get(data.get("source", ""), data.get("source", "")),
        "sizes": " → ".join(_size_label(stage.get("size", "?")) for stage in stages),
        "total_epochs": sum(map(_stage_epochs, stages)),
    }


def _stage_epochs(stage: dict[str, Any]) -> int:
    """As Stage.total_epochs counts: under restarts the cycles say it."""
    epochs = stage.get("epochs", 0)
    if stage.get("schedule") == "restarts":
        length, mult = stage.get("cycle_len", 1), stage.get("cycle_mult", 1)
        epochs = sum(length * mult**i for i in range(stage.get("max_cycles", 1)))
    return epochs + stage.get("frozen_epochs", 0)


def _size_label(size: Any) -> str:
    return "×".join(str(side) for side in size) if isinstance(size, list) else str(size)


def _milestones(run: RunFolder) -> list[dict[str, Any]]:
    """All events that hold, less the steps: those are most of the lines and none of the columns."""
    return merge({attempt: _lines(run, attempt) for attempt in attempts(run)})


def _lines(run: RunFolder, attempt: int) -> list[dict[str, Any]]:
    try:
        block = (run.events / f"{attempt}.jsonl").read_bytes()
    except OSError:
        return []
    whole = block[: block.rfind(b"\n") + 1].split(b"\n")
    events = [_event(line) for line in whole if line and b'"kind": "step"' not in line]
    return [event for event in events if event]


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "kind" in event else None


def _stamps(workspace: Workspace) -> dict[str, str]:
    """What each folder looks like from outside: times of its documents, sizes of its events."""
    try:
        children = [child for child in os.scandir(workspace.runs) if child.is_dir()]
    except FileNotFoundError:
        return {}
    stamps = {child.name: _stamp(child.path) for child in children}
    return {name: stamp for name, stamp in stamps.items() if stamp}


def _stamp(folder: str) -> str:
    """'' for a half-made run, which has no recipe yet."""
    names = ("recipe.json", "state.json", "supervisor.json", "meta.json")
    times = [_changed(f"{folder}/{name}") for name in names]
    if not times[0]:
        return ""
    try:
        events = sorted((file.name, file.stat().st_size) for file in os.scandir(f"{folder}/events"))
    except OSError:
        events = []
    return f"{times}{events}"


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _store(db: sqlite3.Connection, rows: list[tuple[str, RunRow]], gone: list[tuple[str]]) -> None:
    columns = ["stamp", *(field.name for field in fields(RunRow))]
    places = ", ".join(f":{column}" for column in columns)
    values = [{**asdict(row), "stamp": stamp, **_as_text(row)} for stamp, row in rows]
    db.executemany(f"REPLACE INTO runs ({', '.join(columns)}) VALUES ({places})", values)
    db.executemany("DELETE FROM runs WHERE id = ?", gone)


def _as_text(row: RunRow) -> dict[str, str]:
    """The columns that hold lists."""
    return {name: json.dumps(getattr(row, name)) for name in ("tags", "refers")}


def _row_of(found: sqlite3.Row) -> RunRow:
    values = dict(found)
    del values["stamp"]
    values["tags"] = tuple(json.loads(values["tags"]))
    values["refers"] = tuple(map(tuple, json.loads(values["refers"])))
    return RunRow(**{**values, "archived": bool(values["archived"])})
