"""All that is wrong or doubtful with one stage, by itself. See check.py."""

from __future__ import annotations

from collections.abc import Iterator

from lab.errors import Problem
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage, hw

MOST_EPOCHS = 1000


def stage_problems(recipe: Recipe, index: int, stage: Stage) -> Iterator[Problem]:
    place = f"stages.{index}"
    if stage.total_epochs == 0:
        yield Problem(f"{place}.epochs", "The stage trains nothing: no epochs.", "Give it one.")
    if stage.frozen_epochs and recipe.model.groups == 1:
        yield warn(
            f"{place}.frozen_epochs",
            "With one parameter group there is nothing to freeze: the frozen epochs train all.",
            "Set model.groups to 2, or take it as it is (the book's run was made so).",
        )
    yield from _cache_problems(recipe, place, stage)
    yield from _ramp_problems(place, stage)
    yield from _length_problems(place, stage)
    if stage.trainable != "all" and index == 0 and recipe.model.weights == "none":
        yield warn(
            f"{place}.trainable",
            "The body's weights are random, and this stage does not train them.",
            "Train all first, or start from pretrained weights.",
        )
    if stage.frozen_epochs and stage.trainable != "all":
        yield Problem(
            f"{place}.frozen_epochs",
            f"Frozen epochs have no meaning where only the {stage.trainable} learns.",
            "Set frozen_epochs to 0.",
        )
    if stage.lr != "finder" and stage.lr > 0.1 and recipe.optimizer.name != "sgd":
        yield warn(f"{place}.lr", f"A rate of {stage.lr:g} is very high for Adam.", "Try 0.003.")
    if stage.presize_px and stage.presize_px < max(stage.hw):
        yield warn(
            f"{place}.presize_px",
            f"Pictures are kept at {stage.presize_px} px and then enlarged to {stage.label}.",
            f"Set presize_px to {max(stage.hw)} or more.",
        )


def _cache_problems(recipe: Recipe, place: str, stage: Stage) -> Iterator[Problem]:
    if not stage.cached_activations:
        if stage.cached_views:
            yield warn(
                f"{place}.cached_views",
                "Views are kept for cached activations only.",
                "Switch cached_activations on, or set cached_views to 0.",
            )
        return
    if stage.trainable != "head":
        yield Problem(
            f"{place}.cached_activations",
            f"Activations can be cached only where the body rests; here {stage.trainable} learns.",
            "Set trainable to head.",
        )
    augment = stage.augment
    if not stage.cached_views and not augment.is_off:
        yield warn(
            f"{place}.cached_activations",
            "Augmentation has no effect while activations are cached.",
            "Keep some augmented views (cached_views), or train a stage without the cache after.",
        )
    if augment.mixup or augment.cutmix:
        yield warn(
            f"{place}.augment",
            "Mixing pictures has no effect while activations are cached.",
            "Set mixup and cutmix to 0.",
        )
    if stage.ramp_from is not None:
        yield Problem(
            f"{place}.ramp_from",
            "A size cannot grow while activations are cached: they are of one size.",
            "Set ramp_from to none, or switch cached_activations off.",
        )


def _ramp_problems(place: str, stage: Stage) -> Iterator[Problem]:
    if stage.ramp_from is None:
        return
    if stage.ramp_start >= stage.ramp_end:
        yield Problem(
            f"{place}.ramp_start",
            f"The size would begin to grow at {stage.ramp_start:g} and be grown at "
            f"{stage.ramp_end:g}.",
            "Let ramp_start be smaller than ramp_end.",
        )
    (low_h, low_w), (high_h, high_w) = hw(stage.ramp_from), stage.hw
    if low_h > high_h or low_w > high_w:
        yield Problem(
            f"{place}.ramp_from",
            f"The ramp begins at {low_h}×{low_w}, above the stage's {stage.label}.",
            "Begin smaller than the size.",
        )
    if stage.ramp_by == "epoch" and stage.total_epochs < 2:
        yield warn(
            f"{place}.ramp_by",
            "One epoch has no room to grow from epoch to epoch.",
            "Let it grow by batch, or give it more epochs.",
        )


def _length_problems(place: str, stage: Stage) -> Iterator[Problem]:
    if stage.total_epochs > MOST_EPOCHS:
        yield Problem(
            f"{place}.max_cycles",
            f"The cycles add up to {stage.total_epochs} epochs.",
            "Lower cycle_len, cycle_mult or max_cycles.",
        )
    if stage.augment_off_epochs >= max(1, stage.total_epochs) and not stage.augment.is_off:
        yield warn(
            f"{place}.augment_off_epochs",
            "The stage is without augmentation from beginning to end.",
            f"Use less than {stage.total_epochs}.",
        )
    if stage.cycle_patience and stage.schedule != "restarts":
        yield warn(
            f"{place}.cycle_patience",
            f"There are no cycles under {stage.schedule}.",
            "Set schedule to restarts, or cycle_patience to 0.",
        )


def warn(where: str, what: str, fix: str) -> Problem:
    """Something doubtful that does not forbid a launch."""
    return Problem(where, what, fix, level="warning")
