"""What a method saves: time at equal error, error at equal time; from the curves of its runs.

    for row in saved(group_a, group_b): print(row.verdict)      # seconds, then error rate

Time is time at work: training and validation of the epochs so far (`elapsed` of the epoch table).
Errors on the way are those of the epoch table, each at its epoch's own size. Two cautions are part
of the words: a curve's first touch of an error may be a lucky epoch, and an error in the middle of
a schedule that comes down at its end is no final one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from lab.analysis.compare import final_predictions, why_not
from lab.analysis.curves import epochs_frame
from lab.analysis.groups import Group
from lab.analysis.methods import complete_by_seed
from lab.analysis.significance import mean_interval
from lab.runs.events import read_events
from lab.runs.folder import RunFolder

ALIKE = 0.03  # totals that differ by less count as equal: a baseline of equal time is within this


@dataclass(frozen=True)
class Saved:
    """a - b: above zero, a needed more. The interval is over seeds, and only with two or more."""

    a: str
    b: str
    metric: str  # "seconds_to_equal_error" or "error_at_equal_time"
    difference: float | None
    low: float | None
    high: float | None
    p: None
    n: int  # pairs of runs
    verdict: str
    value_a: float | None = None  # means: seconds, or error rates
    value_b: float | None = None
    at: float | None = None  # mean: the error that both reach, or the seconds that both had
    kind: str = "saved"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Curve:
    """Error rate after each epoch, and the seconds until then; both (epochs,)."""

    elapsed: np.ndarray
    error: np.ndarray

    @classmethod
    def of(cls, epochs: pd.DataFrame) -> Curve:
        """From the epoch table (`epochs_frame`); epochs without an error rate are left out."""
        known = epochs[epochs["error_rate"].notna()]
        return cls(known["elapsed"].to_numpy(float), known["error_rate"].to_numpy(float))

    @property
    def total(self) -> float:
        return float(self.elapsed[-1])


def saved_by(groups: Sequence[Group]) -> list[Saved]:
    """Both figures for every two methods."""
    return [row for a, b in combinations(groups, 2) for row in saved(a, b)]


def saved(a: Group, b: Group) -> list[Saved]:
    """Time at equal error and error at equal time of two methods; nothing where one has no
    finished run, or where they were scored on different images."""
    runs = [complete_by_seed(group) for group in (a, b)]
    if not all(runs) or _refused(*(next(iter(found.values())) for found in runs)):
        return []
    curves = [{seed: _curve(run) for seed, run in found.items()} for found in runs]
    common = sorted(set(curves[0]) & set(curves[1]))
    pairs = [(curves[0][k], curves[1][k]) for k in common] or [
        *product(curves[0].values(), curves[1].values())
    ]
    pairs = [(x, y) for x, y in pairs if len(x.error) and len(y.error)]
    if not pairs:
        return []
    return [_time(a.name, b.name, pairs, bool(common)), _error(a.name, b.name, pairs, bool(common))]


def _refused(a: RunFolder, b: RunFolder) -> str:
    return why_not(final_predictions(a), final_predictions(b))


def _curve(run: RunFolder) -> Curve:
    return Curve.of(epochs_frame(read_events(run)))


def equal_error(a: Curve, b: Curve) -> tuple[float, float, float]:
    """(error, seconds of a, seconds of b): when each first makes no more errors than the one that
    ends worse ends with. Both always get there."""
    target = max(a.error[-1], b.error[-1])
    first = [int(np.argmax(curve.error <= target + 1e-12)) for curve in (a, b)]
    return float(target), float(a.elapsed[first[0]]), float(b.elapsed[first[1]])


def equal_time(a: Curve, b: Curve) -> tuple[float, float, float] | None:
    """(seconds, error of a, error of b) when the quicker one has ended: the last epoch that each
    had finished by then. None where the slower one had not finished any."""
    seconds = min(a.total, b.total)
    if max(a.total, b.total) <= seconds * (1 + ALIKE):
        return seconds, float(a.error[-1]), float(b.error[-1])
    done = [int((curve.elapsed <= seconds + 1e-9).sum()) for curve in (a, b)]
    if not all(done):
        return None
    return seconds, float(a.error[done[0] - 1]), float(b.error[done[1] - 1])


Pairs = Sequence[tuple[Curve, Curve]]


def _time(a: str, b: str, pairs: Pairs, paired: bool) -> Saved:
    found = np.array([equal_error(*pair) for pair in pairs])
    at, mine, theirs = found.mean(axis=0)
    low, high = _interval(found, paired)
    values = (float(mine), float(theirs), float(at))
    numbers = (float(mine - theirs), low, high, None, len(pairs))
    words = _time_words(a, b, *values, len(pairs))
    return Saved(a, b, "seconds_to_equal_error", *numbers, words, *values)


def _error(a: str, b: str, pairs: Pairs, paired: bool) -> Saved:
    each = [equal_time(*pair) for pair in pairs]
    metric = "error_at_equal_time"
    if any(one is None for one in each):
        words = f"{a} and {b}: when the quicker one had ended, the other had no epoch behind it."
        return Saved(a, b, metric, None, None, None, None, len(pairs), words)
    found = np.array(each)
    at, mine, theirs = found.mean(axis=0)
    low, high = _interval(found, paired)
    values = (float(mine), float(theirs), float(at))
    numbers = (float(mine - theirs), low, high, None, len(pairs))
    return Saved(a, b, metric, *numbers, _error_words(a, b, *values, pairs), *values)


def _interval(found: np.ndarray, paired: bool) -> tuple[float | None, float | None]:
    """t over paired seeds; rows of (at, a, b)."""
    gaps = found[:, 1] - found[:, 2]
    return (mean_interval(gaps) if paired else None) or (None, None)


def _time_words(a: str, b: str, mine: float, theirs: float, at: float, n: int) -> str:
    quick, slow = sorted(((mine, a), (theirs, b)), key=lambda pair: pair[0])
    error = f"{100 * at:.1f} % errors"
    if slow[0] - quick[0] <= ALIKE * slow[0]:
        return f"{a} and {b} came down to {error} in about the same time ({_clock(slow[0])})."
    less = 1 - quick[0] / slow[0]
    return (
        f"{quick[1]} came down to {error} in {_clock(quick[0])}, {slow[1]} in {_clock(slow[0])}: "
        f"{100 * less:.0f} % less time{_mean_of(n)}. It is where each curve first touches that "
        "error, at its own size then, which may be a lucky epoch."
    )


def _error_words(a: str, b: str, mine: float, theirs: float, seconds: float, pairs: Pairs) -> str:
    better, worse = sorted(((mine, a), (theirs, b)), key=lambda pair: pair[0])
    gap = 100 * (worse[0] - better[0])
    rates = f"{100 * better[0]:.1f} % against {100 * worse[0]:.1f} %"
    first = f"After {_clock(seconds)}{_mean_of(len(pairs))}, "
    if round(gap, 1) == 0:
        first += f"{a} and {b} made as many errors ({rates})."
    else:
        first += f"{better[1]} made {gap:.1f} points fewer errors than {worse[1]} ({rates})."
    longer = _longer(a, b, pairs)
    if not longer:
        return f"{first} Both took about that long, so these are final errors."
    return (
        f"{first} {longer} was in the middle of its schedule then: a schedule made for that time "
        "would have ended better, so the run of equal time is the fair opponent."
    )


def _longer(a: str, b: str, pairs: Pairs) -> str:
    """The one that took longer, '' where they took about as long."""
    mine, theirs = (np.mean([pair[at].total for pair in pairs]) for at in (0, 1))
    if max(mine, theirs) <= min(mine, theirs) * (1 + ALIKE):
        return ""
    return a if mine > theirs else b


def _mean_of(n: int) -> str:
    return f" (mean of {n} pairs of runs)" if n > 1 else ""


def _clock(seconds: float) -> str:
    """`3:41`; above an hour `1:03:41`."""
    whole = int(seconds + 0.5)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
