"""Learning-rate and momentum curves as functions of the position p = step / steps (fastai 2.8).

p is taken before the step: the first is 0, the last 1 - 1/steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MOMENTUM_HIGH, MOMENTUM_LOW = 0.95, 0.85


def cosine(start: float, end: float, p: float) -> float:
    """From start (p = 0) to end (p = 1) along half a cosine."""
    return start + (1 + math.cos(math.pi * (1 - p))) * (end - start) / 2


def rise_and_fall(first: float, peak: float, last: float, pct_start: float, p: float) -> float:
    """first -> peak over the share pct_start, then peak -> last."""
    if p < pct_start:
        return cosine(first, peak, p / pct_start)
    return cosine(peak, last, (p - pct_start) / (1 - pct_start))


def one_cycle_lr(peak: float, p: float, pct_start: float, div: float, div_final: float) -> float:
    """The one-cycle rate. div and div_final both divide the peak (fastai's definition)."""
    return rise_and_fall(peak / div, peak, peak / div_final, pct_start, p)


def one_cycle_momentum(p: float, pct_start: float) -> float:
    """0.95 -> 0.85 -> 0.95, in step with the rate. Adam takes it as beta1."""
    return rise_and_fall(MOMENTUM_HIGH, MOMENTUM_LOW, MOMENTUM_HIGH, pct_start, p)


def cosine_lr(peak: float, p: float) -> float:
    """Half a cosine from the peak to 0."""
    return cosine(peak, 0.0, p)


def flat_cosine_lr(peak: float, p: float, pct_start: float, div_final: float) -> float:
    """The peak, from pct_start on down to peak / div_final along half a cosine (fit_flat_cos)."""
    if p < pct_start:
        return peak
    return cosine(peak, peak / div_final, (p - pct_start) / (1 - pct_start))


def restarts_lr(peak: float, p: float, cycles: Sequence[int]) -> float:
    """Cosine cycles from the peak to 0, one after the other (SGDR, arXiv 1608.03983).

    `cycles`: their lengths in any unit; p runs over all of them.
    """
    at = p * sum(cycles)
    for length in cycles[:-1]:
        if at < length - 1e-9:  # a step on a seam belongs to the new cycle, whatever p's rounding
            return cosine(peak, 0.0, max(at, 0.0) / length)
        at -= length
    return cosine(peak, 0.0, max(at, 0.0) / cycles[-1])


def group_peaks(
    lr: float, groups: int, how: str, ratio: float, decay: float = 0.75
) -> tuple[float, ...]:
    """Peak rates of n parameter groups, first to last.

    same: all lr. tenth: lr/10, the last lr (fastai's `slice(lr)`). geometric: from lr/ratio up to
    lr in equal ratios (fastai's `slice(lr/ratio, lr)`). layer-decay: each `decay` times the next.
    """
    if how == "same" or groups == 1:
        return (lr,) * groups
    if how == "layer-decay":
        return tuple(lr * decay ** (groups - 1 - i) for i in range(groups))
    if how == "tenth":
        return (lr / 10,) * (groups - 1) + (lr,)
    low = lr / ratio
    return tuple(low * ratio ** (i / (groups - 1)) for i in range(groups))
