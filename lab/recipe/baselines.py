"""Matched baselines: the fair opponents of a staged schedule, on the same split and seeds.

fixed_same_epochs(recipe)          all epochs at the final size
fixed_same_pixels(recipe)          as many training pixels, all at the final size
fixed_same_time(recipe, e, s)      as many seconds s; one epoch at the final size takes e
small_only(recipe)                 all epochs at the first size, scored at the final one too
single_target(recipe)              the same schedule without the second label
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.recipe.model import Recipe
from lab.recipe.ramp import stage_pixels
from lab.recipe.stage import Stage


def fixed_same_epochs(recipe: Recipe) -> Recipe:
    """One stage at the final size with as many epochs: at least as dear, usually dearer."""
    return _single(recipe, recipe.stages[-1], recipe.total_epochs, "fixed-same-epochs")


def fixed_same_pixels(recipe: Recipe) -> Recipe:
    """One stage at the final size with as many pixels, to the nearest whole epoch."""
    height, width = recipe.stages[-1].hw
    pixels = sum(stage_pixels(stage) for stage in recipe.stages)
    epochs = max(1, round(pixels / (height * width)))
    return _single(recipe, recipe.stages[-1], epochs, "fixed-same-pixels")


def fixed_same_time(recipe: Recipe, final_epoch_seconds: float, seconds: float) -> Recipe:
    """One stage at the final size that takes as long as the finished reference, by epochs.

    `final_epoch_seconds`: one epoch at the final size; `seconds`: the reference's whole run.
    """
    epochs = max(1, round(seconds / final_epoch_seconds))
    return _single(recipe, recipe.stages[-1], epochs, "fixed-same-time")


def small_only(recipe: Recipe) -> Recipe:
    """One stage at the first size with as many epochs, scored at the final size as well."""
    baseline = _single(recipe, recipe.stages[0], recipe.total_epochs, "small-only")
    evaluation = recipe.evaluation.but(size=recipe.evaluation.size or recipe.stages[-1].size)
    return baseline.but(evaluation=evaluation.model_dump())


def single_target(recipe: Recipe) -> Recipe:
    """The same stages, learning the first label alone."""
    name = f"{recipe.name or recipe.preset or 'run'}: single-target"
    return recipe.but(name=name[:120], dataset=recipe.dataset.but(second_target="").model_dump())


def leading_stage(recipe: Recipe) -> int:
    """The stage whose rate a baseline of one stage takes: the first that trains everything."""
    everything = [n for n, stage in enumerate(recipe.stages) if stage.trainable == "all"]
    return everything[0] if everything else 0


def _single(recipe: Recipe, stage: Stage, epochs: int, kind: str) -> Recipe:
    """One stage, all trainable, under the leading stage's rate and the given one's pictures."""
    first = recipe.stages[leading_stage(recipe)]
    changes: dict[str, Any] = {
        "epochs": epochs,
        "frozen_epochs": 0,
        "trainable": "all",
        "lr": first.lr,
        "schedule": "one-cycle" if first.schedule == "restarts" else first.schedule,
        "ramp_from": None,
        "cached_activations": False,
        "cached_views": 0,
        "group_rates": first.group_rates,
        "batch_size": stage.batch_size,
    }
    if stage.resize == "as-test":
        changes |= {"resize": first.resize, "min_scale": first.min_scale}
    name = f"{recipe.name or recipe.preset or 'run'}: {kind}"
    return recipe.but(name=name[:120], stages=(stage.but(**changes).model_dump(),))


BASELINES: dict[str, Callable[[Recipe], Recipe]] = {
    "fixed-same-epochs": fixed_same_epochs,
    "fixed-same-pixels": fixed_same_pixels,
    "small-only": small_only,
    "single-target": single_target,
}
