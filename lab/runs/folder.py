"""The folder of one run: its files by name, its creation, its small JSON documents.

run = create_run(workspace, recipe, meta={"experiment": "demo"})
run.recipe(), run.state(), run.ask("stop")
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from lab.errors import LabError
from lab.recipe import Recipe, recipe_from
from lab.workspace import Workspace, new_folder, read_json, write_json

STOP, STOP_AFTER_STAGE = "stop", "stop_after_stage"
ENDED = ("finished", "failed", "stopped", "lost")
ALIVE = ("starting", "running")


@dataclass(frozen=True)
class RunFolder:
    """`<workspace>/runs/<run id>/`. Nothing is read before it is asked for."""

    path: Path

    id = property(lambda self: self.path.name)
    recipe_file = property(lambda self: self.path / "recipe.json")
    resolved_file = property(lambda self: self.path / "resolved.json")
    events = property(lambda self: self.path / "events")
    steps = property(lambda self: self.path / "steps")
    state_file = property(lambda self: self.path / "state.json")
    supervisor_file = property(lambda self: self.path / "supervisor.json")
    control_file = property(lambda self: self.path / "control.json")
    meta_file = property(lambda self: self.path / "meta.json")
    checkpoints = property(lambda self: self.path / "checkpoints")
    stages = property(lambda self: self.path / "stages")
    predictions = property(lambda self: self.path / "predictions")
    log = property(lambda self: self.path / "log.txt")

    def stage(self, index: int) -> Path:
        """Where a finished stage keeps its weights and scores."""
        return self.stages / str(index)

    def exists(self) -> bool:
        """Whether this is a run at all."""
        return self.recipe_file.is_file()

    def recipe(self) -> Recipe:
        """As launched. Raises LabError where it cannot be read."""
        values = read_json(self.recipe_file)
        if values is None:
            raise LabError(f"Run {self.id} has no readable recipe.", "Delete the run or clone it.")
        return recipe_from(values)

    def meta(self) -> dict[str, Any]:
        """Owner, experiment, tags, notes, the prediction made before the launch."""
        return read_json(self.meta_file, {})

    def set_meta(self, **changes: Any) -> None:
        """Change some of meta.json, keep the rest."""
        write_json(self.meta_file, {**self.meta(), **changes})

    def resolved(self) -> dict[str, Any]:
        """Choices made at the start, with reasons; empty before that."""
        return read_json(self.resolved_file, {})

    def state(self) -> dict[str, Any]:
        """The worker's last word: status, attempt, pid, started, heartbeat ..."""
        return read_json(self.state_file, {})

    def status(self) -> str:
        """queued | starting | running | stopped | finished | failed | lost.

        The worker's word, unless it says that it is alive and its process is not.
        """
        state = self.state()
        status = state.get("status", "queued")
        if status in ALIVE and not is_alive(state):
            return "lost"
        return status

    def ask(self, action: str, now: float | None = None) -> None:
        """Leave a person's wish for the worker: stop, or stop after this stage."""
        write_json(self.control_file, {"action": action, "t": now or time.time()})

    def wish(self) -> str:
        """The action asked for, or ''."""
        return read_json(self.control_file, {}).get("action", "")

    def clear_wish(self) -> None:
        """Forget what was asked for; a continued run must not stop again at once."""
        self.control_file.unlink(missing_ok=True)

    def scores(self, stage: int) -> dict[str, Any]:
        """scores.json of a finished stage; empty where it is not finished."""
        return read_json(self.stage(stage) / "scores.json", {})

    def finished_stages(self) -> list[int]:
        """Stages whose weights and scores are on disk, in order."""
        if not self.stages.is_dir():
            return []
        numbers = [int(child.name) for child in self.stages.iterdir() if child.name.isdigit()]
        return sorted(n for n in numbers if (self.stage(n) / "scores.json").is_file())


def create_run(
    workspace: Workspace, recipe: Recipe, meta: dict[str, Any] | None = None
) -> RunFolder:
    """A new run folder with its recipe and meta; recipe.json comes last: half-made is not made.

    A run whose weights it begins with is written down by its whole id: `last` will be another.
    """
    if recipe.model.weights == "run":
        source = find_run(workspace, recipe.model.run).id
        recipe = recipe.but(model=recipe.model.but(run=source).model_dump())
    run = RunFolder(new_folder(workspace.run, recipe.name or recipe.preset or "run"))
    for folder in (run.events, run.steps, run.checkpoints, run.stages, run.predictions):
        folder.mkdir()
    write_json(run.meta_file, {"created": time.time(), **(meta or {})})
    write_json(run.recipe_file, recipe.dump())
    return run


def all_runs(workspace: Workspace) -> list[RunFolder]:
    """Every run, newest first."""
    if not workspace.runs.is_dir():
        return []
    found = (RunFolder(child) for child in workspace.runs.iterdir() if child.is_dir())
    return sorted((run for run in found if run.exists()), key=lambda run: run.id, reverse=True)


def find_run(workspace: Workspace, word: str) -> RunFolder:
    """A run by id, by a prefix that only it has, or `last`. Raises LabError otherwise."""
    runs = all_runs(workspace)
    if not runs:
        raise LabError(
            "There are no runs here yet.", "Start one: python -m lab train --preset quick"
        )
    if word == "last":
        return runs[0]
    exact = [run for run in runs if run.id == word]
    matches = exact or [run for run in runs if run.id.startswith(word) or run.id.endswith(word)]
    if not matches:
        raise LabError(f"No run is called {word!r}.", "List them: python -m lab runs")
    if len(matches) > 1:
        names = ", ".join(run.id for run in matches[:4])
        raise LabError(f"{word!r} fits {len(matches)} runs ({names}).", "Give more of the name.")
    return matches[0]


def process_identity(pid: int | None = None) -> dict[str, Any]:
    """(pid, start time, boot time) of a process: tells it from a later one of that number."""
    process = psutil.Process(pid or os.getpid())
    return {"pid": process.pid, "started": process.create_time(), "boot": round(psutil.boot_time())}


def is_alive(identity: dict[str, Any]) -> bool:
    """Whether just that process still runs. A zombie does not; a reused pid does not count."""
    try:
        process = psutil.Process(identity["pid"])
        same = abs(process.create_time() - identity["started"]) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, TypeError):
        return False
