"""Random numbers as functions of where they are used, so that a run resumes exactly.

order(seed, stage, epoch, n)            -> a permutation
weighted_order(seed, stage, epoch, y)   -> n draws with replacement, every class as often
uniforms(n, k, *key)                    -> n rows of k numbers in [0, 1); row = position
"""

from __future__ import annotations

import hashlib

import numpy as np

from lab.recipe.stage import Stage
from lab.schedules.plan import EpochRow

ORDER, WEIGHTED, WARP, RAND, TORCH, VIEW, MIX = (
    "order", "weighted", "warp", "randaugment", "torch", "view", "mix",
)  # fmt: skip


def key_of(*parts: int | str) -> int:
    """A 128-bit key from names and numbers; different parts give unrelated streams."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


def generator(*parts: int | str) -> np.random.Generator:
    """A fresh generator for this use."""
    return np.random.Generator(np.random.Philox(key=key_of(*parts)))


def order(seed: int, stage: int, epoch: int, n: int) -> np.ndarray:
    """The order in which n items are seen in this epoch: int64 (n,)."""
    return generator(ORDER, seed, stage, epoch).permutation(n)


def weighted_order(seed: int, stage: int, epoch: int, labels: np.ndarray) -> np.ndarray:
    """n draws with replacement, p proportional to 1 / count(class): int64 (n,).

    labels: int64 (n,), or (n, 2), whose first column counts. A draw takes a class that is there,
    all alike, then one of its items, all alike: that is the same p, and it asks no cumulated sum.
    """
    first = labels if labels.ndim == 1 else labels[:, 0]
    by_class = np.argsort(first, kind="stable")
    _, starts, counts = np.unique(first[by_class], return_index=True, return_counts=True)
    u = generator(WEIGHTED, seed, stage, epoch).random((len(first), 2))
    drawn = (u[:, 0] * len(counts)).astype(np.int64)
    within = (u[:, 1] * counts[drawn]).astype(np.int64)
    return by_class[starts[drawn] + within]


def epoch_order(stage: Stage, row: EpochRow, seed: int, labels: np.ndarray) -> np.ndarray:
    """Positions of the items that an epoch goes through, in order: int64 (n,)."""
    if stage.sampling == "weighted":
        return weighted_order(seed, row.stage, row.epoch, labels)
    return order(seed, row.stage, row.epoch, len(labels))


def drawn_counts(
    stage: Stage, row: EpochRow, seed: int, labels: np.ndarray, n_classes: int = 0
) -> list[int]:
    """How many images of each class an epoch really draws; a dropped last image does not count.

    labels as in `weighted_order`. n_classes: at least so many counts; 0: up to the highest label.
    """
    first = labels if labels.ndim == 1 else labels[:, 0]
    seen = epoch_order(stage, row, seed, labels)[: row.steps * row.batch]
    length = max(n_classes, int(first.max()) + 1)
    return np.bincount(first[seen], minlength=length).tolist()


def uniforms(n: int, k: int, *parts: int | str) -> np.ndarray:
    """float64 (n, k) in [0, 1)."""
    return generator(WARP, *parts).random((n, k))


def torch_seed(seed: int, stage: int, epoch: int, step: int) -> int:
    """The seed that torch gets before this step (dropout, drop path): 63 bits."""
    return key_of(TORCH, seed, stage, epoch, step) >> 65
