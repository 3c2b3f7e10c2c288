"""Scores of predicted probabilities.

    scores(probs, target)   ->   {"n": 200, "accuracy": 0.81, "error_rate": 0.19, ...}

probs: (n, classes), rows that sum to 1. target: (n,) class numbers. Rates are fractions. Of classes
with the same probability the first wins, here and everywhere else in the lab.
"""

from __future__ import annotations

import numpy as np

CLIP = 1e-12
BINS = 15


def scores(probs: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """All scores at once; every key but `n` is a float. Raises ValueError for no images."""
    probs, target = np.asarray(probs, np.float64), np.asarray(target, np.int64)
    if len(target) == 0 or len(probs) != len(target):
        raise ValueError(f"{len(probs)} predictions for {len(target)} images")
    right = probs.argmax(axis=1) == target
    return {
        "n": len(target),
        "accuracy": float(right.mean()),
        "error_rate": float((~right).mean()),
        "balanced_error": balanced_error(right, target),
        "log_loss": float(log_losses(probs, target).mean()),
        "brier": brier(probs, target),
        "ece": expected_calibration_error(probs.max(axis=1), right),
    }


def log_losses(probs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Natural-log loss of each image, (n,); probabilities are clipped at 1e-12."""
    picked = np.asarray(probs, np.float64)[np.arange(len(target)), target]
    return -np.log(np.clip(picked, CLIP, 1))


def balanced_error(right: np.ndarray, target: np.ndarray) -> float:
    """Error rate of each class that is present, averaged: every class counts the same."""
    counts = np.bincount(target)
    hits = np.bincount(target, weights=right)
    present = counts > 0
    return float(1 - (hits[present] / counts[present]).mean())


def brier(probs: np.ndarray, target: np.ndarray) -> float:
    """Squared distance to the true one-hot vector: summed over classes, mean over images (0..2)."""
    return float(brier_each(probs, target).mean())


def brier_each(probs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The same of each image, (n,)."""
    gap = np.array(probs, np.float64)
    gap[np.arange(len(target)), target] -= 1
    return (gap**2).sum(axis=1)


def expected_calibration_error(
    confidence: np.ndarray, right: np.ndarray, bins: int = BINS
) -> float:
    """Mean distance between confidence and accuracy over equal-width bins (Guo et al. 2017).

    Bins are (low, high], as in the paper; confidence 0 falls into the first.
    """
    return _binned_error(calibration_table(confidence, right, bins))


def adaptive_calibration_error(
    confidence: np.ndarray, right: np.ndarray, bins: int = BINS
) -> float:
    """The same over bins that hold equally many images (Nguyen and O'Connor 2015)."""
    return _binned_error(adaptive_table(confidence, right, bins))


def calibration_table(
    confidence: np.ndarray, right: np.ndarray, bins: int = BINS
) -> dict[str, np.ndarray]:
    """Per bin: low, high, n, mean confidence and accuracy (0 where the bin is empty)."""
    edges = np.linspace(0, 1, bins + 1)
    found = _in_bins(confidence, right, width_bins(confidence, bins), bins)
    return {"low": edges[:-1], "high": edges[1:], **found}


def adaptive_table(
    confidence: np.ndarray, right: np.ndarray, bins: int = BINS
) -> dict[str, np.ndarray]:
    """The same for bins of equally many images; low and high are those of the images in it."""
    confidence = np.asarray(confidence, np.float64)
    where = count_bins(confidence, bins)
    inside = [confidence[where == number] for number in range(bins)]
    found = _in_bins(confidence, right, where, bins)
    low = np.array([values.min(initial=1.0) if len(values) else 0.0 for values in inside])
    return {"low": low, "high": np.array([values.max(initial=0.0) for values in inside]), **found}


def width_bins(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The bin of each image, from 0, among `bins` of equal width over 0 to 1."""
    edges = np.linspace(0, 1, bins + 1)
    found = np.searchsorted(edges, np.asarray(confidence, np.float64), side="left") - 1
    return np.clip(found, 0, bins - 1)


def count_bins(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The bin of each image, from 0, among `bins` of equally many, by rising confidence.

    Images of the same confidence stay together: their order is no order.
    """
    confidence = np.asarray(confidence, np.float64)
    rank = np.searchsorted(np.sort(confidence), confidence, side="left")
    return rank * bins // max(len(confidence), 1)


def _in_bins(
    confidence: np.ndarray, right: np.ndarray, where: np.ndarray, bins: int
) -> dict[str, np.ndarray]:
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    n = np.bincount(where, minlength=bins)
    some = np.maximum(n, 1)
    return {
        "n": n,
        "confidence": np.bincount(where, weights=confidence, minlength=bins) / some,
        "accuracy": np.bincount(where, weights=right, minlength=bins) / some,
    }


def _binned_error(table: dict[str, np.ndarray]) -> float:
    gaps = np.abs(table["confidence"] - table["accuracy"])
    return float((table["n"] * gaps).sum() / max(int(table["n"].sum()), 1))


def confusion(probs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Counts (classes, classes): row is the true class, column the predicted one."""
    classes = np.asarray(probs).shape[1]
    cells = np.asarray(target) * classes + np.asarray(probs).argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
