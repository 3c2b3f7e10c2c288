"""A short calibration: a few real steps at each size of a recipe, to forecast its cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lab.data.catalog import list_datasets
from lab.jobs.device_lock import device_lock
from lab.recipe.dataset import DataSpec
from lab.recipe.model import Recipe
from lab.recipe.models import shipped_model_facts
from lab.recipe.stage import Stage, hw
from lab.runs.speeds import note_speeds
from lab.schedules.budget import BACKWARD, speed_key, valid_key
from lab.train.model import Network, build
from lab.workers.capacity import auto_batches
from lab.workers.probe import forward_speed, step_speed
from lab.workers.resolve import chosen_precision, cores, pick_device
from lab.workspace import Workspace

CLASSES = 10
CPU_BATCH = 32  # images in a trial step: more says the same of a CPU, later
SOME_IMAGES = 1000  # stand-in for a data set that the workspace does not hold yet

Shape = tuple[int, int, int]  # height, width, batch


def measure(
    workspace: Workspace, recipe: Recipe, wish: str, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """Measure and remember training and validation speeds. Returns them with the precision.

    Every stage is measured at its size and, where it ramps, at the size that it begins with; all
    parameters learn. First weights are random, whatever the recipe says: they change no speed.
    """
    device, _ = pick_device(wish)
    torch.set_num_threads(recipe.threads or cores())
    recipe = without_weights(recipe)
    network = build(recipe, CLASSES, recipe.model.groups, recipe.stages[0].hw)
    found: dict[str, Any] = {"speeds": {}, "valid_speeds": {}}
    with device_lock(workspace, device, holder="a calibration"):
        precision, _ = chosen_precision(recipe, network, device)
        batches = _batches(recipe, images_of(workspace, recipe.dataset), network, device, precision)
        wanted = shapes(recipe, batches)
        for done, (height, width, batch) in enumerate(wanted):
            progress("Timing a few steps", done, len(wanted))
            trial = min(batch, CPU_BATCH if device == "cpu" else batch)
            speed = step_speed(network, (height, width), trial, precision, device)
            valid = forward_speed(network, (height, width), trial, precision, device)
            name = recipe.model.name
            found["speeds"][speed_key(name, height, width, batch, precision)] = speed
            found["valid_speeds"][valid_key(name, height, width, precision)] = valid
            known = shipped_model_facts(name)
            if known:
                found["gmacs_per_s"] = BACKWARD * speed * known.gmacs(height, width)
    progress("Timing a few steps", len(wanted), len(wanted))
    note_speeds(workspace, device, found)
    return {"precision": precision, **found}


def without_weights(recipe: Recipe) -> Recipe:
    """The recipe from random weights: nothing to fetch, no file, no other run to read."""
    plain = {"weights": "none", "file": "", "run": "", "run_stage": None}
    return recipe.model_copy(update={"model": recipe.model.model_copy(update=plain)})


def shapes(recipe: Recipe, batches: list[int]) -> list[Shape]:
    """What is to be measured: each different (height, width, batch) once, the smallest first."""
    found: set[Shape] = set()
    for stage, batch in zip(recipe.stages, batches):
        found.update((*size, batch) for size in sizes_of(stage))
    return sorted(found)


def sizes_of(stage: Stage) -> list[tuple[int, int]]:
    """The stage's size, and the one its ramp begins with."""
    return [stage.hw] if stage.ramp_from is None else [hw(stage.ramp_from), stage.hw]


def images_of(workspace: Workspace, data: DataSpec) -> int:
    """About how many images would train; a stand-in where the data are not here yet."""
    if data.source == "leaves":
        n = data.leaves.n
    else:
        held = {summary.id: summary.n for summary in list_datasets(workspace)}
        n = held.get(data.id, SOME_IMAGES)
    return round(n * max(0.1, 1 - data.split.valid_fraction - data.split.test_fraction))


def _batches(
    recipe: Recipe, n_train: int, network: Network, device: str, precision: str
) -> list[int]:
    """Each stage's batch size, chosen as a run would choose it where it is auto."""
    choices = auto_batches(recipe, n_train, network, device, precision)
    chosen = {stage: batch for stage, _, batch, _ in choices}
    return [chosen.get(index, stage.batch_size) for index, stage in enumerate(recipe.stages)]
