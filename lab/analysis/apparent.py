"""How large things look to a network in training and at test: the FixRes discrepancy.

    found = apparent(quad_areas(corners(matrices)), (128, 128), test_area, (128, 128))
    found.ratio, found.matched_px          # 1.28 times larger in training; alike at 164 px
    matched_side(stage, crop_pct)          # the same by formula, for a square picture

A random crop enlarges what it shows, and so does the centre crop of a test (Touvron et al. 2019).
Areas are in any unit that training and test share, such as shares of the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lab.recipe.stage import Stage
from lab.schedules.growth import matched_test_px

ALIKE = 0.02  # a difference in size below this is not spoken of
SPACE = "\u202f"
_CORNERS = np.array([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
Pair = tuple[int, int]


@dataclass(frozen=True)
class Apparent:
    """Things look `ratio` times as large in training as at test, `low` to `high` in nine of ten
    draws; tested at `matched_px` (a side, or that of the square of as many pixels) they look alike.
    """

    ratio: float
    low: float
    high: float
    matched_px: float


def corners(matrices: np.ndarray) -> np.ndarray:
    """Where the corners of the output lie on the picture: (n, 4, 2) x, y, in a round.

    matrices: (n, 3, 3), output [-1, 1] x [-1, 1] -> picture.
    """
    points = _CORNERS @ matrices.transpose(0, 2, 1)
    return points[..., :2] / points[..., 2:]


def quad_areas(quads: np.ndarray) -> np.ndarray:
    """Areas of quadrangles (n, 4, 2), by the shoelace formula: (n,)."""
    x, y = quads[..., 0], quads[..., 1]
    return 0.5 * np.abs((x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1))


def times_larger(train_areas: np.ndarray, train: Pair, test_area: float, test: Pair) -> np.ndarray:
    """Per training draw, how many times larger things look in it than at test: (n,).

    An area of the picture shown on (height, width) output pixels: lengths go by the square root.
    """
    return np.sqrt((math.prod(train) / train_areas) / (math.prod(test) / test_area))


def apparent(train_areas: np.ndarray, train: Pair, test_area: float, test: Pair) -> Apparent:
    """Training draws against one test crop.

    The mean is of test size over training size, as in the FixRes paper: so `matched_px` is the
    side at which that mean is 1.
    """
    larger = times_larger(train_areas, train, test_area, test)
    ratio = float(1 / np.mean(1 / larger))
    low, high = (float(value) for value in np.quantile(larger, (0.05, 0.95)))
    return Apparent(ratio, low, high, math.sqrt(math.prod(test)) * ratio)


def matched_side(stage: Stage, crop_pct: float) -> float:
    """The test side at which things look as large as in training, by formula.

    For a square picture and without what augmentation zooms. crop_pct: the test's centre crop.
    """
    side = math.sqrt(math.prod(stage.hw))
    if stage.resize == "as-test":  # framed as in validation: only another centre crop changes it
        return side * crop_pct / stage.valid_crop_pct
    return side * matched_test_px(1, stage.min_scale, crop_pct)


def size_words(ratio: float, side: str, matched_px: float) -> str:
    """`Objects look 1.28 times larger in training than at test at 128 px; tested at ...`."""
    if abs(ratio - 1) < ALIKE:
        return f"Objects look as large in training as at test at {side}."
    times, word = (ratio, "larger") if ratio > 1 else (1 / ratio, "smaller")
    return (
        f"Objects look {times:.2f} times {word} in training than at test at {side}; "
        f"tested at {matched_px:.0f}{SPACE}px they look the same."
    )
