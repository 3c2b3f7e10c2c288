"""One run from its recipe to its scores: what the worker process and `lab train` both execute.

    code = execute(workspace, run, attempt=0, device="auto", on_event=print)

Exit codes: 0 finished, 1 failed (message and fix in state.json), 75 stopped and resumable.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import timm
import torch

import lab
from lab.errors import LabError, Stopped
from lab.jobs.device_lock import device_lock
from lab.recipe.baselines import leading_stage
from lab.recipe.check import check, errors_of
from lab.recipe.facts import Facts, Resolved
from lab.recipe.model import Recipe
from lab.recipe.stage import hw
from lab.runs.events import EventWriter
from lab.runs.folder import RunFolder, process_identity
from lab.schedules.plan import Plan, make_plan, plan
from lab.scoring.start import start_weights
from lab.train import checkpoint, remedies
from lab.train.memory import has_batch_norm, shrink_words
from lab.train.model import Network, build, check_size
from lab.train.team import Alone
from lab.train.trainer import Trainer
from lab.vision.resident import ResidentData, budget
from lab.vision.rundata import RunData, open_run_data
from lab.workers.context import Work
from lab.workers.record import Recorder
from lab.workers.resolve import cores, pick_devices, preflight, resolve
from lab.workers.same_time import as_long
from lab.workers.state import Pulse
from lab.workspace import Workspace, read_json, write_json

DONE, FAILED, STOPPED = 0, 1, 75
ECHO_S = 2.0  # by then the process whose end an error echoes is seen to be gone
LEFT = 70  # of several processes: another one has ended, and this one has nothing to say


def execute(
    workspace: Workspace,
    run: RunFolder,
    attempt: int,
    device: str = "auto",
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    team: Alone | None = None,
    leader: int | None = None,
) -> int:
    """Train a run from where it stands to its end. Returns an exit code; never raises.

    In process 0 of a `team`, `leader` is the pid of who started them: the run lives as it does.
    """
    with ExitStack() as stack:
        pulse = Pulse(run.path, attempt)
        if leader:
            pulse.set(**process_identity(leader))
        stack.enter_context(pulse)
        pulse.listen()
        writer = EventWriter(run, attempt)
        stack.callback(writer.close)
        work = Training(workspace, run, attempt, pulse, writer, on_event, team=team or Alone())
        try:
            work.train(device, stack)
        except Exception as error:
            stopped = isinstance(error, Stopped)
            if not isinstance(error, LabError) and work.team.abandoned(0.0 if stopped else ECHO_S):
                return LEFT
            return _stopped(work) if stopped else _failed(work, error)
        pulse.set(status="finished", message="")
        return DONE


def _stopped(work: Work) -> int:
    work.tell("stopped", step=work.step)
    work.pulse.set(status="stopped", message="Stopped. It can go on from here.")
    return STOPPED


def _failed(work: Work, error: Exception) -> int:
    problem = as_words(error, work.run.log)
    work.tell("failed", message=problem.what, fix=problem.fix)
    work.pulse.set(status="failed", message=problem.what, fix=problem.fix)
    return FAILED


def as_words(error: Exception, log: Path | None = None) -> LabError:
    """Any failure as one sentence and its remedy; to a log, what is no LabError in full."""
    if isinstance(error, LabError):
        return error
    if log:
        with contextlib.suppress(OSError), open(log, "a", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LabError("The disk is full.", "Free some space, then continue the run.")
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error):
        return LabError(
            "Memory ran out.", "Lower the batch size or the size of the largest stage, then clone."
        )
    first = str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
    return LabError(
        f"The lab failed: {type(error).__name__} {first}".strip(), "The log has the details."
    )


@dataclass
class Training(Work):
    """One execution: prepare, restore where there is something to restore, train, record."""

    team: Alone = field(default_factory=Alone)

    def train(self, wish: str, stack: ExitStack) -> None:
        """To the end. Raises Stopped, or whatever went wrong."""
        recipe = self.run.recipe()
        if problems := errors_of(check(recipe)):
            raise LabError.of(problems)
        with self.team.first():  # the others find stores and choices made
            resolved = self._earlier_choices(recipe)
            chosen, why = pick_devices(resolved.device if resolved else wish)
            device = chosen.split(",")[self.team.rank]
            self.hold(chosen, stack)
            threads = resolved.threads if resolved else recipe.threads or cores()
            torch.set_num_threads(max(1, threads // self.team.size))
            data = open_run_data(self.workspace, recipe, self.progress)
            network = self._network(recipe, data)
            data.mean, data.interpolation = network.mean, network.interpolation
            data.build(self.progress)
            facts = Facts(data=data.facts())
            if problems := errors_of(check(recipe, facts)):
                raise LabError.of(problems)
            if resolved is None:
                resolved = self._choose(recipe, network, data, device, (chosen, why))
            self._same_data(data)
            checkpoint.sweep(self.run.checkpoints)
            if recipe.same_time_as and resolved.of_stage(0, "steps") is None:
                resolved = self._as_long(recipe, replace(resolved, device=device), data, network)
                resolved = replace(resolved, device=chosen)
        remedies.apply(network.model, resolved.remedies)
        alone = self.team.size == 1
        trainer = Trainer(
            recipe,
            plan(recipe, facts, resolved),
            replace(resolved, device=device),
            data if device == "cpu" else ResidentData(data, device, budget(device)),
            network,
            team=self.team,
            folder=self.run.path,
            stopping=lambda: self.team.stop(self.pulse.stopping),
            progress=self.progress if alone else self.shown,
        )
        self._restore(trainer, recipe, resolved, data)
        self.pulse.set(status="running", device=resolved.device)
        self.record(Recorder(self, trainer, data, resolved.device))

    def record(self, recorder: Recorder) -> None:
        """Train, and write down what happens."""
        recorder.record()

    def hold(self, devices: str, stack: ExitStack) -> None:
        """Keep other runs off the devices. Raises LabError where one is in use."""
        for name in sorted(set(devices.split(","))):
            stack.enter_context(device_lock(self.workspace, name, holder=f"run {self.run.id}"))

    def shown(self, what: str, done: int, total: int) -> None:
        """Progress where to stop is for all processes to agree on."""
        with contextlib.suppress(Stopped):
            self.progress(what, done, total)

    def _network(self, recipe: Recipe, data: RunData) -> Network:
        """With its first weights; where there is a checkpoint those are not asked for again: the
        run or the hub that they came from may be gone."""
        classes = [*data.parts.classes, *data.second_classes]
        shape = (len(classes), recipe.model.groups, recipe.stages[0].hw)
        known = self.run.resolved().get("network")
        if known and checkpoint.manifests(self.run.checkpoints):
            spec = recipe.model.but(weights="none", file="", run="")
            network = build(recipe.but(model=spec.model_dump()), *shape)
            network.mean, network.std = tuple(known["mean"]), tuple(known["std"])
            network.interpolation = known["interpolation"]
        else:
            start = start_weights(self.workspace, recipe.model)
            network = build(recipe, *shape, start=start, classes=classes)
        network.second_classes = len(data.second_classes)
        for size in _sizes(recipe):
            check_size(network, recipe.model.name, *size)
        return network

    def _earlier_choices(self, recipe: Recipe) -> Resolved | None:
        """What an earlier attempt chose; for a baseline, what its reference run chose."""
        resolved, document = earlier_choices(self.workspace, self.run, recipe)
        if document:
            write_json(self.run.resolved_file, document)
        return resolved

    def _choose(
        self,
        recipe: Recipe,
        network: Network,
        data: RunData,
        device: str,
        wish: tuple[str, str],
    ) -> Resolved:
        """Tried on one device. `wish`: the run's device or devices, and why."""
        self.progress("Choosing precision and batch", 0, 1)
        facts = data.facts()
        resolved = resolve(recipe, network, device, wish[1], facts)
        share = shared(recipe, facts.n_train, resolved, self.team)
        for choice in preflight(
            share, network, device, resolved.precision, resolved, facts.n_train
        ):
            resolved = resolved.with_choice(*choice)
        resolved = replace(resolved, device=wish[0])
        document = {
            "resolved": resolved.as_dict(),
            "recipe": recipe.identity(),
            "data": data.dataset.fingerprint,
            "network": {
                "mean": network.mean,
                "std": network.std,
                "interpolation": network.interpolation,
            },
        }
        write_json(self.run.resolved_file, document)
        return resolved

    def _as_long(
        self, recipe: Recipe, resolved: Resolved, data: RunData, network: Network
    ) -> Resolved:
        """As many steps as the reference's time allows, measured once and written down."""
        choice = as_long(self.workspace, recipe, resolved, data, network, self.progress)
        resolved = resolved.with_choice(0, "steps", *choice)
        document = self.run.resolved()
        document["resolved"] |= {"stages": resolved.stages, "reasons": resolved.reasons}
        write_json(self.run.resolved_file, document)
        return resolved

    def _same_data(self, data: RunData) -> None:
        """A run goes on only with the pictures that it began with."""
        stored = self.run.resolved()
        if stored.get("data", data.dataset.fingerprint) != data.dataset.fingerprint:
            raise LabError(
                "The pictures have changed since this run began.", "Clone the run and start anew."
            )
        recipe = self.run.recipe().identity()
        if stored.get("recipe", recipe) != recipe:
            raise LabError(
                "The recipe has changed since this run began.", "Clone the run and start anew."
            )

    def _restore(self, trainer: Trainer, recipe: Recipe, resolved: Resolved, data: RunData) -> None:
        found = checkpoint.load_newest(self.run.checkpoints, trainer.resolved.device)
        if found is None:
            about = _about(recipe, resolved, data, trainer.plan)
            self.tell("run_started", **about, weights=trainer.network.source)
            self._warn_of_parts(trainer)
        else:
            state, manifest, skipped = found
            trainer.restore(state)
            self.step = trainer.step
            done = {"epochs_done": trainer.epochs_done, "stages_done": trainer.stages_done}
            self.tell("resumed", step=trainer.step, checkpoint=manifest["name"], **done)
            for name in skipped:
                self.tell("warning", message=f"Checkpoint {name} is damaged; an older one is used.")
        for file, reason in data.skipped:
            self.tell("warning", message=f"{file} is left out: {reason}")

    def _warn_of_parts(self, trainer: Trainer) -> None:
        """Where the preflight cut batches: what stays as it was, and what does not."""
        for index, stage in enumerate(trainer.recipe.stages):
            micro = trainer.resolved.of_stage(index, "micro")
            if micro:
                batch = trainer.plan.of_stage(index)[0].batch
                norms = has_batch_norm(trainer.model)
                self.tell("warning", message=shrink_words(stage.hw, batch, micro, norms))


