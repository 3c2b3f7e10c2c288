"""The plan of a run: every epoch, and the rate at every step. One plan, many readers.

    plan = make_plan(recipe, n_train=900, groups=1)
    plan.epochs[3].batch, plan.lrs(120), plan.momentum(120)

Timeline, forecast, trainer and tests all read it; nobody recomputes a size or a rate.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from lab.recipe.facts import Facts, Resolved
from lab.recipe.model import Recipe
from lab.recipe.ramp import stage_hw
from lab.recipe.stage import Stage
from lab.schedules.curves import (
    cosine_lr,
    flat_cosine_lr,
    group_peaks,
    one_cycle_lr,
    one_cycle_momentum,
    restarts_lr,
)

UNRESOLVED = Resolved()

GUESSED_LR, GUESSED_BATCH = 3e-3, 64  # drawn where the finder or the memory decide later
Run = tuple[int, int, int]  # steps, height, width


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
    cycles: tuple[int, ...] = ()  # epochs per cycle, under restarts
    known: bool = True  # False: the peaks are a guess until the finder has run

    def lrs(self, step: int) -> tuple[float, ...]:
        """Rate per group at a global step."""
        p = (step - self.first_step) / self.steps
        return tuple(self._lr(peak, p) for peak in self.peaks)

    def _lr(self, peak: float, p: float) -> float:
        match self.schedule:
            case "one-cycle":
                return one_cycle_lr(peak, p, self.pct_start, self.div, self.div_final)
            case "restarts":
                return restarts_lr(peak, p, self.cycles)
            case "flat-cosine":
                return flat_cosine_lr(peak, p, self.pct_start, self.div_final)
            case "cosine":
                return cosine_lr(peak, p)
        return peak

    def momentum(self, step: int) -> float | None:
        """Momentum at a global step; None where it does not cycle."""
        if self.schedule != "one-cycle":
            return None
        return one_cycle_momentum((step - self.first_step) / self.steps, self.pct_start)


@dataclass(frozen=True)
class EpochRow:
    """One epoch of the plan. Height and width are those of its last step."""

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
    runs: tuple[Run, ...] = ()  # where a size ramps within the epoch; () is one size
    augmented: bool = True
    cached: bool = False  # the head trains on cached activations
    known: bool = True  # False: rates or batch are guesses until the run has chosen

    @property
    def sizes(self) -> tuple[Run, ...]:
        """Steps at each size, in order."""
        return self.runs or ((self.steps, self.height, self.width),)

    @property
    def shares(self) -> tuple[Run, ...]:
        """Images at each size, in order: (images, height, width)."""
        found, left = [], self.images
        for steps, height, width in self.sizes:
            taken = min(left, steps * self.batch)
            found.append((taken, height, width))
            left -= taken
        return tuple(found)

    @property
    def pixels(self) -> int:
        """Pixels that training takes through the network in this epoch."""
        return sum(images * height * width for images, height, width in self.shares)

    def size_at(self, step: int) -> tuple[int, int]:
        """(height, width) at a step within the epoch, from 0."""
        for steps, height, width in self.sizes:
            if step < steps:
                return height, width
            step -= steps
        return self.height, self.width

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
    return make_plan(recipe, facts.data.n_train, resolved.groups, resolved)


def make_plan(recipe: Recipe, n_train: int, groups: int, resolved: Resolved = UNRESOLVED) -> Plan:
    """The plan for n_train training images and so many parameter groups.

    An epoch has ceil(n / batch) steps where the leftover batch holds at least two images (a norm
    layer cannot learn from one), else floor. What `resolved` does not say yet (a rate from the
    finder, an automatic batch) is guessed, and such rows are not `known`.
    """
    phases: list[Phase] = []
    rows: list[EpochRow] = []
    for index, stage in enumerate(recipe.stages):
        first = rows[-1].last_step if rows else 0
        mine = _Chosen.of(index, stage, n_train, resolved)
        found = _phases(index, stage, groups, mine, first)
        rows += _epochs(stage, found, mine, len(phases), len(rows), n_train)
        phases += found
    return Plan(tuple(rows), tuple(phases))


def steps_per_epoch(n: int, batch: int) -> int:
    """Steps of one epoch: a last partial batch counts where it holds at least two images."""
    return max(1, n // batch + (n % batch >= 2))


@dataclass(frozen=True)
class _Chosen:
    """What a stage's rate, batch and length are, chosen already or guessed."""

    lr: float
    batch: int
    steps: int  # of an epoch
    epochs: int  # that are run; a rule may have ended the stage early
    length: int | None  # steps of the stage, where those and not its epochs are given
    known: bool

    @classmethod
    def of(cls, index: int, stage: Stage, n_train: int, resolved: Resolved) -> _Chosen:
        lr = stage.lr if stage.lr != "finder" else resolved.of_stage(index, "lr")
        auto = stage.batch_size == "auto"
        wanted = resolved.of_stage(index, "batch_size") if auto else stage.batch_size
        batch = min(wanted or GUESSED_BATCH, max(n_train, 1))
        steps, length = steps_per_epoch(n_train, batch), resolved.of_stage(index, "steps")
        epochs = stage.total_epochs if length is None else math.ceil(length / steps)
        return cls(
            lr=lr or GUESSED_LR,
            batch=batch,
            steps=steps,
            epochs=resolved.of_stage(index, "epochs") or epochs,
            length=length,
            known=lr is not None and wanted is not None,
        )


