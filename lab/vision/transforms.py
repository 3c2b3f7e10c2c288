"""Test transforms of stages: what validation, scores and exports see."""

from __future__ import annotations

from collections.abc import Sequence

from lab.data.transform import TestTransform, fill_of
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage


def test_transform(
    stage: Stage,
    mean: Sequence[float],
    interpolation: str = "bicubic",  # noqa: PT028
) -> TestTransform:
    """A stage's own test transform. `mean` (per channel, 0..1) fills borders."""
    return TestTransform(
        *stage.hw, stage.test_resize, stage.valid_crop_pct, interpolation, fill_of(mean)
    )


test_transform.__test__ = False  # no test, whatever pytest thinks of the name


def final_transform(
    recipe: Recipe, mean: Sequence[float], interpolation: str = "bicubic"
) -> TestTransform:
    """The transform of the final scores: the evaluation's choices, else the last stage's."""
    last, chosen = recipe.stages[-1], recipe.evaluation
    resize = last.test_resize if chosen.resize == "auto" else chosen.resize
    share = chosen.crop_pct or last.valid_crop_pct
    return TestTransform(*recipe.final_hw, resize, share, interpolation, fill_of(mean))
