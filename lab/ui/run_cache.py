"""What run folders say, read once for all who watch: only what was appended is read again.

    seen = snapshot(run)               # Snapshot(recipe, epochs, steps, plan, latest ...)

The store is bounded, and nothing in it is older than the files: their sizes are looked at.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lab.analysis.curves import epochs_frame
from lab.errors import LabError
from lab.recipe import Recipe
from lab.recipe.facts import Resolved
from lab.recipe.stage import hw
from lab.runs.events import STEP, EventReader, read_steps
from lab.runs.folder import RunFolder
from lab.schedules.plan import Plan, make_plan
from lab.ui.palette import recipe_sides

MOST_RUNS = 48  # a watched run holds its epochs, its steps and its last events: about 1 MB
Event = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One run as it is on disk now."""

    run: RunFolder
    recipe: Recipe
    epochs: pd.DataFrame  # analysis.curves.epochs_frame
    steps: pd.DataFrame  # step (from 0), loss, lr
    started: Event  # run_started, or empty
    latest: Event  # the last step that was told, or empty
    preparing: Event  # the last word on the preparation, or empty once a step is done
    stages: tuple[Event, ...]  # stage_finished
    warnings: tuple[str, ...]
    mark_t: float  # when the epoch under way began (or the last word came)
    chosen: tuple[Event, ...]  # choices made while it ran, the last word on each
    begun: int  # the stage under way, from 0; -1 before the first
    drawn: dict[int, np.ndarray]  # by stage: images per class that a weighted epoch drew, a mean
    plan: Plan | None  # None before run_started
    broken: int  # lines that could not be read

    @property
    def steps_done(self) -> int:
        """Steps that are done and known."""
        return int(self.steps["step"].iloc[-1]) + 1 if len(self.steps) else 0

    @property
    def sides(self) -> list[tuple[int, int]]:
        """All (height, width) of the schedule that have a colour of their own."""
        return sorted({hw(size) for size in recipe_sides(self.recipe)})

    @property
    def total_epochs(self) -> int:
        """Epochs of the schedule; fewer where a rule has ended a stage."""
        return len(self.plan.epochs) if self.plan else self.recipe.total_epochs

    @property
    def ended_early(self) -> bool:
        """Whether a rule has ended a stage before its last epoch."""
        return self.total_epochs < self.recipe.total_epochs

    def share_done(self, step: int) -> float:
        """How much of the schedule so many steps are, by pixels: long ones count for more."""
        if self.plan is None:
            return 0.0
        ends = np.cumsum([row.pixels for row in self.plan.epochs])
        known = [0, *(row.last_step for row in self.plan.epochs)]
        return float(np.interp(step, known, [0, *ends]) / ends[-1])


def snapshot(run: RunFolder) -> Snapshot:
    """The run as it is now. Raises LabError where its recipe cannot be read."""
    return _watcher(str(run.path)).look()


@st.cache_resource(max_entries=MOST_RUNS, show_spinner=False)
def _watcher(path: str) -> _Watcher:
    from pathlib import Path

    return _Watcher(RunFolder(Path(path)))


class _Watcher:
    """Reads one run for all sessions. Sessions run in threads, so one reads at a time."""

    def __init__(self, run: RunFolder) -> None:
        self._run, self._lock = run, threading.Lock()
        self._sizes: dict[str, int] = {}
        self._reader = EventReader(run)
        self._last: Snapshot | None = None

    def look(self) -> Snapshot:
        with self._lock:
            sizes = _sizes(self._run)
            if any(sizes.get(name, 0) < size for name, size in self._sizes.items()):
                self._reader, self._last = EventReader(self._run), None  # another run by this name
            if self._last is None or sizes != self._sizes:
                self._last = self._read()
            self._sizes = sizes
            return self._last

    def _read(self) -> Snapshot:
        before = self._last
        events = self._reader.refresh()
        recorded = read_steps(self._run)
        for attempt, told in self._reader.by_attempt.items():
            self._reader.by_attempt[attempt] = _without(told, recorded)
        found = _by_kind(events)
        started = found.get("run_started", [{}])[-1]
        return Snapshot(
            run=self._run,
            recipe=before.recipe if before else self._run.recipe(),
            epochs=_epochs(found.get("epoch", []), before, self._run),
            steps=_steps(recorded, found.get("step", [])),
            started=started,
            latest=found.get("step", [{}])[-1],
            preparing=_preparing(events),
            stages=_stages(found.get("stage_finished", []), self._run, before),
            warnings=tuple(str(event.get("message", "")) for event in found.get("warning", [])),
            mark_t=_mark(events),
            chosen=(chosen := _last_of_each(found.get("chosen", []))),
            begun=int(found.get("stage_started", [{}])[-1].get("stage", -1)),
            drawn=_drawn(found.get("epoch", [])),
            plan=_plan(self._run, started, chosen, before),
            broken=self._reader.broken,
        )


