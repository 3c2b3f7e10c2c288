"""Choosing an epoch by its validation error: what early stopping keeps, what the choice is worth.

    early_stop([0.3, 0.2, 0.25, 0.24, 0.23, 0.1], patience=3)   # (4, 1): ends at 4, keeps 1
    found = halves(wrong, numbers)                           # wrong: bool (epochs, n)
    found.gain

An epoch that was chosen because it looks best on some images looks better there than it is. What
the choice is worth shows on images that did not choose: here the other half, many times over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.schedules.rules import best_epoch, stops_early

REPEATS, PATIENCE = 2000, 3
LEAST_IMAGES = 20  # below that a half says nothing
CHUNK = 2_000_000  # places in the halves held at a time: 8 MB each


@dataclass(frozen=True)
class Honest:
    """Choosing on one half of the images, reading on the other; means over the repeats, fractions.

    gain: error of the last epoch less that of the chosen one, on the same half. low, high: the
    middle 95 % of the repeats: how much it hangs on the halves, no interval of the gain.
    """

    error: float  # of the chosen epoch
    gain: float
    low: float
    high: float
    repeats: int
    chosen: dict[int, float]  # epoch -> how often it was chosen


def early_stop(errors: Sequence[float], patience: int) -> tuple[int | None, int]:
    """(after which epoch it ends, which one it keeps): positions in `errors`. It ends after
    `patience` epochs without a better one, and keeps the best until then."""
    for done in range(1, len(errors)):
        if stops_early(errors[:done], patience):
            return done - 1, best_epoch(errors[:done])
    return None, best_epoch(errors)


def halves(
    wrong: np.ndarray, numbers: Sequence[int], repeats: int = REPEATS, seed: int = 0
) -> Honest | None:
    """Choose the epoch on a random half of the images, read it on the other half, many times.

    wrong: bool (epochs, n), the last epoch last. A half chooses a little worse than the whole
    would, so the honest gain is, if anything, a little too small.
    """
    n = wrong.shape[1]
    if n < LEAST_IMAGES:
        return None
    small = n // 2
    counts = _counts(wrong.T.astype(np.float32), small, repeats, seed)
    rest = (wrong.sum(axis=1) - counts) / (n - small)
    chosen = counts.argmin(axis=1)  # of equals the first, as everywhere
    read = rest[np.arange(repeats), chosen]
    gains = rest[:, -1] - read
    low, high = np.quantile(gains, [0.025, 0.975])
    share = np.bincount(chosen, minlength=len(numbers)) / repeats
    often = {int(k): float(part) for k, part in zip(numbers, share) if part > 0}
    return Honest(float(read.mean()), float(gains.mean()), float(low), float(high), repeats, often)


def _counts(wrong: np.ndarray, small: int, repeats: int, seed: int) -> np.ndarray:
    """Wrong answers among `small` images drawn without replacement: (repeats, epochs)."""
    rng, n = np.random.default_rng(seed), len(wrong)
    found = []
    for start in range(0, repeats, rows := max(1, CHUNK // n)):
        order = np.tile(np.arange(n, dtype=np.int32), (min(rows, repeats - start), 1))
        drawn = rng.permuted(order, axis=1) < small
        found.append(drawn.astype(np.float32) @ wrong)
    return np.concatenate(found)
