"""How many steps a baseline may take for as long as its reference run trained.

    steps, reason = as_long(workspace, recipe, resolved, data, network, progress)

Machines drift by a factor of two within an hour, so the time on the reference's clock says little.
Every kind of step that the reference made (a size, frozen or not) and the baseline's own are timed
here in turns, on copies, with their pictures and augmentation; the reference's time is the sum over
its steps at these speeds. Only training counts: validation measures, it does not train.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lab.analysis.curves import epochs_frame
from lab.errors import LabError
from lab.recipe.facts import Facts, Resolved
from lab.recipe.model import Recipe
from lab.runs.events import read_events
from lab.runs.folder import RunFolder
from lab.runs.status import standing
from lab.schedules.plan import EpochRow, Plan, plan
from lab.train import remedies
from lab.train.model import Network
from lab.train.trainer import Trainer
from lab.vision.resident import ResidentData, budget
from lab.vision.rundata import Progress, RunData, open_run_data, quiet
from lab.workers.probe import same_random_state
from lab.workspace import Workspace

Clock = Callable[[], float]
TURN_S, WARM_UP = 0.4, 1  # a turn's length, about; steps before a turn that do not count
FEWEST_TURNS, MOST_TURNS = 5, 40
SHARE, MOST_S = 0.15, 120.0  # of the reference's time that measuring may take, and at most
TINY_LR = 1e-6  # the steps are to cost what steps cost, and to blow nothing up


def as_long(
    workspace: Workspace,
    recipe: Recipe,
    resolved: Resolved,
    data: RunData,
    network: Network,
    progress: Progress = quiet,
) -> tuple[int, str]:
    """(steps, the reason) for `recipe.same_time_as`. The network gets its remedies, no more.

    Raises LabError where the reference is gone, not finished, or was trained on other pictures.
    """
    reference = RunFolder(workspace.run(recipe.same_time_as))
    trained_seconds(reference)
    theirs = open_run_data(workspace, reference.recipe(), progress)
    if theirs.dataset.fingerprint != data.dataset.fingerprint:
        raise LabError(
            f"Run {reference.id} was trained on other pictures: its time says nothing here.",
            "Make the baseline of a run on the same data.",
            where="same_time_as",
        )
    theirs.mean, theirs.interpolation = data.mean, data.interpolation
    theirs.build(progress)
    remedies.apply(network.model, resolved.remedies)
    return SameTime(recipe, resolved, data, network, reference, theirs, progress).steps()


@dataclass(frozen=True)
class Kind:
    """A kind of step that a run makes: how often, and a row of the plan that shows how."""

    row: EpochRow
    steps: int


class Turns:
    """Steps of one kind on a copy of the network, timed a few at a time."""

    def __init__(self, trainer: Trainer, row: EpochRow, clock: Clock):
        self.step, self.clock = trainer.trial_steps(row), clock
        self.step(TINY_LR)  # allocations, kernels chosen
        self.count = max(2, min(50, round(TURN_S / max(self._timed(2), 1e-4))))
        self.seconds: list[float] = []

    def take(self) -> None:
        """One turn."""
        for _ in range(WARM_UP):
            self.step(TINY_LR)
        self.seconds.append(self._timed(self.count))

    def _timed(self, count: int) -> float:
        """Seconds a step; each reads its loss, so a GPU has done its work by then."""
        since = self.clock()
        for _ in range(count):
            self.step(TINY_LR)
        return (self.clock() - since) / count


@dataclass
class SameTime:
    """A baseline's recipe, choices, pictures and network beside its finished reference run."""

    recipe: Recipe
    resolved: Resolved
    data: RunData
    network: Network
    reference: RunFolder
    reference_data: RunData
    progress: Progress = quiet
    clock: Clock = time.perf_counter

    def steps(self) -> tuple[int, str]:
        """(steps of the only stage, the reason with the numbers)."""
        theirs, chosen = self.reference.recipe(), self._their_choices()
        there = plan(theirs, Facts(data=self.reference_data.facts()), chosen)
        mine = plan(self.recipe, Facts(data=self.data.facts()), self.resolved)
        trained_s = trained_seconds(self.reference)
        kinds = kinds_of(there)
        own = Kind(mine.epochs[0], 1)
        with same_random_state(self.resolved.device):
            turns = [self._turns(theirs, there, chosen, self.reference_data, k) for k in kinds]
            turns.append(self._turns(self.recipe, mine, self.resolved, self.data, own))
            self._measure(turns, trained_s)
        *other, step_s = (statistics.median(turn.seconds) for turn in turns)
        total_s = total_seconds(kinds, other, self._cached_seconds(there), trained_s)
        return max(1, round(total_s / step_s)), self._reason(total_s, step_s, trained_s)

    def _their_choices(self) -> Resolved:
        """What the reference chose, on the device of this run."""
        stored = Resolved(**self.reference.resolved()["resolved"])
        return replace(stored, device=self.resolved.device)

    def _turns(
        self, recipe: Recipe, the_plan: Plan, resolved: Resolved, data: RunData, kind: Kind
    ) -> Turns:
        device = resolved.device
        fed = data if device == "cpu" else ResidentData(data, device, budget(device))
        network = replace(self.network, model=copy.deepcopy(self.network.model))
        return Turns(Trainer(recipe, the_plan, resolved, fed, network), kind.row, self.clock)

    def _measure(self, turns: list[Turns], trained_s: float) -> None:
        began = self.clock()
        allowed = min(MOST_S, SHARE * trained_s)
        for number in range(MOST_TURNS):
            if number >= FEWEST_TURNS and self.clock() - began > allowed:
                break
            self.progress("Timing both schedules in turns", number, MOST_TURNS)
            for turn in turns:
                turn.take()
        self.progress("Timing both schedules in turns", MOST_TURNS, MOST_TURNS)

    def _cached_seconds(self, there: Plan) -> list[float]:
        """Of each epoch on cached activations, by the clock of then."""
        epochs = epochs_frame(read_events(self.reference))
        cached = [row.global_epoch for row in there.epochs if row.cached]
        return epochs[epochs["global_epoch"].isin(cached)]["train_seconds"].tolist()

    def _reason(self, total_s: float, step_s: float, trained_s: float) -> str:
        height, width = self.recipe.stages[0].hw
        return (
            f"run {self.reference.id} trained {total_s:.1f} s at the speed of now "
            f"({trained_s:.1f} s on its own clock), a step at {height}×{width} px takes "
            f"{1000 * step_s:.1f} ms; timed in turns"
        )