def _sizes(run: RunFolder) -> dict[str, int]:
    """Size of every file of events and steps: two listings, no reading."""
    found = {}
    for folder in (run.events, run.steps):
        try:
            found |= {entry.path: entry.stat().st_size for entry in os.scandir(folder)}
        except OSError:
            continue
    return found


def _by_kind(events: list[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event["kind"], []).append(event)
    return found


def _without(events: list[Event], recorded: np.ndarray) -> list[Event]:
    """Step events are most of the lines: those in the step file are let go, less the last."""
    known = int(recorded["step"][-1]) if len(recorded) else 0
    last = max((i for i, event in enumerate(events) if event["kind"] == "step"), default=-1)
    return [
        event
        for i, event in enumerate(events)
        if event["kind"] != "step" or i == last or event.get("step", 0) > known
    ]


def _last_of_each(events: list[Event]) -> tuple[Event, ...]:
    """Of several choices of one thing, the last one, which holds."""
    return tuple({(event.get("stage"), event.get("name")): event for event in events}.values())


def _stages(events: list[Event], run: RunFolder, before: Snapshot | None) -> tuple[Event, ...]:
    """Finished stages: the event, and what only scores.json says (second label, kept epoch)."""
    known = {entry["stage"]: entry for entry in before.stages} if before else {}
    found = []
    for event in events:
        entry = known.get(event["stage"], {})
        if entry.get("t") != event.get("t"):
            with contextlib.suppress(LabError, OSError, ValueError):
                entry = run.scores(event["stage"])
        found.append({**entry, **event})
    return tuple(found)


def _drawn(events: list[Event]) -> dict[int, np.ndarray]:
    """Mean of what the weighted epochs of a stage drew, per class."""
    rows: dict[int, list[list[int]]] = {}
    for event in events:
        if event.get("drawn"):
            rows.setdefault(event["stage"], []).append(event["drawn"])
    return {stage: np.mean(counts, axis=0) for stage, counts in rows.items()}


def _epochs(events: list[Event], before: Snapshot | None, run: RunFolder) -> pd.DataFrame:
    """The table of epochs; the one before where no epoch has come (building it takes 5 ms)."""
    stamp = [(event.get("global_epoch"), event.get("t")) for event in events]
    if before is not None and before.epochs.attrs.get("stamp") == stamp:
        return before.epochs
    frame = epochs_frame(events)
    second = [event.get("second_accuracy") for event in events]
    if any(value is not None for value in second):
        frame["second_accuracy"] = pd.to_numeric(pd.Series(second))
        recipe = before.recipe if before else run.recipe()
        frame.attrs["second"] = recipe.dataset.second_target or "second label"
    frame.attrs["stamp"] = stamp
    return frame


def _steps(recorded: np.ndarray, told: list[Event]) -> pd.DataFrame:
    """Every recorded step, then those told of since: the step file is written in blocks."""
    known = int(recorded["step"][-1]) if len(recorded) else 0
    rows = [
        (e["step"], _number(e.get("loss")), _number(e.get("lr"))) for e in told if e["step"] > known
    ]
    every = np.concatenate([recorded, np.array(rows, dtype=STEP)]) if rows else recorded
    columns = {"step": every["step"].astype(np.int64) - 1}
    columns |= {name: every[name].astype(np.float64) for name in ("loss", "lr")}
    return pd.DataFrame(columns)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _preparing(events: list[Event]) -> Event:
    """The last progress event, as long as nothing has been trained after it."""
    for event in reversed(events):
        if event["kind"] == "progress":
            return event
        if event["kind"] in ("run_started", "step", "epoch", "finished", "stage_started"):
            return {}
    return {}


def _mark(events: list[Event]) -> float:
    kinds = ("epoch", "stage_started", "run_started", "resumed")
    marks = [event.get("t", 0.0) for event in events[-400:] if event["kind"] in kinds]
    return float(marks[-1]) if marks else 0.0


def _plan(
    run: RunFolder, started: Event, chosen: tuple[Event, ...], before: Snapshot | None
) -> Plan | None:
    """The plan as the trainer made it, from what run_started tells and what was chosen since."""
    if not started:
        return None
    same = before is not None and (before.started, before.chosen) == (started, chosen)
    if same and before.plan is not None:
        return before.plan
    n_train, groups = started["data"]["n_train"], started.get("groups", 1)
    resolved = Resolved(stages=started.get("stages", {}))
    for event in chosen:
        resolved = resolved.with_choice(event["stage"], event["name"], event["value"], "")
    return make_plan(before.recipe if before else run.recipe(), n_train, groups, resolved)
