"""Random numbers as functions of where they are used, so that a run resumes exactly.

order(seed, stage, epoch, n)            -> a permutation
uniforms(key, n, k)                     -> n rows of k numbers in [0, 1); row = position
"""

from __future__ import annotations

import hashlib

import numpy as np

ORDER, WARP, TORCH, VIEW = "order", "warp", "torch", "view"


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


def uniforms(n: int, k: int, *parts: int | str) -> np.ndarray:
    """float64 (n, k) in [0, 1)."""
    return generator(WARP, *parts).random((n, k))


def torch_seed(seed: int, stage: int, epoch: int, step: int) -> int:
    """The seed that torch gets before this step (dropout, drop path): 63 bits."""
    return key_of(TORCH, seed, stage, epoch, step) >> 65
