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
    gap = np.array(probs, np.float64)
    gap[np.arange(len(target)), target] -= 1
    return float((gap**2).sum(axis=1).mean())


def expected_calibration_error(
    confidence: np.ndarray, right: np.ndarray, bins: int = BINS
) -> float:
    """Mean distance between confidence and accuracy over equal-width bins (Guo et al. 2017).

    Bins are (low, high], as in the paper; confidence 0 falls into the first.
    """
    table = calibration_table(confidence, right, bins)
    gaps = np.abs(table["confidence"] - table["accuracy"])
    return float((table["n"] * gaps).sum() / max(len(right), 1))


def calibration_table(
    confidence: np.ndarray, right: np.ndarray, bins: int = BINS
) -> dict[str, np.ndarray]:
    """Per bin: low, high, n, mean confidence and accuracy (0 where the bin is empty)."""
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    edges = np.linspace(0, 1, bins + 1)
    where = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    n = np.bincount(where, minlength=bins)
    some = np.maximum(n, 1)
    return {
        "low": edges[:-1],
        "high": edges[1:],
        "n": n,
        "confidence": np.bincount(where, weights=confidence, minlength=bins) / some,
        "accuracy": np.bincount(where, weights=right, minlength=bins) / some,
    }


def confusion(probs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Counts (classes, classes): row is the true class, column the predicted one."""
    classes = np.asarray(probs).shape[1]
    cells = np.asarray(target) * classes + np.asarray(probs).argmax(axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
