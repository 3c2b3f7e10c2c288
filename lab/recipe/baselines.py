"""Matched baselines: the fair opponents of a schedule, on the same data, split, seed and device.

baseline("fixed-same-epochs", recipe)     all epochs at the final size
baseline("fixed-same-pixels", recipe)     as many training pixels, all at the final size
fixed_same_time(recipe, run_id, epochs)   as long as that finished run, all at the final size
baseline("small-only", recipe)            all epochs at the first size, scored at the final one too
baseline("fixres", recipe)                the first size, then the last norm and head at the final
baseline("head-only", recipe)             nothing but a new head, on cached activations
baseline("single-target", recipe)         the same schedule without the second label
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lab.errors import LabError, Problem
from lab.recipe.augment import Augment
from lab.recipe.model import Recipe
from lab.recipe.ramp import stage_pixels
from lab.recipe.stage import Size, Stage, hw

SAME_TIME = "fixed-same-time"
ADAPT_SHARE = 4  # one epoch in so many adapts: 10 of 40 in the Keras example of FixRes
ADAPT_SLOWER = 10.0  # and at this part of the rate: 1e-4 after 1e-3 there

TITLES = {
    "fixed-same-epochs": "One size, same epochs",
    "fixed-same-pixels": "One size, same pixels",
    SAME_TIME: "One size, same time",
    "small-only": "Small size only",
    "fixres": "FixRes",
    "head-only": "Head only",
    "single-target": "First label alone",
}

CALLED = {
    "fixed-same-epochs": "one size for as many epochs",
    "fixed-same-pixels": "one size for as many pixels",
    SAME_TIME: "one size for as much time",
    "small-only": "the small size alone",
    "fixres": "FixRes",
    "head-only": "the head alone",
    "single-target": "the first label alone",
}  # within a sentence

ANSWERS = {
    "fixed-same-epochs": "Does the schedule lose anything against as many epochs at the final "
    "size, which usually cost more?",
    "fixed-same-pixels": "Is it the growing, or do as many pixels at the final size do as well?",
    SAME_TIME: "Given the same minutes on this machine, is the schedule better than the final "
    "size throughout? The fairest question of all.",
    "small-only": "Are the large pictures needed at all? It is scored at both sizes.",
    "fixres": "Is it enough to train small, and then to adapt the last norm and the head alone to "
    "the final size?",
    "head-only": "How far do the pretrained weights get by themselves, with only a new head "
    "trained on what they see?",
    "single-target": "Does learning the second label beside it help the first?",
}
KINDS = tuple(TITLES)


def fixed_same_epochs(recipe: Recipe) -> Recipe:
    """One stage at the final size with as many epochs: at least as dear, usually dearer."""
    return _single(recipe, recipe.stages[-1], recipe.total_epochs, "fixed-same-epochs")


def fixed_same_pixels(recipe: Recipe) -> Recipe:
    """One stage at the final size with as many pixels, to the nearest whole epoch."""
    height, width = recipe.stages[-1].hw
    pixels = sum(stage_pixels(stage) for stage in recipe.stages)
    epochs = max(1, round(pixels / (height * width)))
    return _single(recipe, recipe.stages[-1], epochs, "fixed-same-pixels")


def fixed_same_time(recipe: Recipe, run_id: str, epochs: int) -> Recipe:
    """One stage at the final size, as long as the run `run_id` trained.

    Its length in steps is measured at its start, when that run has finished; `epochs` is what a
    forecast says, shown until then.
    """
    single = _single(recipe, recipe.stages[-1], max(1, min(epochs, 500)), SAME_TIME)
    return single.but(same_time_as=run_id)


def small_only(recipe: Recipe) -> Recipe:
    """One stage at the first size with as many epochs, scored at the final size as well."""
    small = recipe.stages[0].but(size=first_size(recipe), ramp_from=None)
    return _scored_as(recipe, _single(recipe, small, recipe.total_epochs, "small-only"))


def fixres(recipe: Recipe) -> Recipe:
    """All but a few epochs at the first size, the rest adapt last norm and head to the final one.

    One epoch in four adapts, at least one, rounded to the nearest (7 epochs: 5 and 2), as 10 of 40
    do in the Keras example, at a tenth of the rate as there. The adapting epochs frame pictures as
    the test does; of the augmentation only the flip stays, which changes no size. The authors' own
    adaptation is of the same kind (Touvron et al. 2019, arXiv 1906.06423).
    """
    adapting = max(1, math.floor(recipe.total_epochs / ADAPT_SHARE + 0.5))
    small = recipe.stages[0].but(size=first_size(recipe), ramp_from=None)
    first = _plain_stage(recipe, small, max(0, recipe.total_epochs - adapting))
    last = recipe.stages[-1]
    end = _plain_stage(recipe, last, adapting).but(
        trainable="last-norm+head",
        lr=first.lr if first.lr == "finder" else first.lr / ADAPT_SLOWER,
        resize="as-test",
        valid_resize=last.test_resize,
        augment=Augment.off().but(flip=last.augment.flip).model_dump(),
        augment_off_epochs=0,
    )
    return _scored_as(recipe, _staged(recipe, (first, end), "fixres"))


def head_only(recipe: Recipe) -> Recipe:
    """As many epochs of the head alone, on activations cached once at the final size.

    No augmentation: what is cached does not change.
    """
    stage = _plain_stage(recipe, recipe.stages[-1], recipe.total_epochs).but(
        trainable="head",
        cached_activations=True,
        augment=Augment.off().model_dump(),
        augment_off_epochs=0,
    )
    return _scored_as(recipe, _staged(recipe, (stage,), "head-only"))


def single_target(recipe: Recipe) -> Recipe:
    """The same stages, learning the first label alone."""
    dataset = recipe.dataset.but(second_target="")
    return recipe.but(name=_name(recipe, "single-target"), dataset=dataset.model_dump())


BASELINES: dict[str, Callable[[Recipe], Recipe]] = {
    "fixed-same-epochs": fixed_same_epochs,
    "fixed-same-pixels": fixed_same_pixels,
    "small-only": small_only,
    "fixres": fixres,
    "head-only": head_only,
    "single-target": single_target,
}  # those that the recipe alone decides


def baseline(kind: str, recipe: Recipe, run_id: str = "", epochs: int = 1) -> Recipe:
    """The baseline of a kind. LabError where there is no such kind, or it would say nothing."""
    if kind not in KINDS:
        raise LabError(f"There is no baseline {kind!r}.", f"Use {', '.join(KINDS)}.")
    if problem := refusal(kind, recipe):
        raise LabError.of([problem])
    made = BASELINES.get(kind)
    return made(recipe) if made else fixed_same_time(recipe, run_id, epochs)


def refusal(kind: str, recipe: Recipe) -> Problem | None:
    """Why a baseline would answer nothing for this recipe; None where it means something."""
    same = "Choose a schedule that grows, or another question."
    if kind == "single-target" and not recipe.dataset.second_target:
        return Problem("dataset.second_target", "There is no second label.", "Choose one first.")
    if kind == "head-only" and recipe.model.weights == "none":
        return Problem(
            "model.weights",
            "The weights are random: a frozen body that never learned anything teaches nothing.",
            "Start from pretrained weights.",
        )
    if kind in ("fixed-same-pixels", "small-only", "fixres") and not grows(recipe):
        return Problem("stages", "The schedule has one size only: there is no smaller one.", same)
    if kind in ("fixed-same-epochs", SAME_TIME) and is_plain(recipe):
        return Problem("stages", "The schedule is one plain stage: it would be the same.", same)
    if kind == "fixres":
        return _no_fixres(recipe)
    return None


def _no_fixres(recipe: Recipe) -> Problem | None:
    if recipe.stages[-1].trainable.startswith("last-norm"):
        return Problem("stages", "The schedule is FixRes already.", "Choose another question.")
    if recipe.total_epochs < 2:
        return Problem(
            "stages", "One epoch cannot be divided into training and adapting.", "Give it more."
        )
    return None


def grows(recipe: Recipe) -> bool:
    """Whether the schedule has more than one size."""
    ramps = any(stage.ramp_from is not None for stage in recipe.stages)
    return ramps or len({stage.hw for stage in recipe.stages}) > 1


def is_plain(recipe: Recipe) -> bool:
    """Whether the schedule is what a baseline of one size would be: one stage, all under one
    curve."""
    first, *more = recipe.stages
    simple = first.schedule != "restarts" and not first.frozen_epochs and first.trainable == "all"
    return not more and not grows(recipe) and simple


def first_size(recipe: Recipe) -> Size:
    """The size that training begins with; of a ramp, where it begins."""
    first = recipe.stages[0]
    return first.size if first.ramp_from is None else first.ramp_from


def leading_stage(recipe: Recipe) -> int:
    """The stage whose rate a baseline of one stage takes: the first that trains everything."""
    everything = [n for n, stage in enumerate(recipe.stages) if stage.trainable == "all"]
    return everything[0] if everything else 0


def _plain_stage(recipe: Recipe, stage: Stage, epochs: int) -> Stage:
    """A stage of one curve, all trainable, under the leading stage's rate."""
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
    }
    if stage.resize == "as-test":  # pictures of FixRes are for adapting, not for training
        changes |= {"resize": first.resize, "min_scale": first.min_scale}
        changes |= {"valid_resize": stage.test_resize}
    return stage.but(**changes)


def _single(recipe: Recipe, stage: Stage, epochs: int, kind: str) -> Recipe:
    """One stage, all trainable, under the leading stage's rate and the given one's pictures."""
    return _staged(recipe, (_plain_stage(recipe, stage, epochs),), kind)


def _staged(recipe: Recipe, stages: tuple[Stage, ...], kind: str) -> Recipe:
    """The recipe with other stages, and a name that says which baseline it is."""
    values = tuple(stage.model_dump() for stage in stages)
    return recipe.but(name=_name(recipe, kind), stages=values, same_time_as="")


def _name(recipe: Recipe, kind: str) -> str:
    return f"{recipe.name or recipe.preset or 'run'}: {kind}"[:120]


def _scored_as(recipe: Recipe, other: Recipe) -> Recipe:
    """`other` scored at the size, and under the test transform, that the recipe is scored with."""
    last, wanted = recipe.stages[-1], recipe.evaluation
    height, width = hw(wanted.size or last.size)
    evaluation = wanted.but(
        size=height if height == width else (height, width),
        resize=last.test_resize if wanted.resize == "auto" else wanted.resize,
        crop_pct=wanted.crop_pct or last.valid_crop_pct,
    )
    return other.but(evaluation=evaluation.model_dump())
