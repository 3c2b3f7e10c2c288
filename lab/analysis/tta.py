"""Test-time augmentation as arithmetic on stored probabilities: averages, and what they changed.

    average = fastai_average(plain, views, beta=0.25)
    counts = changes(plain, average, target)        # corrected, corrupted, p

plain: (n, classes). views: (n, views, classes). Averaging flips right answers to wrong ones too
(arXiv 2011.11156), so both kinds are always counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import binomtest

from lab.analysis.metrics import scores


def fastai_average(plain: np.ndarray, views: np.ndarray, beta: float = 0.25) -> np.ndarray:
    """beta * plain + (1 - beta) * mean of the views (fastai 2.8 `tta`)."""
    if views.shape[1] == 0:
        return np.array(plain)
    return beta * plain + (1 - beta) * views.mean(axis=1)


def mean(plain: np.ndarray, views: np.ndarray) -> np.ndarray:
    """The plain picture counts as one view among the others."""
    return np.concatenate([plain[:, None], views], axis=1).mean(axis=1)


def running_averages(plain: np.ndarray, views: np.ndarray, beta: float = 0.25) -> np.ndarray:
    """The average after 0, 1, ... all views: (n, views + 1, classes). The last is the final one."""
    counts = np.arange(1, views.shape[1] + 1)[None, :, None]
    so_far = views.cumsum(axis=1) / counts
    mixed = beta * plain[:, None] + (1 - beta) * so_far
    return np.concatenate([plain[:, None], mixed], axis=1)


def changes(before: np.ndarray, after: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """How many answers became right and wrong, of how many; p by the exact McNemar test."""
    was, now = before.argmax(axis=1) == target, after.argmax(axis=1) == target
    corrected, corrupted = int((~was & now).sum()), int((was & ~now).sum())
    p = mcnemar_p(corrected, corrupted)
    return {"corrected": corrected, "corrupted": corrupted, "n": len(target), "p": p}


def mcnemar_p(only_a: int, only_b: int) -> float:
    """Two-sided exact McNemar p of two counts of disagreement; 1 where there is none.

    Exact is conservative: 2-4 % false alarms at a nominal 5 %.
    """
    total = only_a + only_b
    return float(binomtest(only_a, total, 0.5).pvalue) if total else 1.0


def tta_report(
    plain: np.ndarray, views: np.ndarray, target: np.ndarray, beta: float
) -> dict[str, Any]:
    """Scores without views (`plain`) and with (`tta`), and what changed by them."""
    average = fastai_average(plain, views, beta)
    counts = changes(plain, average, target)
    return {
        "plain": scores(plain, target),
        "tta": scores(average, target),
        "views": views.shape[1],
        "beta": beta,
        **counts,
    }
