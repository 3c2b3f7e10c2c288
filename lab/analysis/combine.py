"""How the answers of several networks become one: pure functions of probabilities.

    average(probs)                                     # (members, n, classes) -> (n, classes)
    combine = fit_weighted(probs, target)              # combine.weights lie on the simplex
    combine = fit_stacked(probs, target)               # gradient boosting on all outputs
    apart = nested(probs, target, fit_weighted)        # each image combined by a fit without it

What is fitted must be judged by `nested`: on its own fitting data stacking looks far too good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.analysis.metrics import CLIP, log_losses

Combine = Callable[[np.ndarray], np.ndarray]
FOLDS = 5
ROUNDS = (5, 20, 60)  # boosting rounds among which an inner part decides
LEAVES, RATE, LEAST_IN_LEAF = 8, 0.1, 10
FLOOR = 1e-4  # probability left to each class by a stacker, which may not have met all of them
MOST_STEPS = 5000
GAP = 1e-7  # nats that the fitted weights may be away from the best ones


def average(probs: np.ndarray) -> np.ndarray:
    """The mean of probabilities (not of logits): (members, n, classes) -> (n, classes)."""
    return np.asarray(probs, np.float64).mean(axis=0)


@dataclass(frozen=True, eq=False)
class Weighted:
    """A weighted mean; the weights are at least 0 and sum to 1."""

    weights: np.ndarray

    def __call__(self, probs: np.ndarray) -> np.ndarray:
        return np.tensordot(self.weights, np.asarray(probs, np.float64), axes=1)


def fit_weighted(probs: np.ndarray, target: np.ndarray) -> Weighted:
    """The weights on the simplex with the lowest log loss on these images.

    Expectation maximisation for mixture weights: the problem is convex, every step lowers the loss,
    and the largest mean ratio less 1 bounds how far the best weights still are.
    """
    probs = np.asarray(probs, np.float64)
    true = np.clip(probs[:, np.arange(len(target)), target], CLIP, 1)
    weights = np.full(len(probs), 1 / len(probs))
    for _ in range(MOST_STEPS):
        ratios = (true / (weights @ true)).mean(axis=1)
        if ratios.max() - 1 < GAP:
            break
        weights = weights * ratios
    return Weighted(weights / weights.sum())


@dataclass(frozen=True, eq=False)
class Stacked:
    """A boosted model on the members' outputs; `rounds` were chosen on an inner held-out part."""

    model: Any
    n_classes: int
    rounds: int

    def __call__(self, probs: np.ndarray) -> np.ndarray:
        with _one_thread():
            said = self.model.predict_proba(_features(probs))
        return _whole(said, self.model, self.n_classes)


def fit_stacked(probs: np.ndarray, target: np.ndarray, seed: int = 0) -> Stacked:
    """Gradient boosting on the outputs of all members. Needs at least two classes in `target`.

    How many rounds is decided by the log loss on a third that the trial was not fitted on.
    """
    x, target = _features(probs), np.asarray(target)
    inner = folds_of(target, 3, seed) == 0
    rounds = ROUNDS[0]
    with _one_thread():
        if len(np.unique(target[~inner])) > 1:
            rounds = _rounds(x, target, inner, probs.shape[2], seed)
        return Stacked(_boosted(rounds, seed).fit(x, target), probs.shape[2], rounds)


def _one_thread() -> Any:
    """Trees on a few hundred rows: on a busy machine two threads that wait for each other took 10
    times as long as one. threadpoolctl comes with scikit-learn; it limits what is loaded already.
    """
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="openmp")


def _rounds(x: np.ndarray, target: np.ndarray, inner: np.ndarray, n_classes: int, seed: int) -> int:
    trial = _boosted(ROUNDS[-1], seed).fit(x[~inner], target[~inner])
    stages = enumerate(trial.staged_predict_proba(x[inner]), start=1)
    losses = {
        done: log_losses(_whole(said, trial, n_classes), target[inner]).mean()
        for done, said in stages
        if done in ROUNDS
    }
    return min(losses, key=losses.__getitem__)


def _boosted(rounds: int, seed: int) -> Any:
    # Here, because importing scikit-learn takes a second that no page should wait for.
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=rounds, learning_rate=RATE, max_leaf_nodes=LEAVES, random_state=seed,
        min_samples_leaf=LEAST_IN_LEAF, early_stopping=False,
    )  # fmt: skip


def _features(probs: np.ndarray) -> np.ndarray:
    """(members, n, classes) -> (n, members x classes)."""
    members, n, classes = probs.shape
    return np.asarray(probs, np.float64).transpose(1, 0, 2).reshape(n, members * classes)


def _whole(said: np.ndarray, model: Any, n_classes: int) -> np.ndarray:
    """Probabilities of all classes, also of those that the model has not met."""
    found = np.zeros((len(said), n_classes))
    found[:, model.classes_] = said
    return (1 - n_classes * FLOOR) * found + FLOOR


def nested(
    probs: np.ndarray,
    target: np.ndarray,
    fit: Callable[[np.ndarray, np.ndarray], Combine],
    folds: int = FOLDS,
    seed: int = 0,
) -> np.ndarray:
    """Every image combined by a fit on the other folds: float64 (n, classes)."""
    fold = folds_of(target, folds, seed)
    found = np.empty(probs.shape[1:])
    for number in np.unique(fold):
        held = fold == number
        found[held] = fit(probs[:, ~held], target[~held])(probs[:, held])
    return found


def folds_of(target: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """A fold number per image; every class is spread evenly over the folds."""
    order = np.random.default_rng(seed).permutation(len(target))
    by_class = order[np.argsort(np.asarray(target)[order], kind="stable")]
    found = np.empty(len(target), np.int64)
    found[by_class] = np.arange(len(target)) % folds
    return found


def error_of(probs: np.ndarray, target: np.ndarray) -> float:
    """The error rate of the likeliest classes."""
    return float((probs.argmax(axis=1) != target).mean())
