"""The training loss as it is shown: a debiased running mean, kept where the loss is.

    meter = LossMeter("cuda:0"); meter.note(loss); meter.value()

On a GPU nothing is read back in between: a read would make every step wait for the device.
"""

from __future__ import annotations

import math

import torch

MEMORY = 0.98  # as fastai's


class LossMeter:
    """A running mean of the finite losses, and how many in a row were not finite."""

    def __init__(self, device: str):
        zero = torch.zeros((), dtype=torch.float64, device=device)
        self.sum, self.weight, self.bad = zero.clone(), zero.clone(), zero.clone()

    def note(self, loss: torch.Tensor) -> None:
        """Take one loss, a scalar on the meter's device, into account."""
        loss = loss.to(torch.float64)
        finite = loss.isfinite()
        self.sum = torch.where(finite, MEMORY * self.sum + (1 - MEMORY) * loss, self.sum)
        self.weight = torch.where(finite, MEMORY * self.weight + (1 - MEMORY), self.weight)
        self.bad = torch.where(finite, torch.zeros_like(self.bad), self.bad + 1)

    def value(self) -> float:
        """The mean; nan before the first finite loss."""
        weight = float(self.weight)
        return float(self.sum) / weight if weight else math.nan

    def state(self) -> list[float]:
        """Sum, weight, and losses in a row that were not finite."""
        return [float(self.sum), float(self.weight), float(self.bad)]

    def load(self, state: list[float]) -> None:
        """Go on from a state."""
        for name, value in zip(("sum", "weight", "bad"), state):
            getattr(self, name).fill_(value)