def kinds_of(there: Plan) -> list[Kind]:
    """Each kind of step that a plan makes through the body, with how many of it there are."""
    found: dict[tuple, Kind] = {}
    for row in there.epochs:
        if row.cached:
            continue
        for steps, height, width in row.sizes:
            key = (row.stage, row.frozen, row.augmented, height, width)
            # A row of its own, of one size: a ramp's epochs mix several.
            shown = replace(row, runs=(), height=height, width=width)
            known = found.get(key, Kind(shown, 0))
            found[key] = Kind(known.row, known.steps + steps)
    return list(found.values())


def total_seconds(
    kinds: Sequence[Kind], seconds: Sequence[float], cached: Sequence[float], trained_s: float
) -> float:
    """Seconds of a whole training at the speed of now, from `seconds` a step of each kind.

    Most of the time on cached activations is one pass through the body, which is no step: it counts
    as the clock of then had it, changed as the other steps have changed since.
    """
    measured, waited = sum(k.steps * s for k, s in zip(kinds, seconds)), sum(cached)
    others = trained_s - waited
    drift = measured / others if measured > 0 and others > 0 else 1.0
    return measured + drift * waited


def trained_seconds(run: RunFolder) -> float:
    """Seconds of training of a finished run, validation left out. LabError where it is not."""
    if not run.exists():
        raise LabError(
            f"The run {run.id} that this one is to be as long as is gone.",
            "Make the baseline of another run.",
            where="same_time_as",
        )
    epochs = epochs_frame(read_events(run))
    if standing(run).status != "finished" or not len(epochs):
        raise LabError(
            f"Run {run.id} is not finished: how long it takes is not known.",
            "Finish it first; this run then goes on.",
            where="same_time_as",
        )
    return float(epochs["train_seconds"].sum())