def _phases(index: int, stage: Stage, groups: int, mine: _Chosen, first: int) -> list[Phase]:
    """fastai's fine_tune where the stage has frozen epochs, else one curve."""
    tuned = stage.frozen_epochs > 0
    found = []
    if tuned:
        peaks = group_peaks(mine.lr, groups, "tenth", stage.lr_ratio)
        shape = (stage.pct_start or 0.99, stage.div or 25.0)
        kind = "constant" if stage.schedule == "constant" else "one-cycle"
        frozen = _phase(index, stage, stage.frozen_epochs, peaks, shape, mine, first)
        found.append(replace(frozen, frozen=True, schedule=kind, cycles=()))
        first += stage.frozen_epochs * mine.steps
    if stage.open_epochs:
        lr = mine.lr / 2 if tuned else mine.lr
        peaks = group_peaks(lr, groups, stage.group_rates, stage.lr_ratio, stage.layer_decay)
        usual = {"flat-cosine": 0.75}.get(stage.schedule, 0.3 if tuned else 0.25)
        shape = (stage.pct_start or usual, stage.div or (5.0 if tuned else 25.0))
        epochs = stage.open_epochs if mine.length is None else math.ceil(mine.length / mine.steps)
        found.append(_phase(index, stage, epochs, peaks, shape, mine, first))
    return found


def _phase(
    index: int,
    stage: Stage,
    epochs: int,
    peaks: tuple[float, ...],
    shape: tuple[float, float],
    mine: _Chosen,
    first: int,
) -> Phase:
    return Phase(
        stage=index,
        frozen=False,
        epochs=epochs,
        peaks=peaks,
        schedule=stage.schedule,
        pct_start=shape[0],
        div=shape[1],
        div_final=stage.div_final,
        first_step=first,
        steps=mine.length or epochs * mine.steps,
        cycles=stage.cycles,
        known=mine.known,
    )


def _epochs(
    stage: Stage, phases: list[Phase], mine: _Chosen, n_phases: int, n_rows: int, n_train: int
) -> list[EpochRow]:
    """The stage's epochs; a curve keeps its full length where a rule ended the stage early. Of a
    stage whose steps are given, the last epoch may be a part of one."""
    rows: list[EpochRow] = []
    spans = [
        (number, epoch) for number, phase in enumerate(phases) for epoch in range(phase.epochs)
    ]
    for done, (number, epoch) in enumerate(spans[: mine.epochs]):
        phase = phases[number]
        steps = min(mine.steps, phase.steps - epoch * mine.steps)
        runs = _runs(stage, done, steps)
        row = EpochRow(
            stage=phase.stage,
            epoch=done,
            global_epoch=n_rows + done,
            phase=n_phases + number,
            height=runs[-1][1],
            width=runs[-1][2],
            batch=mine.batch,
            steps=steps,
            images=min(n_train, steps * mine.batch),
            frozen=phase.frozen,
            peak_lrs=phase.peaks,
            first_step=phase.first_step + epoch * mine.steps,
            runs=runs if len(runs) > 1 else (),
            augmented=done < len(spans) - stage.augment_off_epochs,
            cached=stage.cached_activations,
            known=mine.known,
        )
        rows.append(row)
    return rows


def _runs(stage: Stage, epoch: int, steps: int) -> tuple[Run, ...]:
    """Steps at each size within an epoch of a stage."""
    total = stage.total_epochs
    if stage.ramp_from is None or stage.ramp_by == "epoch":
        return ((steps, *stage_hw(stage, epoch, total)),)
    sizes = (stage_hw(stage, epoch * steps + step, total * steps) for step in range(steps))
    return tuple((len(list(same)), *size) for size, same in groupby(sizes))


def stretch(total: float, scale: float) -> int:
    """A number of epochs scaled and rounded, at least one."""
    return max(1, math.floor(total * scale + 0.5))
