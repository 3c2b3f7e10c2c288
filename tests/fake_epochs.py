"""What every epoch said, as a worker leaves it: e<epoch>-<h>x<w>[-test].npz of a fake run.

wrong = keep_epochs(run, errors=[0.3, 0.2], n=300, n_test=200)     # {epoch: bool (n,)}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lab.recipe.stage import hw
from lab.runs.events import read_events
from lab.runs.folder import RunFolder

CLASSES = 3


def keep_epochs(
    run: RunFolder, errors: Sequence[float], n: int = 300, n_test: int = 0, seed: int = 0
) -> dict[int, np.ndarray]:
    """Predictions of each epoch event, in turn with the true error rates of `errors`; which of the
    validation images each gets wrong. Images differ in difficulty, so epochs' errors overlap."""
    rng = np.random.default_rng(seed)
    events = [event for event in read_events(run) if event["kind"] == "epoch"]
    ease = {"": rng.random(n), "-test": rng.random(n_test)}
    found = {}
    for event, error in zip(events, errors, strict=True):
        height, width = hw(event["size"])
        for part, own in ease.items():
            if len(own):
                wrong = (own * 0.6 + rng.random(len(own)) * 0.4) < _edge(error)
                name = f"e{event['global_epoch']}-{height}x{width}{part}.npz"
                write(run.predictions / name, wrong)
                if not part:
                    found[event["global_epoch"]] = wrong
    return found


def _edge(error: float) -> float:
    """Where 0.6 u + 0.4 v lies below with this probability, u and v uniform."""
    drawn = np.random.default_rng(1).random((2, 200_000))
    return float(np.quantile(0.6 * drawn[0] + 0.4 * drawn[1], error))


def write(file: Path, wrong: np.ndarray) -> None:
    """Items in an order of their own; probabilities in float16, as an epoch's are."""
    n = len(wrong)
    target = np.arange(n) % CLASSES
    said = np.where(wrong, (target + 1) % CLASSES, target)
    probs = np.where(np.arange(CLASSES) == said[:, None], 0.8, 0.1).astype(np.float16)
    order = np.random.default_rng(n).permutation(n)
    np.savez(file, item=order * 2, target=target[order], probs=probs[order])
