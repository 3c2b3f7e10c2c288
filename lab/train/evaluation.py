"""Probabilities of a network over pictures: float32 (n, classes), rows in the pictures' order."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

from lab.errors import Stopped

BATCH = 64


def autocast(device: str, precision: str) -> torch.autocast:
    """The context in which a forward pass runs in this precision."""
    kind = device.split(":")[0]
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16")


@torch.inference_mode()
def probabilities(
    model: nn.Module,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    device: str = "cpu",
    precision: str = "fp32",
    stop: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """Softmax outputs in eval mode. The softmax is always fp32. Raises Stopped on request."""
    was_training = [(module, module.training) for module in model.modules()]
    model.eval()
    found = []
    try:
        for x, _ in batches:
            if stop():
                raise Stopped
            with autocast(device, precision):
                logits = model(x)
            found.append(logits.float().softmax(dim=1).cpu())
    finally:
        for module, training in was_training:
            module.training = training
    return torch.cat(found).numpy() if found else np.empty((0, 0), dtype=np.float32)
