"""What a trainer is fed with, and what it tells: its events, in order.

StageStarted, Chosen*, (Step*, EpochDone)*, StageDone; Warned wherever something is worth a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from lab.schedules.plan import EpochRow
from lab.train.evaluation import Probabilities
from lab.vision.loader import TestPictures, TrainPictures


class Pictures(Protocol):
    """What the trainer is fed with."""

    def train(self, stage: int) -> TrainPictures: ...
    def valid(self, stage: int) -> TestPictures: ...
    def final(self) -> TestPictures: ...
    def locked(self, stage: int) -> TestPictures | None: ...


@dataclass(frozen=True)
class StageStarted:
    stage: int
    row: EpochRow
    step: int


@dataclass(frozen=True)
class Chosen:
    """A choice that could not be made before: see Resolved. It must be on disk before going on."""

    stage: int
    name: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Warned:
    """Something that whoever reads the run should know."""

    message: str


@dataclass(frozen=True)
class Step:
    """One step; `step` counts from 1 over the run. The loss stays on its device: a read waits."""

    step: int
    row: EpochRow
    loss: torch.Tensor
    lr: float


@dataclass(frozen=True)
class EpochDone:
    """One epoch with its validation at the stage's size (height, width)."""

    row: EpochRow
    step: int
    size: tuple[int, int]
    train_loss: float
    valid_loss: float
    accuracy: float
    second_accuracy: float | None  # of the second target, where one is learnt
    train_seconds: float
    seconds: float
    lr: float
    pixels: int
    probs: np.ndarray
    test_probs: np.ndarray | None = None  # of the locked test part, where the recipe asks for it


@dataclass(frozen=True)
class StageDone:
    """The end of a stage: what it says, in fp32, at its own size and at the final one.

    `kept` is the epoch within the stage that its weights are of, where keep_best went back to one.
    """

    stage: int
    step: int
    own: Probabilities
    final: Probabilities
    kept: int | None = None


Event = StageStarted | Chosen | Warned | Step | EpochDone | StageDone
