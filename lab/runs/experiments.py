"""Experiments on disk: experiments/<id>/experiment.json in the workspace, and the runs of each.

found = list_experiments(workspace)             # newest first; old ones without a file, too
experiment = create_experiment(workspace, design, name="Demo", question="Does it help?")
for member in members(workspace, experiment): member.run.id, member.arm, member.seed, member.row

A run says in its meta.json which experiment and arm it belongs to. A run that belongs elsewhere may
be borrowed as the reference: then the experiment's own file names it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.recipe.experiment import REFERENCE, Arm, Cell, Design
from lab.recipe.model import Recipe, recipe_from
from lab.runs.folder import RunFolder, find_run
from lab.runs.index import RunRow, list_runs
from lab.workspace import Workspace, checked_name, new_folder, read_json, write_json

FILE = "experiment.json"


@dataclass(frozen=True)
class Experiment:
    """Several arms times several seeds, with a question. `design` is None of an old one."""

    id: str
    name: str
    question: str = ""
    created: float = 0.0
    owner: str = ""
    arms: tuple[Arm, ...] = ()
    seeds: tuple[int, ...] = ()
    forecast_s: float | None = None
    device: str = "auto"
    borrowed: tuple[str, ...] = ()  # references that belong to another experiment
    design: Design | None = None

    def as_dict(self) -> dict[str, Any]:
        """What experiment.json says."""
        names = ("id", "name", "question", "created", "owner", "forecast_s", "device")
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        found |= {"arms": [arm.as_dict() for arm in self.arms]}
        found |= {"seeds": list(self.seeds), "borrowed": list(self.borrowed)}
        if self.design:
            found |= {"recipe": self.design.recipe.dump(), "epochs": self.design.epochs}
        return found


@dataclass(frozen=True)
class Member:
    """A run of an experiment: which arm and seed, and how the index sees it."""

    run: RunFolder
    arm: str
    seed: int
    row: RunRow


def place(workspace: Workspace, experiment_id: str) -> Path:
    """The folder of an experiment, whether or not it exists."""
    return workspace.root / "experiments" / checked_name(experiment_id)


def create_experiment(
    workspace: Workspace,
    design: Design,
    *,
    name: str,
    question: str = "",
    owner: str = "",
    device: str = "auto",
    forecast_s: float | None = None,
    borrowed: tuple[str, ...] = (),
    experiment_id: str = "",
) -> Experiment:
    """A new one, written down. With an id it is written for runs that have that id already."""
    if experiment_id:
        folder = place(workspace, experiment_id)
        folder.mkdir(parents=True, exist_ok=True)
    else:
        folder = new_folder(lambda new: place(workspace, new), name or "experiment")
    made = Experiment(
        id=folder.name,
        name=" ".join(name.split())[:120] or folder.name,
        question=" ".join(question.split())[:500],
        created=time.time(),
        owner=owner,
        arms=design.arms,
        seeds=design.seeds,
        forecast_s=forecast_s,
        device=device,
        borrowed=borrowed,
        design=design,
    )
    return store(workspace, made)


def store(workspace: Workspace, experiment: Experiment) -> Experiment:
    """Write an experiment down, as it is now."""
    write_json(place(workspace, experiment.id) / FILE, experiment.as_dict())
    return experiment


def widened(experiment: Experiment, arms: tuple[Arm, ...], seeds: tuple[int, ...]) -> Experiment:
    """The same with these arms and seeds as well; the old ones keep their places."""
    known = {arm.name for arm in experiment.arms}
    arms = (*experiment.arms, *(arm for arm in arms if arm.name not in known))
    seeds = tuple(dict.fromkeys([*experiment.seeds, *seeds]))
    design = replace(experiment.design, arms=arms, seeds=seeds) if experiment.design else None
    return replace(experiment, arms=arms, seeds=seeds, design=design)


def read_experiment(workspace: Workspace, experiment_id: str) -> Experiment:
    """An experiment by its id; an old one is read from its runs. LabError where there is none."""
    values = read_json(place(workspace, experiment_id) / FILE)
    if isinstance(values, dict):
        return _from(experiment_id, values)
    rows = list_runs(workspace, experiment=experiment_id)
    if not rows:
        raise LabError(f"There is no experiment {experiment_id} here.", "It may have been deleted.")
    return _from_runs(workspace, experiment_id, rows)


def list_experiments(workspace: Workspace) -> list[Experiment]:
    """All of them, newest first."""
    folder = workspace.root / "experiments"
    ids = (
        {child.name for child in folder.iterdir() if (child / FILE).is_file()}
        if (folder.is_dir())
        else set()
    )
    found = [_from(name, read_json(folder / name / FILE, {})) for name in ids]
    others: dict[str, list[RunRow]] = {}
    for row in list_runs(workspace):
        if row.experiment and row.experiment not in ids:
            others.setdefault(row.experiment, []).append(row)
    found += [_from_runs(workspace, name, rows) for name, rows in others.items()]
    return sorted(found, key=lambda one: (one.created, one.id), reverse=True)


def members(
    workspace: Workspace, experiment: Experiment, rows: list[RunRow] | None = None
) -> list[Member]:
    """Its runs, in the order of their seeds and arms; those that were deleted are not there."""
    known = list_runs(workspace) if rows is None else rows
    mine = [
        row for row in known if row.experiment == experiment.id or row.id in experiment.borrowed
    ]
    found = [_member(workspace, experiment, row) for row in mine]
    arms = {arm.name: number for number, arm in enumerate(experiment.arms)}
    return sorted(found, key=lambda one: (one.seed, arms.get(one.arm, len(arms)), one.run.id))


def by_cell(found: list[Member]) -> dict[tuple[str, int], Member]:
    """(arm, seed) -> its run; of several the newest."""
    return {(one.arm, one.seed): one for one in sorted(found, key=lambda one: one.run.id)}


def missing(experiment: Experiment, found: list[Member]) -> list[Cell]:
    """Cells that have no run yet, in the order in which they are to be queued."""
    there = by_cell(found)
    cells = experiment.design.cells() if experiment.design else []
    return [cell for cell in cells if (cell.arm.name, cell.seed) not in there]


def arm_of(meta: Mapping[str, Any]) -> str:
    """The arm that a run's meta.json names; of an old run the kind of its baseline."""
    return str(meta.get("arm") or meta.get("baseline") or REFERENCE)


