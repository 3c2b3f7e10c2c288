"""How sizes and strengths grow from stage to stage, and the test size that matches training.

spread(first=5, last=15, stages=4)                          -> (5, 8.33, 11.67, 15)
matched_test_px(224, min_scale=0.08, crop_pct=0.875)        -> 277
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.recipe.model import Recipe, recipe_from


def spread(first: float, last: float, stages: int) -> tuple[float, ...]:
    """Values linear in the stage's index, as EfficientNetV2 spreads size and regularisation."""
    if stages == 1:
        return (last,)
    return tuple(first + (last - first) * i / (stages - 1) for i in range(stages))


def spread_over(recipe: Recipe, name: str, first: float, last: float) -> Recipe:
    """A stage's field, or `augment.<field>`, linear over the stages. Whole numbers stay whole.

    Raises LabError where a value is outside the field's bounds.
    """
    part, _, field = name.rpartition(".")
    values = recipe.dump()
    for stage, value in zip(values["stages"], spread(first, last, len(values["stages"]))):
        owner = stage[part] if part else stage
        owner[field] = round(value) if type(owner[field]) is int else value
    return recipe_from(values)


def halved_rates(recipe: Recipe) -> Recipe:
    """Half the rate at every new size. Rates from the finder stay (the finder says them anew)."""
    values, factor, size = recipe.dump(), 1.0, None
    first = next((s.lr for s in recipe.stages if s.lr != "finder"), None)
    for stage, known in zip(values["stages"], recipe.stages):
        if size is not None and known.hw != size:
            factor /= 2
        size = known.hw
        if known.lr != "finder":
            stage["lr"] = first * factor
    return recipe_from(values)


def mean_relative_scale(min_scale: float) -> float:
    """E[sigma], the mean of the square root of a crop area drawn from U(min_scale, 1)."""
    if min_scale >= 1:
        return 1.0
    return (2 / 3) * (1 - min_scale**1.5) / (1 - min_scale)


def matched_test_px(train_px: int, min_scale: float, crop_pct: float) -> float:
    """The test size at which things look as large as in training (derived from FixRes).

    Random crops enlarge what they show: K_test = K_train * crop_pct / E[sigma].
    """
    return train_px * crop_pct / mean_relative_scale(min_scale)


def relative_cost(sizes: Sequence[tuple[int, int]]) -> float:
    """Pixels of a sequence of sizes over as many at the last one."""
    last = sizes[-1][0] * sizes[-1][1]
    return sum(height * width for height, width in sizes) / (last * len(sizes))
