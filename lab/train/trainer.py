"""The trainer: runs a plan and yields what happens. It knows no store, no screen and no engine.

    trainer = Trainer(recipe, plan, resolved, data, network)
    for event in trainer.events():        # Step | EpochDone | StageStarted | StageDone
        ...            # stop by leaving the loop; trainer.state() then resumes exactly

Order, augmentation and dropout are functions of (seed, stage, epoch, step), so a trainer restored
from `state()` ends bit for bit where an undisturbed one ends (same machine, same threads).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from lab.errors import LabError
from lab.methods import fixres, freezing
from lab.recipe.facts import Resolved
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage
from lab.schedules.plan import EpochRow, Plan
from lab.train.evaluation import BATCH, autocast, probabilities
from lab.train.model import Network
from lab.train.optimizer import make_optimizer, set_rates
from lab.vision.draws import torch_seed
from lab.vision.loader import Normalisation, TestPictures, TrainPictures

LOSS_MEMORY = 0.98  # of the train loss shown: a debiased running mean, as fastai's
PATIENCE = 3  # losses in a row that are not finite


class Pictures(Protocol):
    """What the trainer is fed with."""

    def train(self, stage: int) -> TrainPictures: ...
    def valid(self, stage: int) -> TestPictures: ...
    def final(self) -> TestPictures: ...


@dataclass(frozen=True)
class StageStarted:
    stage: int
    row: EpochRow
    step: int


@dataclass(frozen=True)
class Step:
    """One step; `step` counts from 1 over the run."""

    step: int
    row: EpochRow
    loss: float
    lr: float


@dataclass(frozen=True)
class EpochDone:
    """One epoch with its validation at the stage's size."""

    row: EpochRow
    step: int
    train_loss: float
    valid_loss: float
    accuracy: float
    train_seconds: float
    seconds: float
    lr: float
    pixels: int
    probs: np.ndarray


@dataclass(frozen=True)
class StageDone:
    """The end of a stage: fp32 probabilities at its own size and at the final one."""

    stage: int
    step: int
    own: np.ndarray
    final: np.ndarray


Event = StageStarted | Step | EpochDone | StageDone


