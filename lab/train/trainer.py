"""The trainer: runs a plan and yields what happens. It knows no store, no screen and no engine.

    trainer = Trainer(recipe, plan, resolved, data, network)
    for event in trainer.events():        # StageStarted | Chosen | Step | EpochDone | StageDone ...
        ...            # stop by leaving the loop; trainer.state() then resumes exactly

Order, augmentation and dropout are functions of (seed, stage, epoch, step), so a trainer restored
from `state()` ends bit for bit where an undisturbed one ends (same machine, same threads).
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lab.errors import LabError, Stopped
from lab.methods.cached_activations import ActivationCache, quiet
from lab.methods.dropout import set_dropout
from lab.methods.ema import Ema
from lab.methods.lr_finder import LrCurve, find
from lab.recipe.facts import Resolved
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage
from lab.schedules.finder import suggest
from lab.schedules.plan import GUESSED_LR, EpochRow, Plan, make_plan
from lab.schedules.rules import best_epoch, reason_to_end
from lab.train import remedies
from lab.train.judge import Judge, accuracy, log_loss, second_accuracy
from lab.train.memory import has_batch_norm, shrink_words
from lab.train.meter import LossMeter
from lab.train.model import Network
from lab.train.moments import (
    Chosen,
    EpochDone,
    Event,
    Pictures,
    StageDone,
    StageStarted,
    Step,
    Warned,
)
from lab.train.step import StepMaker
from lab.train.team import Alone
from lab.vision.loader import Normalisation

PATIENCE = 3  # losses in a row that are not finite
LOOK_EVERY = 50  # steps between looks at the loss on a GPU: a look waits for the device


def never() -> bool:
    """A stop flag that nobody sets."""
    return False


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
        team: Alone | None = None,
        folder: Path | None = None,  # for cached activations that outgrow the memory
        stopping: Callable[[], bool] = never,
        progress: Callable[[str, int, int], None] = quiet,  # of what comes before a first step
    ):
        self.recipe, self.plan, self.resolved = recipe, plan, resolved
        self.data, self.network, self.clock = data, network, clock
        self.team, self.folder = team or Alone(), folder
        self.stopping, self.progress = stopping, progress
        if self.team.size > 1 and any(stage.cached_activations for stage in recipe.stages):
            raise LabError(
                "Cached activations are for one device: there is next to nothing to share.",
                "Choose one device, or switch cached_activations off.",
                where="stages",
            )
        self.norm = Normalisation(network.mean, network.std, resolved.device)
        network.model.to(resolved.device, memory_format=torch.channels_last)
        self.steps = StepMaker(recipe, resolved, network, self.team)
        self.ema = Ema(self.model, recipe.ema_decay) if recipe.ema_decay else None
        self.meter = LossMeter(resolved.device)
        judge = Judge(network, resolved.device, self.norm, self.stopping)
        self._judge = self.team.shared(judge)
        self._look_every = 1 if resolved.device == "cpu" else LOOK_EVERY
        self._phase: int | None = None
        self._waiting: dict[str, Any] | None = None  # optimizer state to load once it is built
        self._waiting_phase: int | None = None
        self._size: tuple[int, int] | None = None
        self._cache: tuple[int, ActivationCache] | None = None
        self.step = self.epochs_done = self.stages_done = self.pixels = 0
        self.train_seconds = 0.0
        self.errors: list[float] = []  # of the stage's epochs, for its rules
        self.best: dict[str, Any] | None = None  # weights of its best epoch, for keep_best

    @property
    def model(self) -> torch.nn.Module:
        """The network in training. What is validated, scored and exported is `judged`."""
        return self.network.model

    @property
    def judged(self) -> torch.nn.Module:
        """The running average of the weights where there is one, else the network itself."""
        return self.ema.model if self.ema else self.model

    def events(self) -> Iterator[Event]:
        """Train to the end, from wherever `restore` left off."""
        for index, stage in enumerate(self.recipe.stages):
            if index < self.stages_done:
                continue
            first = self.plan.of_stage(index)[0]
            if self.step == first.first_step:
                # Only here: a resumed stage is at the size it was left at, and some networks
                # resample their position embeddings at every change.
                self._resize(stage, first.size_at(0))
                yield StageStarted(index, first, self.step)
            set_dropout(self.model, self._dropout(stage))
            yield from self._choose_rate(index, stage)
            while self.epochs_done < self.plan.of_stage(index)[-1].global_epoch + 1:
                yield from self._epoch(stage, self.plan.epochs[self.epochs_done])
                yield from self._apply_rules(index, stage)
            yield self._end_stage(index, stage)

    def _epoch(self, stage: Stage, row: EpochRow) -> Iterator[Event]:
        self._enter_phase(stage, row)
        start = self.step - row.first_step
        if start == 0:
            self.train_seconds = 0.0
        since = self.clock()
        for within, (x, y) in enumerate(self._batches(stage, row, start), start):
            if not row.cached:
                self._resize(stage, (x.shape[-2], x.shape[-1]))
            loss, micro = self._one_step(stage, row, within, x, y)
            self.train_seconds += self.clock() - since
            yield Step(self.step, row, loss, self.plan.lrs(self.step - 1)[-1])
            if micro is not None:
                words = shrink_words(
                    row.size_at(within), row.batch, micro, has_batch_norm(self.model)
                )
                yield Warned(words)
                yield self._choose(row.stage, "micro", micro, "memory ran out")
            since = self.clock()
        self._check_loss(row)
        yield self._validate(stage, row)

    def _batches(
        self, stage: Stage, row: EpochRow, start: int
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if row.cached:
            return self._cached(stage, row).batches(row, self.recipe.seed, start)
        pictures = self.data.train(row.stage)
        return pictures.batches(stage, row, self.recipe.seed, start, self.norm)

    def _one_step(
        self, stage: Stage, row: EpochRow, within: int, x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, int | None]:
        rates, momentum = self.plan.lrs(self.step), self.plan.momentum(self.step)
        loss, micro = self.steps.take(stage, row, within, x, y, rates, momentum)
        if self.ema:
            self.ema.update(self.model)
        height, width = row.size_at(within)
        self.step += 1
        self.pixels += len(y) * height * width
        self.meter.note(loss)
        if self.step % self._look_every == 0:
            self._check_loss(row)
        return loss, micro

    def _check_loss(self, row: EpochRow) -> None:
        """Give up where the loss stays without a value."""
        if float(self.meter.bad) < PATIENCE:
            return
        rate = self.plan.lrs(self.step - 1)[-1]
        raise LabError(
            f"Training diverged in stage {row.stage + 1} at step {self.step}: the loss is not "
            f"a number any more, at a learning rate of {rate:.2g}.",
            f"Lower the stage's learning rate, for example to {rate / 10:.1g}.",
            where=f"stages.{row.stage}.lr",
        )

    def _enter_phase(self, stage: Stage, row: EpochRow) -> None:
        if self._phase == row.phase:
            return
        if self.step == self.plan.phases[row.phase].first_step:
            self.meter = LossMeter(self.resolved.device)  # as fastai: anew with every fit
        mine = self._waiting is not None and self._waiting_phase == row.phase
        self.steps.enter(stage, row, self._waiting if mine else None)
        self._phase, self._waiting = row.phase, None

    def _resize(self, stage: Stage, size: tuple[int, int]) -> None:
        """Take inputs of this size from now on; some networks replace parameters for that."""
        if size == self._size:
            return
        self._size, averaged = size, None
        if self.ema and self.network.size_is_built_in:
            averaged = replace(self.network, model=self.ema.model).copy_at(*size).model
        if self.network.at_size(*size):
            remedies.apply(self.model, self.resolved.remedies)
            self.steps.resized(stage)
            if self.ema:
                self.ema.rebuild(self.model, averaged)

    def _dropout(self, stage: Stage) -> float:
        return self.recipe.model.drop_rate if stage.dropout is None else stage.dropout

    def _choose(self, stage: int, name: str, value: Any, reason: str) -> Chosen:
        """Write a choice down; whoever consumes the event makes it last before going on."""
        self.resolved = self.resolved.with_choice(stage, name, value, reason)
        n_train = len(self.data.train(0))
        self.plan = make_plan(self.recipe, n_train, self.resolved.groups, self.resolved)
        return Chosen(stage, name, value, reason)

    def _choose_rate(self, index: int, stage: Stage) -> Iterator[Event]:
        """The finder's valley, once, at the beginning of the stage."""
        if stage.lr != "finder" or self.resolved.of_stage(index, "lr") is not None:
            return
        curve = self.find_lr(index, progress=partial(self.progress, "Searching a rate"))
        if curve.stopped == "asked":
            raise Stopped
        found = suggest(curve.lrs, curve.losses)
        if found.valley is None:
            yield Warned(f"The finder gave no rate ({found.words}). {GUESSED_LR:g} is used.")
        height, width = self.plan.of_stage(index)[0].size_at(0)
        words = f"the finder's valley, {len(curve.lrs)} steps at {height}×{width} px"
        reason = words if found.valley else f"the finder gave none: {found.words}"
        yield self._choose(index, "lr", found.valley or GUESSED_LR, reason)

    def find_lr(
        self, stage: int, n: int = 100, progress: Callable[[int, int], None] | None = None
    ) -> LrCurve:
        """The learning-rate finder at the beginning of a stage, on a copy of the network: weights,
        buffers, optimizer and random state stay as they are, bit for bit."""
        devices = [self.resolved.device] if self.resolved.device.startswith("cuda") else []
        with torch.random.fork_rng(devices=devices):
            trial = Trainer(
                self.recipe, self.plan, self.resolved, self.data, copy.deepcopy(self.network),
                team=self.team, folder=self.folder, stopping=self.stopping,
            )  # fmt: skip
            first = self.plan.of_stage(stage)[0]
            if first.cached:  # the body is asked once, for the search and the stage
                self._resize(self.recipe.stages[stage], first.size_at(0))
                self._cached(self.recipe.stages[stage], first)
                trial._cache = self._cache
            step, done = trial.trial_steps(first), itertools.count(1)

            def told(lr: float) -> float:
                loss = step(lr)
                if progress:
                    progress(next(done), n)
                return loss

            return find(told, n=n, stop=self.stopping)

    def trial_steps(self, row: EpochRow) -> Callable[[float], float]:
        """Steps at a given rate, all groups alike, on the first batches of an epoch, over and over;
        each returns its loss. They train this trainer's network: see find_lr."""
        stage = self.recipe.stages[row.stage]
        self._resize(stage, row.size_at(0))
        set_dropout(self.model, self._dropout(stage))
        self.steps.enter(stage, row)
        again = (enumerate(self._batches(stage, row, 0)) for _ in itertools.count())
        source = itertools.chain.from_iterable(again)

        def step(lr: float) -> float:
            within, (x, y) = next(source)
            if not row.cached:
                self._resize(stage, (x.shape[-2], x.shape[-1]))
            rates = (lr,) * self.resolved.groups
            loss, _ = self.steps.take(stage, row, within, x, y, rates, None)
            return float(loss)

        return step

    def _apply_rules(self, index: int, stage: Stage) -> Iterator[Event]:
        """End the stage where its rules say so; keep what its best epoch was."""
        if self.recipe.rules.keep_best and best_epoch(self.errors) == len(self.errors) - 1:
            self.best = {
                "epoch": len(self.errors) - 1,
                "model": _copied(self.model.state_dict()),
                "ema": _copied(self.ema.state()) if self.ema else None,
            }
        if self.resolved.of_stage(index, "epochs") is None:
            reason = reason_to_end(stage, self.recipe.rules, self.errors)
            if reason:
                yield self._choose(index, "epochs", len(self.errors), reason)

    def _end_stage(self, index: int, stage: Stage) -> StageDone:
        """Scores in fp32, by the exported transform: what is stored is what an export gives."""
        kept = None
        if self.best is not None and self.best["epoch"] != len(self.errors) - 1:
            kept = self.best["epoch"]
            self._resize(stage, self.plan.of_stage(index)[kept].sizes[-1][1:])
            self.model.load_state_dict(self.best["model"])
            if self.ema:
                self.ema.load(self.best["ema"])
        own, final = self.data.valid(index), self.data.final()
        found = self._judge.of(self.judged, own, self._size, "fp32")
        same = own.images is final.images
        other = found if same else self._judge.of(self.judged, final, self._size, "fp32")
        self.stages_done, self.errors, self.best, self._cache = index + 1, [], None, None
        return StageDone(index, self.step, found, other, kept)

    def _cached(self, stage: Stage, row: EpochRow) -> ActivationCache:
        """What the frozen body says of every picture, asked once per stage."""
        if self._cache is None or self._cache[0] != row.stage:
            built = ActivationCache.build(
                self.model, self.data.train(row.stage), self.data.valid(row.stage), stage, row,
                self.recipe.seed, self.norm, self.resolved.device, self.resolved.precision,
                self.folder, self.stopping, self.progress,
            )  # fmt: skip
            self._cache = row.stage, built
        return self._cache[1]

    def _validate(self, stage: Stage, row: EpochRow) -> EpochDone:
        since = self.clock()
        pictures = self.data.valid(row.stage)
        if row.cached and self.ema is None:
            features, _ = self._cached(stage, row).valid()
            found = self._judge.of_features(features)
        else:
            found = self._judge.of(self.judged, pictures, self._size, self.resolved.precision)
        seconds = self.clock() - since
        locked = self.data.locked(row.stage) if self.recipe.evaluation.test_every_epoch else None
        precision = self.resolved.precision
        tested = locked and self._judge.of(self.judged, locked, self._size, precision)
        self.epochs_done = row.global_epoch + 1
        self.errors.append(1 - accuracy(found.first, pictures.labels))
        return EpochDone(
            row=row,
            step=self.step,
            size=pictures.hw,
            train_loss=self.meter.value(),
            valid_loss=log_loss(found.first, pictures.labels),
            accuracy=1 - self.errors[-1],
            second_accuracy=second_accuracy(found, pictures),
            train_seconds=self.train_seconds,
            seconds=self.train_seconds + seconds,
            lr=self.plan.lrs(self.step - 1)[-1],
            pixels=self.pixels,
            probs=found.first,
            test_probs=tested.first if tested else None,
        )

    def state(self) -> dict[str, Any]:
        """Everything that decides what comes next: tensors, numbers and strings only."""
        waiting = self._waiting is not None or self.steps.optimizer is None
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.state() if self.ema else None,
            "optimizer": self._waiting if waiting else self.steps.optimizer.state_dict(),
            "phase": self._waiting_phase if waiting else self._phase,
            "scaler": self.steps.scaler.state(),
            "size": self._size,
            "meter": self.meter.state(),
            "errors": list(self.errors),
            "best": self.best,
            "threads": torch.get_num_threads(),
            **{name: getattr(self, name) for name in _COUNTERS},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. The input size is set first: it may replace parameters."""
        if state["size"]:
            at = self.plan.row_at(max(0, int(state["step"]) - 1))
            self._resize(self.recipe.stages[at.stage], tuple(state["size"]))
        self.model.load_state_dict(state["model"])
        if self.ema:
            self.ema.load(state["ema"])
        for name in _COUNTERS:
            setattr(self, name, state[name])
        self.meter.load(state["meter"])
        self.steps.scaler.load(state["scaler"])
        self.errors, self.best = list(state["errors"]), state["best"]
        self._phase, self._waiting = None, state["optimizer"]
        self._waiting_phase = state["phase"]


def _copied(state: Any) -> Any:
    """Tensors that later training does not change."""
    return copy.deepcopy(dict(state.items()))


_COUNTERS = ("step", "epochs_done", "stages_done", "train_seconds", "pixels")
