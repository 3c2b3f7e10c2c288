"""Who trains: one process alone, or several that share each batch (see lab/train/parallel.py)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Forward = Callable[[torch.Tensor], torch.Tensor]


class Alone:
    """One process: the whole batch is mine."""

    rank, size = 0, 1

    def wrap(self, model: nn.Module) -> Forward:
        """The model as it is called in training; gradients are then those of the whole batch."""
        return model

    def mine(self, n: int) -> slice:
        """Which rows of a batch of n this process takes."""
        return slice(0, n)

    def weight(self, rows: int, n: int) -> float:
        """Weight of the mean loss over `rows` of my rows, so that gradients are those of n."""
        return rows / n

    def mean(self, loss: torch.Tensor, rows: int, n: int) -> torch.Tensor:
        """The mean loss over the whole batch, from the mean over my `rows`."""
        return loss

    def agree(self, wish: bool) -> bool:
        """Whether anybody wishes it."""
        return wish
