"""The learning-rate finder: one batch at each of many growing rates, until the loss blows up.

    curve = find(step, n=100)        # step(lr) trains one batch with every group at lr: its loss

Whoever supplies `step` keeps weights, buffers, optimizer and random state, and puts them back.
Source: Smith 2015 (arXiv 1506.01186); semantics of fastai 2.8.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lab.schedules.finder import END, START, STEPS, finder_lrs, smoothed

BLOWN_UP = 4.0  # times the best smoothed loss


@dataclass(frozen=True)
class LrCurve:
    """Rates, losses before each step and their debiased running means, all of one length.

    `stopped`: '' where every step was taken, else why not. Where a loss had no value, it is last.
    """

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    smooth: tuple[float, ...]
    stopped: Literal["", "blew up", "no value", "asked"] = ""


def find(
    step: Callable[[float], float],
    n: int = STEPS,
    start: float = START,
    end: float = END,
    stop: Callable[[], bool] = lambda: False,
) -> LrCurve:
    """Take up to n steps at rates from start towards end. `stop` is asked before each of them."""
    losses: list[float] = []
    smooth: list[float] = []
    stopped, best = "", math.inf
    lrs = finder_lrs(n, start, end)
    for lr in lrs:
        if stop():
            stopped = "asked"
            break
        losses.append(float(step(lr)))
        smooth = smoothed(losses)
        best = min(best, smooth[-1])
        if not math.isfinite(smooth[-1]):
            stopped = "no value"
            break
        if smooth[-1] > BLOWN_UP * best:
            stopped = "blew up"
            break
    return LrCurve(lrs[: len(losses)], tuple(losses), tuple(smooth), stopped)
