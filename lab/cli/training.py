"""Training from the command line: what `train` and `resume` do, in this process, in the foreground.

recipe = recipe_of(preset="quick", settings=["stages.0.epochs=1"])
code = start(workspace, recipe, out, device="auto")     # 0 done, 1 failed, 75 stopped
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.cli.terminal import (
    EPOCH_HEAD,
    EPOCH_WIDTHS,
    Terminal,
    aligned,
    epoch_cells,
    minutes,
    percent,
)
from lab.errors import LabError
from lab.recipe.baselines import SAME_TIME, baseline
from lab.recipe.check import check, errors_of
from lab.recipe.facts import Facts
from lab.recipe.model import Recipe, load_recipe, with_settings
from lab.recipe.models import shipped_model_facts
from lab.recipe.presets import preset_recipe
from lab.runs.events import attempts, read_events
from lab.runs.folder import ALIVE, RunFolder, create_run
from lab.runs.status import standing, supervision
from lab.workspace import Workspace

DONE, FAILED, STOPPED = 0, 1, 75


def recipe_of(
    preset: str | None = None,
    file: Path | None = None,
    data: Path | None = None,
    settings: tuple[str, ...] = (),
    name: str | None = None,
    seed: int | None = None,
) -> Recipe:
    """The recipe that the options describe; --set comes last. Raises LabError with all problems."""
    recipe = load_recipe(file) if file else preset_recipe(preset or "quick")
    return changed(recipe, data, settings, name, seed)


def changed(
    recipe: Recipe,
    data: Path | None = None,
    settings: tuple[str, ...] = (),
    name: str | None = None,
    seed: int | None = None,
) -> Recipe:
    """A recipe with the options of `train` applied."""
    if data is not None:
        source = {"source": "path", "path": str(data.expanduser().resolve())}
        recipe = recipe.but(dataset={**recipe.dataset.model_dump(), **source})
    words = {"name": name, "seed": seed}
    recipe = recipe.but(**{key: value for key, value in words.items() if value is not None})
    return with_settings(recipe, list(settings))


def baseline_of(kind: str, run: RunFolder) -> Recipe:
    """The matched baseline of a run. `fixed-same-time` needs the run to be finished."""
    if kind != SAME_TIME:
        return baseline(kind, run.recipe())
    from lab.analysis.curves import epochs_frame

    epochs = epochs_frame(read_events(run))
    if standing(run).status != "finished" or not len(epochs):
        raise LabError(f"{run.id} is not finished: its time is not known.", "Finish it first.")
    last = epochs[epochs["stage"] == epochs["stage"].iloc[-1]]["seconds"]
    about = round(float(epochs["seconds"].sum()) / float(last.median()))
    return baseline(SAME_TIME, run.recipe(), run.id, about)


def start(
    workspace: Workspace,
    recipe: Recipe,
    out: Terminal,
    device: str = "auto",
    reference: RunFolder | None = None,
) -> int:
    """Check, create and train a run. A baseline takes over the choices of its reference run."""
    problems = check(recipe, Facts(model=shipped_model_facts(recipe.model.name)))
    if errors := errors_of(problems):
        raise LabError.of(errors)
    for problem in problems:
        out.note(f"Note. {problem}")
    meta = {"baseline_of": reference.id} if reference else {}
    run = create_run(workspace.create(), recipe, meta)
    return train(workspace, run, 0, device, out)


def go_on(workspace: Workspace, run: RunFolder, out: Terminal, device: str = "auto") -> int:
    """Resume a run in this process. A finished one needs nothing: words, and exit code 0."""
    now = standing(run)
    if now.status == "finished":
        out.line({"run": run.id, "kind": "finished", "scores": _last_scores(run), "resumed": False})
        out.say(f"{run.id} is finished; there is nothing to resume.")
        return DONE
    if now.status in (*ALIVE, "queued", "blocked"):
        raise LabError(
            f"{run.id} is {now.status} already.", f"Stop it: python -m lab stop {run.id}"
        )
    run.clear_wish()
    known = [run.state().get("attempt", -1), supervision(run).get("attempt", -1), *attempts(run)]
    return train(workspace, run, max(known) + 1, device, out)


def train(workspace: Workspace, run: RunFolder, attempt: int, device: str, out: Terminal) -> int:
    """Train a run from where it stands; what happens is printed. Returns the exit code."""
    out.note(f"Run {run.id}")
    printer = Printer(out)
    try:
        # Before torch is imported: see the file.
        from lab.workers.allocator import keep_large_blocks

        keep_large_blocks()
        from lab.worker import train_in_process

        code = train_in_process(workspace, run, attempt, device, printer.show)
    except KeyboardInterrupt:  # before the worker listens: nothing has begun
        code = STOPPED
    if code == STOPPED:
        out.note(f"Stopped. Go on where it was: python -m lab resume {run.id}")
    elif code != DONE:
        failed = printer.failed or run.state()
        what = failed.get("message") or "The training failed."
        out.error(LabError(what, failed.get("fix") or f"See {run.log}.", where=run.id))
    return code


@dataclass
class Printer:
    """Shows events as they come: JSON lines, or fastai's table on standard error."""

    out: Terminal
    headed: bool = False
    seconds: float = 0.0
    failed: dict[str, Any] | None = None

    def show(self, event: dict[str, Any]) -> None:
        """One event."""
        self.out.line(event)
        # A closed pipe must not end a training: whoever reads may leave.
        with contextlib.suppress(BrokenPipeError):
            self._words(event)

    def _words(self, event: dict[str, Any]) -> None:
        match event["kind"]:
            case "progress":
                self.out.progress(event["what"], event["done"], event["total"])
            case "run_started":
                why = event.get("reasons", {})
                self.out.note(f"Device {event['device']} ({why.get('device', 'as asked')})")
                self.out.note(
                    f"Precision {event['precision']} ({why.get('precision', 'as asked')})"
                )
            case "resumed":
                self.out.note(f"Going on from step {event['step']}.")
            case "warning":
                self.out.note(f"Note. {event['message']}")
            case "epoch":
                self._epoch(event)
            case "finished":
                self._finished(event)
            case "failed":
                self.failed = event

    def _epoch(self, event: dict[str, Any]) -> None:
        if not self.headed:
            self.out.note(
                aligned([name.rjust(w) for name, w in zip(EPOCH_HEAD, EPOCH_WIDTHS)], EPOCH_WIDTHS)
            )
            self.headed = True
        self.seconds += event["seconds"]
        self.out.note("  ".join(c.rjust(w) for c, w in zip(epoch_cells(event), EPOCH_WIDTHS)))

    def _finished(self, event: dict[str, Any]) -> None:
        scores = event["scores"]
        self.out.note(
            f"Finished: error rate {percent(scores['error_rate'])} on {scores['n']} images at the "
            f"final size, {minutes(self.seconds)} of training and validation."
        )


def _last_scores(run: RunFolder) -> dict[str, Any]:
    done = run.finished_stages()
    return run.scores(done[-1])["final"] if done else {}
