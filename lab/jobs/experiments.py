"""An experiment in the queue: its runs made and submitted, what is left taken out or put back.

experiment, runs = launch(workspace, design, name="Demo", seconds={"reference": 41.0})
cancel_rest(workspace, experiment);  continue_rest(workspace, experiment)
experiment = around(workspace, run);  extend(workspace, experiment, arms=(...), seeds=(1, 2))

Every run exists on disk before the first one is queued. A run that goes by the choices made for its
reference, or takes as long as it did, follows the reference of its own seed.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.errors import LabError
from lab.jobs import client
from lab.jobs import queue as jobs
from lab.jobs.order import LIVE, WAITING, Job
from lab.recipe.baselines import KINDS
from lab.recipe.experiment import REFERENCE, Arm, Cell, Design, plain_name
from lab.runs.experiments import (
    Experiment,
    Member,
    arm_of,
    create_experiment,
    list_experiments,
    members,
    missing,
    place,
    read_experiment,
    settled,
    store,
    widened,
)
from lab.runs.folder import RunFolder, create_run
from lab.runs.status import standing, supervision
from lab.workspace import Workspace

Seconds = Mapping[str, float | None]


@dataclass(frozen=True)
class Made:
    """A new run of an experiment, and the run that it follows ('': none)."""

    cell: Cell
    run: RunFolder
    after: str
    forecast_s: float | None


def launch(
    workspace: Workspace,
    design: Design,
    *,
    of: RunFolder | None = None,
    seconds: Seconds | None = None,
    meta: Mapping[str, Any] | None = None,
    **about: Any,
) -> tuple[Experiment, list[RunFolder]]:
    """Make all runs and queue them, seed by seed, the reference first. For the rest see `begin`."""
    experiment = begin(workspace, design, of=of, **about)
    there = members(workspace, experiment)
    cells = missing(experiment, there)
    try:
        made = make_runs(workspace, experiment, cells, there, seconds or {}, meta or {})
    except BaseException:
        shutil.rmtree(place(workspace, experiment.id), ignore_errors=True)
        raise
    submit(workspace, experiment, made)
    return experiment, [one.run for one in made]


def begin(
    workspace: Workspace, design: Design, *, of: RunFolder | None = None, **about: Any
) -> Experiment:
    """An experiment written down, without its runs: name, question, owner, device, forecast_s.

    `of`: a run of the reference's recipe. It is the reference of its own seed: it joins the
    experiment, or is borrowed where it belongs to another one.
    """
    workspace.create()
    design = replace(design, recipe=settled(workspace, design.recipe))
    if of is None or of.recipe().seed not in design.seeds:
        return create_experiment(workspace, design, **about)
    own = of.meta().get("experiment")
    made = create_experiment(workspace, design, borrowed=(of.id,) if own else (), **about)
    if not own:
        of.set_meta(experiment=made.id, arm=REFERENCE)
    return made


def make_runs(
    workspace: Workspace,
    experiment: Experiment,
    cells: Sequence[Cell],
    there: Sequence[Member],
    seconds: Seconds,
    meta: Mapping[str, Any],
) -> list[Made]:
    """The folders of runs to be; none of them is queued yet. All or nothing.

    `there`: runs that the experiment has already. `meta` goes to every run; a guess in it
    (`prediction`) only to those that it is about.
    """
    references = {one.seed: one.run.id for one in there if one.arm == REFERENCE}
    made: list[Made] = []
    try:
        for cell in cells:
            one = _made(workspace, experiment, cell, references, seconds, meta)
            made.append(one)
            if cell.arm.kind == REFERENCE:
                references[cell.seed] = one.run.id
    except BaseException:
        for one in made:
            shutil.rmtree(one.run.path, ignore_errors=True)
        raise
    return made


def _made(
    workspace: Workspace,
    experiment: Experiment,
    cell: Cell,
    references: Mapping[int, str],
    seconds: Seconds,
    meta: Mapping[str, Any],
) -> Made:
    reference = references.get(cell.seed, "") if cell.arm.kind != REFERENCE else ""
    if not reference and cell.same_time:
        raise LabError(
            f"The reference of seed {cell.seed} is not there any more.",
            "Its time cannot be matched: repeat the experiment.",
        )
    about = {**meta, **_roles(cell.arm), "experiment": experiment.id, "owner": experiment.owner}
    if not cell.arm.kind.startswith((REFERENCE, "fixed-")):
        about["prediction"] = {}  # a guess is about growing sizes and about one size
    if reference and cell.arm.takes_over:
        about["baseline_of"] = reference
    forecast = seconds.get(cell.arm.name)
    recipe = cell.beside(reference)
    run = create_run(workspace, recipe, {**about, "forecast_s": forecast})
    return Made(cell, run, about.get("baseline_of", ""), forecast)


def _roles(arm: Arm) -> dict[str, str]:
    """What meta.json says of the arm; `role` and `baseline` are what older screens read."""
    role = "progressive" if arm.kind == REFERENCE else "baseline"
    return {"arm": arm.name, "role": role, "baseline": arm.kind if arm.kind in KINDS else ""}


def submit(workspace: Workspace, experiment: Experiment, made: Sequence[Made]) -> None:
    """Queue runs in this order. One that is refused is not left behind, nor those after it."""
    for at, one in enumerate(made):
        job = Job(
            one.run.id, "run", device=experiment.device, owner=experiment.owner,
            after=one.after, forecast_s=one.forecast_s,
        )  # fmt: skip
        try:
            jobs.submit(workspace, job)
        except LabError:
            for other in made[at:]:
                shutil.rmtree(other.run.path, ignore_errors=True)
            raise
    client.ensure_supervisor(workspace)


def around(workspace: Workspace, run: RunFolder) -> Experiment:
    """The experiment in which this run is the reference: its own, or a new one.

    A run without an experiment joins the new one; one that belongs elsewhere is borrowed.
    """
    meta, recipe = run.meta(), run.recipe()
    own = str(meta.get("experiment") or "")
    known = _known(workspace, own)
    mine = known is not None and arm_of(meta) == REFERENCE
    if mine and known.design is not None:
        return known
    lent = [one for one in list_experiments(workspace) if run.id in one.borrowed and one.design]
    if lent:
        return lent[0]
    design = Design(recipe, (Arm(REFERENCE, REFERENCE, "The schedule itself."),), (recipe.seed,))
    about = {"name": plain_name(recipe), "owner": str(meta.get("owner") or "")}
    about["device"] = device_of(run)
    if mine:  # an old one, of which only its runs tell
        design = replace(design, arms=known.arms, seeds=known.seeds)
        return create_experiment(workspace, design, experiment_id=own, **about)
    return begin(workspace, design, of=run, **about)


def _known(workspace: Workspace, experiment_id: str) -> Experiment | None:
    try:
        return read_experiment(workspace, experiment_id) if experiment_id else None
    except LabError:
        return None


def device_of(run: RunFolder) -> str:
    """Where a run trained, so that those compared with it train there too."""
    return str(run.resolved().get("resolved", {}).get("device") or "auto")


def extend(
    workspace: Workspace,
    experiment: Experiment,
    *,
    arms: tuple[Arm, ...] = (),
    seeds: tuple[int, ...] = (),
    only: Sequence[tuple[str, int]] | None = None,
    epochs: int | None = None,
    seconds: Seconds | None = None,
    question: str = "",
    meta: Mapping[str, Any] | None = None,
) -> list[RunFolder]:
    """More arms, more seeds: every cell that has no run gets one; with `only` just those."""
    wider = widened(experiment, arms, seeds)
    if wider.design is None:
        raise LabError(
            "The recipe of this experiment cannot be read.", "Start a new one from one of its runs."
        )
    if epochs is not None:
        wider = replace(wider, design=replace(wider.design, epochs=epochs))
    there = members(workspace, wider)
    cells = missing(wider, there)
    if only is not None:
        cells = [cell for cell in cells if (cell.arm.name, cell.seed) in only]
    made = make_runs(workspace, wider, cells, there, seconds or {}, meta or {})
    added = [one.forecast_s for one in made]
    known = None not in added and wider.forecast_s is not None
    forecast = wider.forecast_s + sum(added) if known else wider.forecast_s
    store(workspace, replace(wider, forecast_s=forecast, question=wider.question or question))
    submit(workspace, wider, made)
    return [one.run for one in made]


def cancel_rest(workspace: Workspace, experiment: Experiment) -> str:
    """Take everything that still waits out of the queue; what runs goes on."""
    waiting = [one for one in members(workspace, experiment) if one.row.status in WAITING]
    # From the end: a run that is taken out first would take those that follow it along.
    for one in reversed(waiting):
        if jobs.get(workspace, one.run.id):
            client.cancel(workspace, one.run.id)
    if not waiting:
        return "Nothing of this experiment waits."
    return f"{len(waiting)} {'run is' if len(waiting) == 1 else 'runs are'} taken out of the queue."


def continue_rest(workspace: Workspace, experiment: Experiment) -> str:
    """Queue again what was taken out, stopped or failed, in the order of the experiment."""
    found = members(workspace, experiment)
    references = {one.seed: one.run.id for one in found if one.arm == REFERENCE}
    again = [one for one in found if one.row.status not in (*WAITING, *LIVE, "finished")]
    for one in again:
        follows = one.run.meta().get("baseline_of") or one.run.recipe().same_time_as
        after = references.get(one.seed, "") if follows else ""
        _again(workspace, one.run, after)
    client.ensure_supervisor(workspace)
    if not again:
        return "Nothing of this experiment is left to do."
    return f"{len(again)} {'run is' if len(again) == 1 else 'runs are'} in the queue again."


def _again(workspace: Workspace, run: RunFolder, after: str) -> None:
    orders, state = supervision(run), run.state()
    if standing(run).status == "finished":
        return
    run.clear_wish()
    kept = {name: orders[name] for name in ("owner", "priority", "forecast_s", "device")
            if name in orders}  # fmt: skip
    attempt = 1 + max(state.get("attempt", -1), orders.get("attempt", -1))
    jobs.submit(workspace, Job(run.id, "run", attempt=attempt, after=after, **kept))