class Trainer:
    """Trains a network by a plan. All state is here; see `state`."""

    def __init__(
        self,
        recipe: Recipe,
        plan: Plan,
        resolved: Resolved,
        data: Pictures,
        network: Network,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self.recipe, self.plan, self.resolved = recipe, plan, resolved
        self.data, self.network, self.clock = data, network, clock
        self.norm = Normalisation(network.mean, network.std, resolved.device)
        self.model = network.model.to(resolved.device, memory_format=torch.channels_last)
        self.optimizer: torch.optim.Optimizer | None = None
        self._phase: int | None = None
        self._waiting: dict[str, Any] | None = None  # optimizer state to load once it is built
        self._waiting_phase: int | None = None
        self.step = self.epochs_done = self.stages_done = 0
        self.loss_sum = self.loss_weight = self.train_seconds = 0.0
        self.bad_losses = self.pixels = 0

    def events(self) -> Iterator[Event]:
        """Train to the end, from wherever `restore` left off."""
        for index, stage in enumerate(self.recipe.stages):
            if index < self.stages_done:
                continue
            rows = self.plan.of_stage(index)
            self.network.at_size(*stage.hw)
            if self.step == rows[0].first_step:
                yield StageStarted(index, rows[0], self.step)
            for row in rows[max(0, self.epochs_done - rows[0].global_epoch) :]:
                yield from self._epoch(stage, row)
            yield self._score(index)

    def state(self) -> dict[str, Any]:
        """Everything that decides what comes next: tensors, numbers and strings only."""
        waiting = self._waiting is not None or self.optimizer is None
        return {
            "model": self.model.state_dict(),
            "optimizer": self._waiting if waiting else self.optimizer.state_dict(),
            "phase": self._waiting_phase if waiting else self._phase,
            "threads": torch.get_num_threads(),
            **{name: getattr(self, name) for name in _COUNTERS},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. The input size is set first: it may replace parameters."""
        row = self.plan.row_at(max(0, int(state["step"]) - 1))
        self.network.at_size(row.height, row.width)
        self.model.load_state_dict(state["model"])
        for name in _COUNTERS:
            setattr(self, name, state[name])
        self._phase, self._waiting = None, state["optimizer"]
        self._waiting_phase = state["phase"]

    def _epoch(self, stage: Stage, row: EpochRow) -> Iterator[Event]:
        self._enter_phase(stage, row)
        start = self.step - row.first_step
        if start == 0:
            self.train_seconds = 0.0
        since = self.clock()
        pictures = self.data.train(row.stage)
        for x, y in pictures.batches(stage, row, self.recipe.seed, start, self.norm):
            loss = self._train_step(stage, row, x, y)
            self.train_seconds += self.clock() - since
            yield Step(self.step, row, loss, self.plan.lrs(self.step - 1)[-1])
            since = self.clock()
        yield self._validate(row)

    def _train_step(self, stage: Stage, row: EpochRow, x: torch.Tensor, y: torch.Tensor) -> float:
        assert self.optimizer is not None
        rates = self.plan.lrs(self.step)
        set_rates(self.optimizer, rates, self.plan.momentum(self.step), self.recipe.optimizer)
        within = self.step - row.first_step
        torch.manual_seed(torch_seed(self.recipe.seed, row.stage, row.epoch, within))
        self._mode(stage, row)
        with autocast(self.resolved.device, self.resolved.precision):
            loss = F.cross_entropy(self.model(x).float(), y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        self.pixels += len(y) * row.height * row.width
        return self._note_loss(float(loss.detach()), row)

    def _note_loss(self, loss: float, row: EpochRow) -> float:
        """Keep the running mean; give up where the loss stays without a value."""
        self.bad_losses = 0 if math.isfinite(loss) else self.bad_losses + 1
        if self.bad_losses >= PATIENCE:
            rate = self.plan.lrs(self.step - 1)[-1]
            raise LabError(
                f"Training diverged in stage {row.stage + 1} at step {self.step}: the loss is "
                f"{loss} at a learning rate of {rate:.2g}.",
                f"Lower the stage's learning rate, for example to {rate / 10:.1g}.",
                where=f"stages.{row.stage}.lr",
            )
        if math.isfinite(loss):
            self.loss_sum = LOSS_MEMORY * self.loss_sum + (1 - LOSS_MEMORY) * loss
            self.loss_weight = LOSS_MEMORY * self.loss_weight + (1 - LOSS_MEMORY)
        return loss

    def _mode(self, stage: Stage, row: EpochRow) -> None:
        if stage.trainable == "last-norm+head":
            fixres.fixres_mode(self.model)
        else:
            frozen = row.frozen or stage.trainable == "head"
            freezing.train_mode(self.model, frozen, self.recipe.model.frozen_norms_train)

    def trainable(self, stage: Stage, frozen: bool) -> set[str]:
        """Names of the parameters that learn. One group: there is nothing to freeze."""
        if stage.trainable == "last-norm+head":
            return fixres.fixres_parameters(self.model)
        if stage.trainable == "head" or (frozen and self.network.groups > 1):
            norms = self.recipe.model.frozen_norms_train
            return freezing.trainable_when_frozen(self.model, norms)
        return {name for name, _ in self.model.named_parameters()}

    def _enter_phase(self, stage: Stage, row: EpochRow) -> None:
        """A fresh optimizer for each phase: freezing and unfreezing both reset it (fastai)."""
        if self._phase == row.phase:
            return
        names = self.trainable(stage, row.frozen)
        freezing.apply_trainable(self.model, names)
        self.optimizer = make_optimizer(self.network, names, self.recipe, stage)
        if self._waiting is not None and self._waiting_phase == row.phase:
            self.optimizer.load_state_dict(self._waiting)
        self._phase, self._waiting = row.phase, None

    def _validate(self, row: EpochRow) -> EpochDone:
        since = self.clock()
        pictures = self.data.valid(row.stage)
        probs = self._probabilities(pictures, self.resolved.precision)
        seconds = self.clock() - since
        self.epochs_done = row.global_epoch + 1
        picked = probs[np.arange(len(probs)), pictures.labels]
        return EpochDone(
            row=row,
            step=self.step,
            train_loss=self.loss_sum / self.loss_weight if self.loss_weight else math.nan,
            valid_loss=float(-np.log(np.clip(picked, 1e-12, 1)).mean()),
            accuracy=float((probs.argmax(axis=1) == pictures.labels).mean()),
            train_seconds=self.train_seconds,
            seconds=self.train_seconds + seconds,
            lr=self.plan.lrs(self.step - 1)[-1],
            pixels=self.pixels,
            probs=probs,
        )

    def _score(self, stage: int) -> StageDone:
        """fp32, by the exported transform: what is stored is what an export gives."""
        own, final = self.data.valid(stage), self.data.final()
        found = self._probabilities(own, "fp32")
        same = own.images is final.images
        other = found if same else self._probabilities(final, "fp32", self._at_final(final.hw))
        self.stages_done = stage + 1
        return StageDone(stage, self.step, found, other)

    def _at_final(self, size: tuple[int, int]) -> torch.nn.Module:
        """The network at the final size; a copy where a change of size would change its weights."""
        if not hasattr(self.model, "set_input_size"):
            return self.model
        other = copy.deepcopy(self.network)
        other.at_size(*size)
        return other.model

    def _probabilities(
        self, pictures: TestPictures, precision: str, model: torch.nn.Module | None = None
    ) -> np.ndarray:
        batches = pictures.batches(BATCH, self.norm)
        return probabilities(model or self.model, batches, self.resolved.device, precision)


_COUNTERS = (
    "step",
    "epochs_done",
    "stages_done",
    "loss_sum",
    "loss_weight",
    "train_seconds",
    "bad_losses",
    "pixels",
)
