"""Which differences are more than chance: of models on the same images, of methods over seeds.

    error_difference(right_a, right_b)              ->  Paired(difference, low, high, p, n)
    balanced_difference(right_a, right_b, target)   ->  the same, every class counting alike
    mean_difference(loss_a, loss_b)                 ->  the same, for any score per image
    seed_difference(a, b), welch_difference(a, b)   ->  the same, over seeds: paired, unpaired
    holm([0.01, 0.04])                              ->  p values corrected for how many there are

Differences are a - b: above zero, b is the better one. Intervals over images are 95 % bootstrap
intervals; they say nothing about other seeds of the same method: for that there are t intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from scipy.stats import binomtest, t

RESAMPLES = 10_000
CHUNK = 2_000_000  # random numbers held at a time: 16 MB


@dataclass(frozen=True)
class Paired:
    """a - b with its 95 % interval; p is two-sided, `n` counts pairs (images or seeds)."""

    difference: float
    low: float
    high: float
    p: float
    n: int


def error_difference(right_a: np.ndarray, right_b: np.ndarray, seed: int = 0) -> Paired:
    """Error rate of a minus that of b. p: exact McNemar test on the images where they differ."""
    worse, better = int((~right_a & right_b).sum()), int((right_a & ~right_b).sum())
    return difference_of_counts(worse, better, len(right_a), seed)


def difference_of_counts(worse: int, better: int, n: int, seed: int = 0) -> Paired:
    """The same from counts: of n images, only a is wrong on `worse`, only b on `better`."""
    p = float(binomtest(worse, worse + better, 0.5).pvalue) if worse + better else 1.0
    # Resampling images resamples three kinds of them: counts are enough, at any n.
    shares = [worse / n, better / n, 1 - (worse + better) / n]
    counts = np.random.default_rng(seed).multinomial(n, shares, RESAMPLES)
    low, high = np.quantile((counts[:, 0] - counts[:, 1]) / n, [0.025, 0.975])
    return Paired((worse - better) / n, float(low), float(high), p, n)


def balanced_difference(
    right_a: np.ndarray,
    right_b: np.ndarray,
    target: np.ndarray,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Paired:
    """Balanced error of a minus that of b. Images are drawn within their class, so that no class
    ever goes missing; p: random swaps of a and b per image."""
    rng = np.random.default_rng(seed)
    means, swapped, observed = np.zeros(resamples), np.zeros(resamples), 0.0
    classes = np.unique(target)
    for number in classes:
        a, b = right_a[target == number], right_b[target == number]
        n, worse, better = len(a), int((~a & b).sum()), int((a & ~b).sum())
        observed += (worse - better) / n
        counts = rng.multinomial(n, [worse / n, better / n, 1 - (worse + better) / n], resamples)
        means += (counts[:, 0] - counts[:, 1]) / n
        # A swap turns the sign of an image on which they differ; the others say nothing.
        swapped += (2 * rng.binomial(worse + better, 0.5, resamples) - (worse + better)) / n
    k = len(classes)
    low, high = np.quantile(means / k, [0.025, 0.975])
    p = _tail(swapped / k, observed / k)
    return Paired(observed / k, float(low), float(high), p, len(target))


def mean_difference(
    a: np.ndarray, b: np.ndarray, seed: int = 0, resamples: int = RESAMPLES
) -> Paired:
    """Mean of a minus mean of b, a score per image each. p: random swaps of a and b per image."""
    gaps = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    n, observed = len(gaps), float(np.mean(gaps))
    rng = np.random.default_rng(seed)
    means, swapped = np.empty(resamples), np.empty(resamples)
    rows = max(1, CHUNK // n)
    for start in range(0, resamples, rows):
        at = slice(start, min(start + rows, resamples))
        shape = (at.stop - at.start, n)
        means[at] = gaps[rng.integers(0, n, shape, dtype=np.int32)].mean(axis=1)
        # As floats: numpy multiplies matrices of whole numbers five times as slowly.
        kept = rng.integers(0, 2, shape, dtype=np.int8).astype(np.float64)
        swapped[at] = (2 * (kept @ gaps) - gaps.sum()) / n
    low, high = np.quantile(means, [0.025, 0.975])
    return Paired(observed, float(low), float(high), _tail(swapped, observed), n)


def _tail(drawn: np.ndarray, observed: float) -> float:
    """Share of draws at least as far from zero; the observed one counts as a draw itself."""
    extreme = int((np.abs(drawn) >= abs(observed) - 1e-12).sum())
    return (1 + extreme) / (1 + len(drawn))


def seed_difference(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> Paired:
    """Mean of a - b over runs of two methods paired by seed: a t interval, for at least two seeds.

    With three seeds a bootstrap over seeds rejects true nulls far too often (26 % in a simulation).
    Where the difference is the same at every seed there is no spread to make an interval of
    (low == high), and p is the sign test's: 0.25 for three seeds.
    """
    gaps = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    n, centre, error = len(gaps), *_centre(gaps)
    if error <= _nothing(gaps):
        return Paired(centre, centre, centre, 1.0 if abs(centre) < 1e-12 else 0.5 ** (n - 1), n)
    reach = float(t.ppf(0.975, n - 1)) * error
    p = 2 * float(t.sf(abs(centre) / error, n - 1))
    return Paired(centre, centre - reach, centre + reach, p, n)


def welch_difference(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> Paired:
    """The same for seeds that are not paired: Welch's t, at least two runs each; `n` counts runs.

    Where neither method spreads at all, p is that of the exact permutation test.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    (centre_a, error_a), (centre_b, error_b) = _centre(a), _centre(b)
    centre, n = centre_a - centre_b, len(a) + len(b)
    if max(error_a, error_b) <= _nothing(np.concatenate([a, b])):
        p = 1.0 if abs(centre) < 1e-12 else 2 / comb(n, len(a))
        return Paired(centre, centre, centre, min(p, 1.0), n)
    error = float(np.hypot(error_a, error_b))
    parts = error_a**4 / (len(a) - 1) + error_b**4 / (len(b) - 1)
    freedom = error**4 / parts  # Welch and Satterthwaite
    reach, p = float(t.ppf(0.975, freedom)) * error, 2 * float(t.sf(abs(centre) / error, freedom))
    return Paired(centre, centre - reach, centre + reach, p, n)


def mean_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float] | None:
    """The 95 % t interval of a mean over seeds; None below two seeds."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return None
    centre, error = _centre(values)
    reach = float(t.ppf(0.975, len(values) - 1)) * error
    return centre - reach, centre + reach


def _centre(values: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error. ValueError for a single value."""
    if len(values) < 2:
        raise ValueError("one seed says nothing about other seeds")
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _nothing(values: np.ndarray) -> float:
    """A spread that is rounding alone: 0.3 - 0.2 and 0.4 - 0.3 differ in the 17th digit."""
    return 1e-12 * max(1.0, float(np.abs(values).max()))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's corrected p values, in the order given: at most 5 % of such *families* of comparisons
    hold a false one at a level of 5 %."""
    order = np.argsort(ps, kind="stable")
    found, least = [0.0] * len(ps), 0.0
    for rank, at in enumerate(order):
        least = max(least, min(1.0, (len(ps) - rank) * ps[at]))
        found[at] = float(least)
    return found


def rate_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate."""
    found = binomtest(successes, n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