def _member(workspace: Workspace, experiment: Experiment, row: RunRow) -> Member:
    run = RunFolder(workspace.run(row.id))
    recipe = read_json(run.recipe_file, {})
    seed = recipe.get("seed", 0) if isinstance(recipe, dict) else 0
    arm = REFERENCE if row.id in experiment.borrowed else arm_of(run.meta())
    return Member(run, arm, int(seed), row)


def _from(experiment_id: str, values: dict[str, Any]) -> Experiment:
    """From the file. What cannot be read is left out; the id is always there."""
    try:
        arms = tuple(Arm.of(arm) for arm in values.get("arms", ()))
        seeds = tuple(int(seed) for seed in values.get("seeds", ()))
        forecast, created = values.get("forecast_s"), float(values.get("created") or 0.0)
    except (AttributeError, TypeError, ValueError):
        return Experiment(experiment_id, experiment_id)
    return Experiment(
        id=experiment_id,
        name=str(values.get("name") or experiment_id),
        question=str(values.get("question") or ""),
        created=created,
        owner=str(values.get("owner") or ""),
        arms=arms,
        seeds=seeds,
        forecast_s=forecast if isinstance(forecast, int | float) else None,
        device=str(values.get("device") or "auto"),
        borrowed=tuple(map(str, values.get("borrowed") or ())),
        design=_design(values, arms, seeds),
    )


def _design(values: dict[str, Any], arms: tuple[Arm, ...], seeds: tuple[int, ...]) -> Design | None:
    try:
        return Design(recipe_from(values.get("recipe")), arms, seeds, int(values.get("epochs", 1)))
    except (LabError, TypeError, ValueError):
        return None


def _from_runs(workspace: Workspace, experiment_id: str, rows: list[RunRow]) -> Experiment:
    """An experiment of which only its runs tell."""
    bare = Experiment(experiment_id, experiment_id, created=min(row.created for row in rows))
    found = members(workspace, bare, rows)
    names = sorted({one.arm for one in found}, key=lambda name: (name != REFERENCE, name))
    arms = tuple(Arm(name, name) for name in names)
    return replace(bare, arms=arms, seeds=tuple(dict.fromkeys(one.seed for one in found)))


def settled(workspace: Workspace, recipe: Recipe) -> Recipe:
    """The recipe with the run that it begins with named by its whole id: `last` will be another."""
    if recipe.model.weights != "run":
        return recipe
    source = find_run(workspace, recipe.model.run).id
    return recipe.but(model=recipe.model.but(run=source).model_dump())
