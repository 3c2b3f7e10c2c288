"""Test-time augmentation as arithmetic on stored probabilities: averages, and what they changed.

    average = fastai_average(plain, views, beta=0.25)
    average = average_by("geometric", plain, views)      # any of WAYS
    counts = changes(plain, average, target)             # corrected, corrupted, p

plain: (n, classes). views: (n, views, classes). Averaging flips right answers to wrong ones too
(arXiv 2011.11156), so both kinds are always counted. views.js does the same arithmetic in the
browser; a test compares the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import binomtest

from lab.analysis.metrics import log_losses, scores
from lab.analysis.significance import error_difference
from lab.analysis.view_families import WAYS
from lab.errors import LabError

MOST_COUNTS = 16  # points of a curve over the number of views
TINY = float(np.finfo(np.float32).tiny)  # a probability of 0 has no logarithm


def fastai_average(plain: np.ndarray, views: np.ndarray, beta: float = 0.25) -> np.ndarray:
    """beta * plain + (1 - beta) * mean of the views (fastai 2.8 `tta`)."""
    if views.shape[1] == 0:
        return np.array(plain)
    return beta * plain + (1 - beta) * views.mean(axis=1)


def average_by(way: str, plain: np.ndarray, views: np.ndarray, beta: float = 0.25) -> np.ndarray:
    """The average in one of WAYS; all but fastai's count the plain picture as one more view.

    Raises LabError for another way.
    """
    if way == "fastai":
        return fastai_average(plain, views, beta)
    looks = np.concatenate([plain[:, None], views], axis=1)
    return combine(way, looks, usual_weights(way, views.shape[1], beta))


def usual_weights(way: str, views: int, beta: float = 0.25) -> np.ndarray:
    """What each look counts, the plain one first: (views + 1,), summing to 1."""
    if way != "fastai" or not views:
        return np.full(views + 1, 1 / (views + 1))
    return np.array([beta, *[(1 - beta) / views] * views])


def combine(way: str, looks: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Looks (..., looks, classes) as one (..., classes) by weights (looks,), at least one above 0.

    fastai, mean: weighted mean. geometric, logits: mean of logarithms, rescaled to sum to 1. The
    two are one: logits are log probabilities plus a number per look, which the rescaling takes out.
    max: the largest of weight * probability, rescaled.
    """
    share = np.asarray(weights, np.float64) / np.sum(weights)
    if way in ("fastai", "mean"):
        return np.einsum("...lc,l->...c", looks, share)
    if way in ("geometric", "logits"):
        logs = np.log(np.clip(np.asarray(looks, np.float64), TINY, None))
        mixed = np.einsum("...lc,l->...c", logs, share)
        return _rescaled(np.exp(mixed - mixed.max(axis=-1, keepdims=True)))
    if way == "max":
        return _rescaled((looks * share[:, None]).max(axis=-2))
    raise LabError(
        f"There is no way of averaging called {way!r}.", f"Use {', '.join(WAYS)}.", where="average"
    )


def growing(way: str, looks: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The average after the plain look and 0, 1, ... all views: as `looks`, (..., looks, classes).

    fastai's keeps the share of the plain picture; the views so far have the rest. Where the looks
    so far weigh nothing, the plain one stands alone.
    """
    return np.stack(
        [_so_far(way, looks[..., : last + 1, :], weights) for last in range(looks.shape[-2])],
        axis=-2,
    )


def _so_far(way: str, looks: np.ndarray, weights: np.ndarray) -> np.ndarray:
    now = np.array(weights[: looks.shape[-2]], np.float64)
    if way == "fastai" and now[1:].sum() > 0:
        plain = now[0] / np.sum(weights)
        now = np.concatenate([[plain], (1 - plain) * now[1:] / now[1:].sum()])
    elif way == "fastai" or now.sum() <= 0:
        return looks[..., 0, :]
    return combine(way, looks, now)


def contributions(
    way: str, looks: np.ndarray, weights: np.ndarray, over: int, under: int
) -> np.ndarray:
    """What each look of one picture adds to the lead of class `over` above `under`: (looks,).

    Sums to the lead: of probabilities, or of their logarithms (geometric, logits). For max, only
    the looks that hold the two largest values count.
    """
    share = np.asarray(weights, np.float64) / np.sum(weights)
    if way in ("geometric", "logits"):
        looks = np.log(np.clip(np.asarray(looks, np.float64), TINY, None))
    if way != "max":
        return share * (looks[:, over] - looks[:, under])
    weighted = looks * share[:, None]
    scale, found = weighted.max(axis=0).sum(), np.zeros(len(looks))
    found[weighted[:, over].argmax()] += weighted[:, over].max() / scale
    found[weighted[:, under].argmax()] -= weighted[:, under].max() / scale
    return found


def _rescaled(values: np.ndarray) -> np.ndarray:
    return values / values.sum(axis=-1, keepdims=True)


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
    plain: np.ndarray, views: np.ndarray, target: np.ndarray, beta: float, way: str = "fastai"
) -> dict[str, Any]:
    """Scores without views (`plain`) and with (`tta`), and what changed by them."""
    average = average_by(way, plain, views, beta)
    counts = changes(plain, average, target)
    return {
        "plain": scores(plain, target),
        "tta": scores(average, target),
        "views": views.shape[1],
        "beta": beta,
        "average": way,
        **counts,
    }


def gain_by_views(
    plain: np.ndarray, views: np.ndarray, target: np.ndarray, beta: float, way: str = "fastai"
) -> list[dict[str, Any]]:
    """With 1, 2, ... all views, in the order in which they were made: what they lower the error
    rate by (`gain`, 95 % bootstrap over images from `low` to `high`), and the log loss.

    Of more than MOST_COUNTS numbers of views, evenly spread ones are taken.
    """
    was, loss = plain.argmax(axis=1) == target, log_losses(plain, target).mean()
    found = []
    for count in _counts(views.shape[1]):
        average = average_by(way, plain, views[:, :count], beta)
        error = error_difference(was, average.argmax(axis=1) == target)
        less = float(loss - log_losses(average, target).mean())
        gain = {"gain": error.difference, "low": error.low, "high": error.high, "loss_gain": less}
        found.append({"views": count, **gain, **changes(plain, average, target)})
    return found


def _counts(views: int) -> list[int]:
    return sorted({round(count) for count in np.linspace(1, views, min(views, MOST_COUNTS))})
