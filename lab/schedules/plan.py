"""The plan of a run: every epoch, and the rate at every step. One plan, many readers.

    plan = make_plan(recipe, n_train=900, groups=1)
    plan.epochs[3].batch, plan.lrs(120), plan.momentum(120)

Timeline, forecast, trainer and tests all read it; nobody recomputes a size or a rate.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from lab.recipe.facts import Facts, Resolved
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage
from lab.schedules.curves import group_peaks, one_cycle_lr, one_cycle_momentum


@dataclass(frozen=True)
class Phase:
    """Epochs under one learning-rate curve: a stage has one, or two where it starts frozen."""

    stage: int
    frozen: bool  # the body is frozen
    epochs: int
    peaks: tuple[float, ...]  # peak rate per parameter group
    schedule: str
    pct_start: float
    div: float
    div_final: float
    first_step: int
    steps: int

    def lrs(self, step: int) -> tuple[float, ...]:
        """Rate per group at a global step."""
        if self.schedule == "constant":
            return self.peaks
        p = (step - self.first_step) / self.steps
        shape = (p, self.pct_start, self.div, self.div_final)
        return tuple(one_cycle_lr(peak, *shape) for peak in self.peaks)

    def momentum(self, step: int) -> float | None:
        """Momentum at a global step; None where it does not cycle."""
        if self.schedule == "constant":
            return None
        return one_cycle_momentum((step - self.first_step) / self.steps, self.pct_start)


@dataclass(frozen=True)
class EpochRow:
    """One epoch of the plan."""

    stage: int
    epoch: int  # within the stage, from 0
    global_epoch: int
    phase: int  # index into plan.phases
    height: int
    width: int
    batch: int
    steps: int
    images: int  # seen in training
    frozen: bool
    peak_lrs: tuple[float, ...]
    first_step: int

    @property
    def pixels(self) -> int:
        """Pixels that training takes through the network in this epoch."""
        return self.images * self.height * self.width

    @property
    def last_step(self) -> int:
        """One past the epoch's last global step."""
        return self.first_step + self.steps


@dataclass(frozen=True)
class Plan:
    """All epochs of a run."""

    epochs: tuple[EpochRow, ...]
    phases: tuple[Phase, ...]

    @property
    def total_steps(self) -> int:
        return self.epochs[-1].last_step

    @property
    def total_pixels(self) -> int:
        return sum(row.pixels for row in self.epochs)

    @cached_property
    def _starts(self) -> list[int]:
        return [row.first_step for row in self.epochs]

    def row_at(self, step: int) -> EpochRow:
        """The epoch that a global step belongs to."""
        return self.epochs[bisect_right(self._starts, step) - 1]

    def lrs(self, step: int) -> tuple[float, ...]:
        """Rate per parameter group at a global step."""
        return self.phases[self.row_at(step).phase].lrs(step)

    def momentum(self, step: int) -> float | None:
        """Momentum (Adam's beta1) at a global step; None where it does not cycle."""
        return self.phases[self.row_at(step).phase].momentum(step)

    def of_stage(self, stage: int) -> tuple[EpochRow, ...]:
        """The epochs of one stage."""
        return tuple(row for row in self.epochs if row.stage == stage)


def plan(recipe: Recipe, facts: Facts, resolved: Resolved) -> Plan:
    """The plan of a run whose facts and choices are known."""
    assert facts.data is not None
    return make_plan(recipe, facts.data.n_train, resolved.groups)


def make_plan(recipe: Recipe, n_train: int, groups: int) -> Plan:
    """The plan for n_train training images and so many parameter groups.

    An epoch has ceil(n / batch) steps where the leftover batch holds at least two images (a norm
    layer cannot learn from one), else floor.
    """
    phases: list[Phase] = []
    rows: list[EpochRow] = []
    for index, stage in enumerate(recipe.stages):
        batch = min(stage.batch_size, max(n_train, 1))
        steps = steps_per_epoch(n_train, batch)
        for phase in _phases(index, stage, groups, steps, rows[-1].last_step if rows else 0):
            _append_epochs(rows, phase, len(phases), stage, batch, n_train)
            phases.append(phase)
    return Plan(tuple(rows), tuple(phases))


def steps_per_epoch(n: int, batch: int) -> int:
    """Steps of one epoch: a last partial batch counts where it holds at least two images."""
    return max(1, n // batch + (n % batch >= 2))


def _phases(index: int, stage: Stage, groups: int, steps: int, first: int) -> list[Phase]:
    """fastai's fine_tune where the stage has frozen epochs, else one curve."""
    tuned = stage.frozen_epochs > 0
    found = []
    if tuned:
        peaks = group_peaks(stage.lr, groups, "tenth", stage.lr_ratio)
        shape = (stage.pct_start or 0.99, stage.div or 25.0)
        found.append(_phase(index, stage, True, stage.frozen_epochs, peaks, shape, steps, first))
        first += stage.frozen_epochs * steps
    if stage.epochs:
        lr = stage.lr / 2 if tuned else stage.lr
        peaks = group_peaks(lr, groups, stage.group_rates, stage.lr_ratio)
        shape = (stage.pct_start or (0.3 if tuned else 0.25), stage.div or (5.0 if tuned else 25.0))
        found.append(_phase(index, stage, False, stage.epochs, peaks, shape, steps, first))
    return found


def _phase(
    index: int,
    stage: Stage,
    frozen: bool,
    epochs: int,
    peaks: tuple[float, ...],
    shape: tuple[float, float],
    steps: int,
    first: int,
) -> Phase:
    return Phase(
        stage=index,
        frozen=frozen,
        epochs=epochs,
        peaks=peaks,
        schedule=stage.schedule,
        pct_start=shape[0],
        div=shape[1],
        div_final=stage.div_final,
        first_step=first,
        steps=epochs * steps,
    )


def _append_epochs(
    rows: list[EpochRow], phase: Phase, number: int, stage: Stage, batch: int, n_train: int
) -> None:
    steps = steps_per_epoch(n_train, batch)
    height, width = stage.hw
    done = sum(row.stage == phase.stage for row in rows)
    for epoch in range(phase.epochs):
        row = EpochRow(
            stage=phase.stage,
            epoch=done + epoch,
            global_epoch=len(rows),
            phase=number,
            height=height,
            width=width,
            batch=batch,
            steps=steps,
            images=min(n_train, steps * batch),
            frozen=phase.frozen,
            peak_lrs=phase.peaks,
            first_step=phase.first_step + epoch * steps,
        )
        rows.append(row)


def stretch(total: float, scale: float) -> int:
    """A number of epochs scaled and rounded, at least one."""
    return max(1, math.floor(total * scale + 0.5))
