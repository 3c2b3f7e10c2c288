"""Size is colour: a stage has one colour everywhere. Runs have another palette, and a dash.

size_colour(96, [64, 96, 128])   # "#3ea294"; light is small, dark is large, in both themes
run_style(0)                     # ("#0072b2", "solid")
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lab.recipe import Recipe

Size = int | float | Sequence[int]

# Lime to indigo. Lightness falls all the way, so it reads without colour; yellow-blue differences
# survive red-green blindness. Both ends stay clear of both backgrounds: 1.7 on white, 2.4 on dark.
SIZE_ANCHORS = ("#a9cf5a", "#4fb287", "#2a91a0", "#3a6bb0", "#5b4aa6")

# Okabe and Ito (2008) without black and yellow: a dark page swallows one, a white one the other.
RUN_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
RUN_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")

GOOD, BAD, NEUTRAL = "#009e73", "#d55e00", "#7d858f"  # the same family; never the only cue

BAND_ALPHA = 0.2  # bands lie behind curves: text and lines stay readable on both themes
_SMALLEST_PX, _LARGEST_PX = 32, 512  # ends of the scale for a run that has one size only


def side_px(size: Size) -> float:
    """One number for a size: the side, or the side of the square with as many pixels."""
    if isinstance(size, int | float):
        return float(size)
    return math.sqrt(size[0] * size[1])


def size_colour(size: Size, sides: Sequence[Size]) -> str:
    """The colour of `size` among all `sides` of a run (or of all runs on one screen).

    Half by rank, half by log size: neighbours stay apart, and a jump looks like a jump. A run with
    one size takes its colour from an absolute scale.
    """
    return _scale(_place(size, sides))


def _place(size: Size, sides: Sequence[Size]) -> float:
    """Where a size lies on the scale of colours: 0 small, 1 large."""
    known = sorted({round(side_px(side), 2) for side in [*sides, size]})
    own = round(side_px(size), 2)
    if len(known) == 1:
        return math.log(own / _SMALLEST_PX) / math.log(_LARGEST_PX / _SMALLEST_PX)
    rank = known.index(own) / (len(known) - 1)
    share = math.log(own / known[0]) / math.log(known[-1] / known[0])
    return (rank + share) / 2


def recipe_sides(recipe: Recipe) -> list[Size]:
    """All sizes of a recipe that have a colour of their own: stages', and where ramps begin."""
    ramps = [stage.ramp_from for stage in recipe.stages if stage.ramp_from is not None]
    return [*(stage.size for stage in recipe.stages), *ramps]


def way_colour(size: Size, sides: Sequence[Size]) -> str:
    """The colour of a size that a ramp passes: between those of its neighbours among `sides`.

    The sizes of the stages keep their colours, however many sizes lie on the way.
    """
    ends = sorted({round(side_px(side), 2): side for side in sides}.items())
    own = round(side_px(size), 2)
    below = [side for side in ends if side[0] <= own]
    above = [side for side in ends if side[0] >= own]
    if not below or not above or below[-1][0] == own:
        return size_colour(size, sides)
    (low, first), (high, last) = below[-1], above[0]
    share = math.log(own / low) / math.log(high / low)
    start = _place(first, sides)
    return _scale(start + share * (_place(last, sides) - start))


def on_top(colour: str) -> str:
    """Black or white, whichever reads better on `colour`."""
    return max(("#000000", "#ffffff"), key=lambda text: contrast(text, colour))


def band_fill(colour: str, alpha: float = BAND_ALPHA) -> str:
    """The colour as a see-through fill that works on both themes."""
    red, green, blue = _rgb(colour)
    return f"rgba({red},{green},{blue},{alpha:g})"


def run_style(index: int) -> tuple[str, str]:
    """(colour, plotly dash) of the index-th run on a chart; 35 differ."""
    return RUN_COLOURS[index % len(RUN_COLOURS)], RUN_DASHES[index % len(RUN_DASHES)]


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """WCAG 2 relative luminance of "#rrggbb", 0 to 1."""
    red, green, blue = (_linear(value / 255) for value in _rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _scale(share: float) -> str:
    """The colour at 0 (small) to 1 (large), straight between anchors."""
    place = min(max(share, 0.0), 1.0) * (len(SIZE_ANCHORS) - 1)
    start = min(int(place), len(SIZE_ANCHORS) - 2)
    pairs = zip(_rgb(SIZE_ANCHORS[start]), _rgb(SIZE_ANCHORS[start + 1]))
    mixed = (round(low + (high - low) * (place - start)) for low, high in pairs)
    return "#" + "".join(f"{value:02x}" for value in mixed)
