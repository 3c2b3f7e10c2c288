"""Probabilities of a network over pictures: float32 (n, classes), rows in the pictures' order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from lab.errors import Stopped
from lab.train.precision import autocast

__all__ = ["BATCH", "Probabilities", "answers", "autocast", "probabilities"]
BATCH = 64


@dataclass(frozen=True)
class Probabilities:
    """Softmax outputs float32 (n, classes) of the target and, where learnt, of the second one."""

    first: np.ndarray
    second: np.ndarray | None = None

    @classmethod
    def of(cls, logits: torch.Tensor, second_classes: int = 0) -> Probabilities:
        """From logits (n, outputs): the last `second_classes` of them are the second target's."""
        parts = logits.float().split(
            [logits.shape[1] - second_classes, *([second_classes] if second_classes else [])], 1
        )
        found = [part.softmax(dim=1).cpu().numpy() for part in parts]
        return cls(found[0], found[1] if second_classes else None)


@torch.inference_mode()
def answers(
    model: nn.Module,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    device: str = "cpu",
    precision: str = "fp32",
    stop: Callable[[], bool] = lambda: False,
    second_classes: int = 0,
) -> Probabilities:
    """What the model says in eval mode, whose softmax is always fp32. Raises Stopped on request."""
    was_training = [(module, module.training) for module in model.modules()]
    model.eval()
    found = []
    try:
        for x, _ in batches:
            if stop():
                raise Stopped
            with autocast(device, precision):
                found.append(model(x).float())
    finally:
        for module, training in was_training:
            module.training = training
    if not found:
        return Probabilities(np.empty((0, 0), dtype=np.float32))
    return Probabilities.of(torch.cat(found), second_classes)


def probabilities(
    model: nn.Module,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    device: str = "cpu",
    precision: str = "fp32",
    stop: Callable[[], bool] = lambda: False,
    second_classes: int = 0,
) -> np.ndarray:
    """The (first) target's probabilities alone: float32 (n, classes)."""
    return answers(model, batches, device, precision, stop, second_classes).first
