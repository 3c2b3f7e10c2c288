"""The learning-rate finder on a recipe's own pictures: which peak rate suits one of its stages?

    found = find_lr(workspace, recipe, stage=0, progress=print)
    found = find_lr(workspace, recipe, stage=1, run="20261120-2145-03-pets-a1b2")

No run folder is touched. The last answer for a stage stays in the workspace's facts: `curve_name`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from lab.errors import LabError
from lab.jobs.device_lock import device_lock
from lab.methods.lr_finder import LrCurve
from lab.recipe.check import check, errors_of
from lab.recipe.facts import Facts
from lab.recipe.model import Recipe
from lab.runs.folder import find_run
from lab.schedules.finder import STEPS, curve_name, finite, suggest
from lab.schedules.plan import plan
from lab.scoring.start import start_weights
from lab.train.model import build
from lab.train.trainer import Trainer
from lab.vision.rundata import Progress, open_run_data, quiet
from lab.workers.resolve import cores, pick_device, resolve
from lab.workspace import Workspace, write_json

FIRST_WEIGHTS = "first weights"


def find_lr(
    workspace: Workspace,
    recipe: Recipe,
    stage: int = 0,
    device: str = "auto",
    progress: Progress = quiet,
    run: str = "",
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Search for a stage's rate and remember what was found. JSON values.

    lrs, losses and smooth are lists of one length (a loss without a value is None); valley,
    minimum, steep and slide are rates, or None where the curve cannot say: then `words` say why.
    Also stage (from 0), size (pixels or [h, w]), batch (images), seconds (of the search alone),
    stopped ('' | 'blew up' | 'no value'), at: 'first weights', or 'run ID stage N'.
    Stages after the first need `run`, which has finished the stage before. Raises LabError.
    """
    started, at = _from_where(workspace, recipe, stage, run)
    if problems := errors_of(check(started)):
        raise LabError.of(problems)
    chosen, why = pick_device(device)
    with device_lock(workspace, chosen, holder="a search for a learning rate"):
        torch.set_num_threads(recipe.threads or cores())
        trainer = _trainer(workspace, started, chosen, why, progress)
        since = clock()
        curve = trainer.find_lr(stage, STEPS, lambda done, n: progress("Trying rates", done, n))
        seconds = clock() - since
    row = trainer.plan.of_stage(stage)[0]
    height, width = row.size_at(0)
    found = {
        **_described(curve),
        "stage": stage,
        "size": height if height == width else [height, width],
        "batch": row.batch,
        "seconds": round(seconds, 2),
        "at": at,
    }
    write_json(workspace.facts / curve_name(recipe, stage), found)
    return found


def _described(curve: LrCurve) -> dict[str, Any]:
    return {
        "lrs": list(curve.lrs),
        "losses": finite(curve.losses),
        "smooth": finite(curve.smooth),
        "stopped": curve.stopped,
        **asdict(suggest(curve.lrs, curve.losses, STEPS)),
    }


def _from_where(workspace: Workspace, recipe: Recipe, stage: int, run: str) -> tuple[Recipe, str]:
    """The recipe with the weights that the stage begins with, and those in words."""
    last = len(recipe.stages) - 1
    if not 0 <= stage <= last:
        raise LabError(
            f"There is no stage {stage} in this recipe.",
            f"Stages count from 0; the last is {last}.",
        )
    if stage == 0:
        if run:
            raise LabError(
                "The first stage begins with the recipe's own weights, not with a run's.",
                "Leave the run out, or choose a later stage.",
            )
        return recipe, FIRST_WEIGHTS
    if not run:
        raise LabError(
            f"Stage {stage + 1} begins with trained weights: where from?",
            f"Name a run that has finished stage {stage} (--run RUN), or let the finder choose "
            f"when the stage begins (stages.{stage}.lr = finder).",
            where=f"stages.{stage}.lr",
        )
    found = find_run(workspace, run)
    if stage - 1 not in found.finished_stages():
        raise LabError(
            f"Run {found.id} has not finished its stage {stage}.",
            "Wait for it, or name another run.",
        )
    weights = {"weights": "run", "run": found.id, "run_stage": stage - 1}
    model = {**recipe.model.model_dump(), **weights}
    return recipe.but(model=model), f"run {found.id} stage {stage - 1}"


def _trainer(
    workspace: Workspace, recipe: Recipe, device: str, why: str, progress: Progress
) -> Trainer:
    """A trainer at its beginning, as a run has it."""
    data = open_run_data(workspace, recipe, progress)
    classes = [*data.parts.classes, *data.second_classes]
    shape = (len(classes), recipe.model.groups, recipe.stages[0].hw)
    start = start_weights(workspace, recipe.model)
    network = build(recipe, *shape, start=start, classes=classes)
    network.second_classes = len(data.second_classes)
    data.mean, data.interpolation = network.mean, network.interpolation
    data.build(progress)
    facts = Facts(data=data.facts())
    if problems := errors_of(check(recipe, facts)):
        raise LabError.of(problems)
    resolved = resolve(recipe, network, device, why, facts.data)
    return Trainer(recipe, plan(recipe, facts, resolved), resolved, data, network)
