"""A short calibration: a few real steps at each size of a recipe, to forecast its cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lab.jobs.device_lock import device_lock
from lab.recipe.model import Recipe
from lab.recipe.models import shipped_model_facts
from lab.runs.speeds import note_speeds
from lab.schedules.budget import BACKWARD, speed_key, valid_key
from lab.train.model import build
from lab.workers.resolve import cores, forward_speed, pick_device, probe_precision, step_speed
from lab.workspace import Workspace

CLASSES = 10


def measure(
    workspace: Workspace, recipe: Recipe, wish: str, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """Measure and remember training and validation speeds. Returns them with the precision."""
    device, _ = pick_device(wish)
    torch.set_num_threads(recipe.threads or cores())
    network = build(recipe, CLASSES, recipe.model.groups, recipe.stages[0].hw)
    shapes = sorted({(*stage.hw, stage.batch_size) for stage in recipe.stages})
    found: dict[str, Any] = {"speeds": {}, "valid_speeds": {}}
    with device_lock(workspace, device, holder="a calibration"):
        precision = recipe.precision
        if precision == "auto":
            precision, _ = probe_precision(recipe, network, device)
        for done, (height, width, batch) in enumerate(shapes):
            progress("Timing a few steps", done, len(shapes))
            trial = min(batch, 32 if device == "cpu" else batch)
            speed = step_speed(network, (height, width), trial, precision, device)
            valid = forward_speed(network, (height, width), trial, precision, device)
            name = recipe.model.name
            found["speeds"][speed_key(name, height, width, batch, precision)] = speed
            found["valid_speeds"][valid_key(name, height, width, precision)] = valid
            known = shipped_model_facts(name)
            if known:
                found["gmacs_per_s"] = BACKWARD * speed * known.gmacs(height, width)
    progress("Timing a few steps", len(shapes), len(shapes))
    note_speeds(workspace, device, found)
    return {"precision": precision, **found}
