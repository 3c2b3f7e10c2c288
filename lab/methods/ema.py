"""A running average of the weights: what is validated, scored and exported in the raw ones' place.

    ema = Ema(model, decay=0.999)
    ema.update(model)                     # after each optimizer step
    ema.model                             # in eval mode; never trained
    ema.rebuild(model, averaged)          # after a change of size that replaced parameters

average <- d * average + (1 - d) * weights, with d = min(decay, (1 + t) / (10 + t)) at update t = 0,
1, ...: the first weights are random and are soon forgotten (warm-up as in TensorFlow).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


def decay_at(update: int, decay: float) -> float:
    """How much of the average an update keeps; `update` counts from 0."""
    return min(decay, (1 + update) / (10 + update))


class Ema:
    """An averaged copy of a model."""

    def __init__(self, model: nn.Module, decay: float):
        self.model = _still(model)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Parameters and floating buffers move towards the model's; integer buffers are copied."""
        step = 1 - decay_at(self.updates, self.decay)
        pairs: dict[torch.dtype, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        for average, value in zip(_tensors(self.model), _tensors(model), strict=True):
            pairs.setdefault(average.dtype, []).append((average, value.detach()))
        for dtype, found in pairs.items():  # one call per dtype: mixed lists are slow on a GPU
            averages, values = map(list, zip(*found))
            if dtype.is_floating_point:
                torch._foreach_lerp_(averages, values, step)
            else:
                torch._foreach_copy_(averages, values)
        self.updates += 1

    @torch.no_grad()
    def rebuild(self, model: nn.Module, averaged: nn.Module | None = None) -> None:
        """Take the model's shape after a change of size replaced some of its tensors.

        `averaged`: the average itself, brought to the new size as the model was. Resampling is
        linear, so that is exactly the average of resampled weights. Without it, tensors whose shape
        has changed begin anew at the model's own.
        """
        known = (averaged or self.model).state_dict()
        self.model = _still(model)
        for name, value in self.model.state_dict().items():
            if name in known and known[name].shape == value.shape:
                value.copy_(known[name])

    def state(self) -> dict[str, Any]:
        """Tensors and numbers that `load` goes on from, exactly. Not copied."""
        return {"model": self.model.state_dict(), "updates": self.updates}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state; the model must have its size already."""
        self.model.load_state_dict(state["model"])
        self.updates = int(state["updates"])


def _still(model: nn.Module) -> nn.Module:
    """A copy that nothing trains."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]
