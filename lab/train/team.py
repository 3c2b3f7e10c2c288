"""Who trains: one process alone, or several that share each batch (see lab/train/parallel.py)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from lab.train.judge import Judge

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

    def part(self, forward: Forward, last: bool) -> AbstractContextManager:
        """Around forward and backward of one of the parts that my rows are cut into."""
        return nullcontext()

    def agree(self, wish: bool) -> bool:
        """Whether anybody wishes it."""
        return wish

    def stop(self, wish: Callable[[], bool]) -> bool:
        """Whether to stop here; asked between steps and between batches of validation."""
        return wish()

    def first(self) -> AbstractContextManager:
        """Around what writes files that the others then find."""
        return nullcontext()

    def shared(self, judge: Judge) -> Judge:
        """Who validates."""
        return judge

    def abandoned(self, wait_s: float = 0.0) -> bool:
        """Whether another process of the run has ended before it should."""
        return False