def earlier_choices(
    workspace: Workspace, run: RunFolder, recipe: Recipe
) -> tuple[Resolved | None, dict[str, Any] | None]:
    """(choices that the run goes by, the document to write where they are new to it)."""
    stored = read_json(run.resolved_file)
    if stored:
        return Resolved(**stored["resolved"]), None
    reference = run.meta().get("baseline_of")
    theirs = RunFolder(workspace.run(reference)) if reference else None
    chosen = theirs.resolved() if theirs else {}
    if not chosen:
        return None, None
    resolved = as_reference(Resolved(**chosen["resolved"]), recipe, theirs.recipe(), reference)
    if any(s.batch_size == "auto" for s in recipe.stages) and not resolved.stages:
        return None, None
    return resolved, {
        "resolved": resolved.as_dict(),
        "data": chosen["data"],
        "recipe": recipe.identity(),
    }


def shared(recipe: Recipe, n_train: int, resolved: Resolved, team: Alone) -> Recipe:
    """The recipe as one process of a team sees it: with its share of every batch."""
    if team.size == 1:
        return recipe
    the_plan = make_plan(recipe, n_train, resolved.groups, resolved)
    batches = [the_plan.of_stage(index)[0].batch for index in range(len(recipe.stages))]
    shares = [max(2, -(-batch // team.size)) for batch in batches]
    stages = [stage.but(batch_size=n) for stage, n in zip(recipe.stages, shares)]
    return recipe.but(stages=[stage.model_dump() for stage in stages])


def _sizes(recipe: Recipe) -> set[tuple[int, int]]:
    """Every (height, width) that the network must take, ramps' first ones too."""
    ramps = {hw(stage.ramp_from) for stage in recipe.stages if stage.ramp_from is not None}
    return {stage.hw for stage in recipe.stages} | {recipe.final_hw} | ramps


def as_reference(reference: Resolved, recipe: Recipe, theirs: Recipe, run_id: str) -> Resolved:
    """A reference run's choices for its baseline.

    A baseline with several stages has the reference's rates; one with a single stage takes that of
    the first stage that trains everything. A batch is that of the reference's last stage of the
    same size, else of its last. How long a rule let a stage run, and parts that memory asked for,
    are the reference's alone.
    """
    words = f"as run {run_id}"
    names = ("device", "precision", "threads", "groups", "remedies")
    reasons = {name: words for name in names if name in reference.reasons}
    resolved = replace(reference, stages={}, reasons=reasons)
    last, alone = len(theirs.stages) - 1, len(recipe.stages) == 1
    for index, stage in enumerate(recipe.stages):
        alike = [n for n, other in enumerate(theirs.stages) if other.hw == stage.hw] or [last]
        sources = {"lr": leading_stage(theirs) if alone else index, "batch_size": alike[-1]}
        for name, source in sources.items():
            value = reference.of_stage(source, name)
            if value is not None:
                resolved = resolved.with_choice(index, name, value, words)
    return resolved


def _about(recipe: Recipe, resolved: Resolved, data: RunData, the_plan: Plan) -> dict[str, Any]:
    """What run_started says: everything that a reader needs to draw axes and to tell runs apart."""
    facts = data.facts()
    return {
        "device": resolved.device,
        "precision": resolved.precision,
        "threads": resolved.threads,
        "reasons": resolved.reasons,
        "versions": {
            "lab": lab.__version__,
            "torch": torch.__version__,
            "timm": timm.__version__,
            "python": platform.python_version(),
        },
        "data": facts.as_dict(),
        "groups": resolved.groups,
        "stages": resolved.stages,
        "remedies": resolved.remedies,
        "epochs": len(the_plan.epochs),
        "steps": the_plan.total_steps,
        "pixels": the_plan.total_pixels,
        "host": platform.node(),
        "pid": os.getpid(),
    }
