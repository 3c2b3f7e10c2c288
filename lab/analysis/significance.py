"""Paired tests for two models on the same images: which differences are more than chance.

    error_difference(right_a, right_b)   ->  Paired(difference, low, high, p)
    mean_difference(loss_a, loss_b)      ->  the same, for any score per image

Differences are a - b: above zero, b is the better one. Intervals are 95 % bootstrap intervals over
images; they say nothing about other seeds of the same method (`seed_difference` does).
"""

from __future__ import annotations

from dataclasses import dataclass

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
    n = len(right_a)
    worse, better = int((~right_a & right_b).sum()), int((right_a & ~right_b).sum())
    p = float(binomtest(worse, worse + better, 0.5).pvalue) if worse + better else 1.0
    # Resampling images resamples three kinds of them: counts are enough, at any n.
    shares = [worse / n, better / n, 1 - (worse + better) / n]
    counts = np.random.default_rng(seed).multinomial(n, shares, RESAMPLES)
    low, high = np.quantile((counts[:, 0] - counts[:, 1]) / n, [0.025, 0.975])
    return Paired((worse - better) / n, float(low), float(high), p, n)


def mean_difference(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Paired:
    """Mean of a minus mean of b, a score per image each. p: random swaps of a and b per image."""
    gaps = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    n, observed = len(gaps), float(np.mean(gaps))
    rng = np.random.default_rng(seed)
    means, swapped = np.empty(RESAMPLES), np.empty(RESAMPLES)
    rows = max(1, CHUNK // n)
    for start in range(0, RESAMPLES, rows):
        at = slice(start, min(start + rows, RESAMPLES))
        shape = (at.stop - at.start, n)
        means[at] = gaps[rng.integers(0, n, shape)].mean(axis=1)
        swapped[at] = (rng.integers(0, 2, shape, dtype=np.int8) * 2 - 1) @ gaps / n
    low, high = np.quantile(means, [0.025, 0.975])
    extreme = int((np.abs(swapped) >= abs(observed) - 1e-15).sum())
    return Paired(observed, float(low), float(high), (1 + extreme) / (1 + RESAMPLES), n)


def seed_difference(a: np.ndarray, b: np.ndarray) -> Paired:
    """Mean of a - b over runs of two methods paired by seed: a t interval, for at least two seeds.

    With three seeds a bootstrap over seeds rejects true nulls far too often (26 % in a simulation).
    """
    gaps = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    if len(gaps) < 2:
        raise ValueError("one seed says nothing about other seeds")
    n, centre, error = len(gaps), float(gaps.mean()), float(gaps.std(ddof=1) / np.sqrt(len(gaps)))
    if error == 0:
        return Paired(centre, centre, centre, 1.0 if centre == 0 else 0.0, n)
    reach = float(t.ppf(0.975, n - 1)) * error
    p = 2 * float(t.sf(abs(centre) / error, n - 1))
    return Paired(centre, centre - reach, centre + reach, p, n)


def rate_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate."""
    found = binomtest(successes, n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
