"""The learning-rate finder's arithmetic: rates to try, smoothing, and what a curve suggests.

    found = suggest(lrs, losses)      # found.valley, .minimum, .steep, .slide, .words

Definitions are fastai 2.8's (`lr_find`); its suggestions read the smoothed losses, so do these.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.recipe.model import Recipe

STEPS, START, END = 100, 1e-7, 10.0
BETA = 0.98  # of the smoothed loss
LAST_LEFT_OUT = 5  # steps at the end that no suggestion reads
FEWEST, FEWEST_SLIDE = 10, 16  # usable steps that a suggestion needs; slide compares 15 apart
SLIDE_APART, SLIDE_GAP = 15, 0.005
TINY = 0.01  # a loss below this at the beginning has no fall left to show
HARDLY = 0.02  # a fall by less than this share is the noise of the batches

# What the curve of a stage does not depend on: rates, and how and for how long they are used.
_NOT_ITS_BUSINESS = {
    "lr", "epochs", "group_rates", "lr_ratio", "layer_decay", "schedule", "cycle_len", "cycle_mult",
    "max_cycles", "cycle_patience", "pct_start", "div", "div_final", "augment_off_epochs",
}  # fmt: skip


@dataclass(frozen=True)
class Suggestions:
    """Rates that a curve suggests; None where it cannot say. `words`: why, or ''."""

    valley: float | None = None
    minimum: float | None = None
    steep: float | None = None
    slide: float | None = None
    words: str = ""


def finder_lrs(n: int = STEPS, start: float = START, end: float = END) -> tuple[float, ...]:
    """The rates of n steps, equal in ratio: start first; the next after the last would be end."""
    return tuple(start * (end / start) ** (i / n) for i in range(n))


def smoothed(losses: Sequence[float], beta: float = BETA) -> list[float]:
    """Running mean without start-up bias: of loss k, each earlier one weighs beta times the next.

    A loss without a value makes all that follow so too.
    """
    found, mean = [], 0.0
    for count, loss in enumerate(losses, start=1):
        mean = beta * mean + (1 - beta) * loss
        found.append(mean / (1 - beta**count))
    return found


def usable(
    lrs: Sequence[float], losses: Sequence[float], n: int = STEPS
) -> tuple[np.ndarray, np.ndarray]:
    """The steps that suggestions read: a tenth of n left out first, five last, up to the first NaN.

    n: steps that the search was to take; it may have ended earlier.
    """
    assert len(lrs) == len(losses)
    rates, kept = (np.asarray(v, dtype=float)[n // 10 : -LAST_LEFT_OUT] for v in (lrs, losses))
    bad = np.flatnonzero(~np.isfinite(kept))
    end = int(bad[0]) if len(bad) else len(kept)
    return rates[:end], kept[:end]


def valley(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """The rate half-way along the longest fall.

    The fall is the longest strictly decreasing subsequence, the first of equals. With L its length
    and e the step it ends at: step e - L + int(L / 3) + int(L / 6), never before the first.
    """
    values = np.asarray(losses, dtype=float)
    lengths = np.ones(len(values), dtype=int)  # of the longest fall that ends at each step
    for i in range(1, len(values)):
        higher = lengths[:i][values[:i] > values[i]]
        lengths[i] += higher.max(initial=0)
    end = int(lengths.argmax())
    length = int(lengths[end])
    return float(lrs[max(0, end - length + int(length / 3) + int(length / 6))])


def minimum(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """A tenth of the rate with the lowest loss."""
    return float(lrs[int(np.argmin(losses))]) / 10


def steep(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """The rate where the loss falls most per unit of log rate."""
    return float(lrs[int(np.argmin(np.diff(losses) / np.diff(np.log(lrs))))])


def slide(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """From the right end, two steps 15 apart slide left while their slopes differ by over 0.005.

    The left one's rate where they come to rest. Needs 16 steps.
    """
    assert len(losses) >= FEWEST_SLIDE
    slope = np.gradient(np.asarray(losses, dtype=float))
    left = len(slope) - 1 - SLIDE_APART
    rate = float(lrs[left])
    while left >= 0 and abs(slope[left + SLIDE_APART] - slope[left]) > SLIDE_GAP:
        rate = float(lrs[left])
        left -= 1
    return rate


def suggest(lrs: Sequence[float], losses: Sequence[float], n: int = STEPS) -> Suggestions:
    """All suggestions of a search that was to take n steps, from its losses as they came.

    Never raises for a strange curve: what cannot be said is None, and `words` say why.
    """
    rates, kept = usable(lrs, smoothed(losses), n)
    if words := _nothing_to_say(lrs, kept, n):
        return Suggestions(words=words)
    enough = len(kept) >= FEWEST_SLIDE
    return Suggestions(
        valley=valley(rates, kept),
        minimum=minimum(rates, kept),
        steep=steep(rates, kept),
        slide=slide(rates, kept) if enough else None,
        words="" if enough else f"Slide needs {FEWEST_SLIDE} usable steps; here are {len(kept)}.",
    )


def _nothing_to_say(lrs: Sequence[float], kept: np.ndarray, n: int) -> str:
    """Why a curve suggests nothing; '' where it does."""
    if len(kept) < FEWEST:
        ended = f" The loss blew up at a rate of {lrs[-1]:.1g}." if 0 < len(lrs) < n else ""
        return (
            f"The search is too short: {len(kept)} usable steps, {FEWEST} are needed.{ended} "
            + ("Begin at a smaller rate." if ended else "Take more steps.")
        )
    first, fall = float(kept[0]), float(kept[0] - kept.min())
    if first < TINY:
        return (
            f"The loss is tiny from the beginning ({first:.1g}): no rate can show a fall. "
            "These weights have learnt these pictures already."
        )
    if fall <= 0:
        return (
            f"The loss never falls below the {first:.3g} that it begins with. "
            "Keep the rate you have; look at labels and first weights."
        )
    if fall < HARDLY * first:
        return (
            f"The curve is flat: the loss falls from {first:.3g} to {first - fall:.3g} only, which "
            "may be chance. Keep the rate you have, or search with larger batches."
        )
    return ""


def finite(values: Sequence[float]) -> list[float | None]:
    """For JSON: None where there is no value."""
    return [float(value) if math.isfinite(value) else None for value in values]


def curve_name(recipe: Recipe, stage: int) -> str:
    """A name for the curve of a stage: the same as long as nothing has changed that it depends on.

    Rates do not count: the curve stays when one of its suggestions is taken. Nor do other stages.
    """
    whole = {"dataset", "model", "optimizer", "seed", "precision"}
    values = recipe.model_dump(mode="json", include=whole, exclude_defaults=True)
    mine = recipe.stages[stage].model_dump(
        mode="json", exclude=_NOT_ITS_BUSINESS, exclude_defaults=True
    )
    document = json.dumps({**values, "stage": mine}, sort_keys=True)
    return f"lr-{hashlib.sha256(document.encode()).hexdigest()[:24]}-{stage}.json"
