"""Events of a run: JSON lines appended by one writer per attempt, read by anyone at any time.

    writer = EventWriter(run, attempt=0); writer.write("epoch", stage=0, ...)
    events = read_events(run)             # attempts merged: what a later one redid is dropped

steps/<attempt>.bin holds every step as (int64 global step, float32 loss, float32 lr).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lab.runs.folder import RunFolder

STEP = np.dtype([("step", "<i8"), ("loss", "<f4"), ("lr", "<f4")])


class EventWriter:
    """Appends events and steps of one attempt. Every line is flushed; nothing is ever rewritten."""

    def __init__(self, run: RunFolder, attempt: int, clock: Callable[[], float] = time.time):
        run.events.mkdir(parents=True, exist_ok=True)
        self._run, self._clock, self._seq = run.id, clock, 0
        self._events = open(run.events / f"{attempt}.jsonl", "ab", buffering=0)  # noqa: SIM115
        self._steps_file = run.steps / f"{attempt}.bin"
        self._steps: BinaryIO | None = None

    def write(self, kind: str, **values: Any) -> dict[str, Any]:
        """Append one event; returns it as written."""
        event = {"run": self._run, "kind": kind, "seq": self._seq, "t": self._clock(), **values}
        line = json.dumps(event, ensure_ascii=False, allow_nan=False, default=_plain)
        if self._steps is not None:
            self._steps.flush()  # so that a live curve has every step up to this event
        self._events.write(line.encode() + b"\n")
        self._seq += 1
        return event

    def step(self, step: int, loss: float, lr: float) -> None:
        """Append one step. Buffered: `flush` before a checkpoint."""
        if self._steps is None:
            self._steps_file.parent.mkdir(exist_ok=True)
            self._steps = open(self._steps_file, "ab")  # noqa: SIM115
        self._steps.write(np.array((step, loss, lr), dtype=STEP).tobytes())

    def flush(self) -> None:
        """Bring events and steps to the disk."""
        for file in self._open():
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """No more events from this attempt."""
        for file in self._open():
            file.close()

    def _open(self) -> list[BinaryIO]:
        return [file for file in (self._events, self._steps) if file is not None]


def _plain(value: Any) -> Any:
    """numpy numbers and arrays as JSON."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value)} is not JSON")


@dataclass
class Tail:
    """Reads a growing JSON-lines file: whole lines only, from a remembered offset.

    A torn last line waits for its rest; a broken line is skipped and counted.
    """

    path: Path
    offset: int = 0
    broken: int = 0

    def new(self) -> list[dict[str, Any]]:
        """Events appended since the last call."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                block = file.read()
        except OSError:
            return []
        whole, newline, _ = block.rpartition(b"\n")
        self.offset += len(whole) + len(newline)
        return [event for line in whole.split(b"\n") if (event := self._parse(line))]

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        if not line.strip():
            return None
        try:
            event = json.loads(line)
            return event if isinstance(event, dict) and "kind" in event else self._skip()
        except ValueError:
            return self._skip()

    def _skip(self) -> None:
        self.broken += 1


@dataclass
class EventReader:
    """All events of a run, kept up to date by `refresh()`; attempts merged."""

    run: RunFolder
    tails: dict[int, Tail] = field(default_factory=dict)
    by_attempt: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    def refresh(self) -> list[dict[str, Any]]:
        """Read what is new and return all events that hold, in order."""
        for attempt in attempts(self.run):
            tail = self.tails.setdefault(attempt, Tail(self.run.events / f"{attempt}.jsonl"))
            self.by_attempt.setdefault(attempt, []).extend(tail.new())
        return merge(self.by_attempt)

    @property
    def broken(self) -> int:
        """Lines that could not be read."""
        return sum(tail.broken for tail in self.tails.values())


def attempts(run: RunFolder) -> list[int]:
    """Numbers of the attempts that wrote events, in order."""
    if not run.events.is_dir():
        return []
    return sorted(int(file.stem) for file in run.events.glob("*.jsonl") if file.stem.isdigit())


def read_events(run: RunFolder) -> list[dict[str, Any]]:
    """All events that hold, attempts merged, in order."""
    return EventReader(run).refresh()


def merge(by_attempt: dict[int, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Attempts in order, less what an earlier one wrote past where a later one resumed."""
    kept: list[dict[str, Any]] = []
    for attempt in sorted(by_attempt):
        events = by_attempt[attempt]
        start = resumed_from(events)
        if start is not None:
            kept = [event for event in kept if _holds(event, start)]
        kept.extend(events)
    return kept


def resumed_from(events: list[dict[str, Any]]) -> dict[str, int] | None:
    """Where an attempt began: step, epochs_done, stages_done. None where it did not get so far."""
    for event in events:
        if event["kind"] == "resumed":
            return {key: int(event[key]) for key in ("step", "epochs_done", "stages_done")}
        if event["kind"] == "run_started":
            return {"step": 0, "epochs_done": 0, "stages_done": 0}
    return None


def _holds(event: dict[str, Any], start: dict[str, int]) -> bool:
    """Whether the state that a later attempt began with includes this event; else it is redone."""
    match event["kind"]:
        case "run_started":
            return start["step"] > 0
        case "stage_started":
            return event["step"] < start["step"]
        case "step" | "checkpoint":
            return event["step"] <= start["step"]
        case "epoch":
            return event["global_epoch"] < start["epochs_done"]
        case "stage_finished":
            return event["stage"] < start["stages_done"]
        case "finished":
            return False
    return True


def read_steps(run: RunFolder) -> np.ndarray:
    """Every step that holds: a STEP record array in order of the step (which counts from 1)."""
    kept = np.empty(0, dtype=STEP)
    for attempt in attempts(run):
        file = run.steps / f"{attempt}.bin"
        block = file.read_bytes() if file.is_file() else b""
        rows = np.frombuffer(block[: len(block) // STEP.itemsize * STEP.itemsize], dtype=STEP)
        if len(rows):
            kept = np.concatenate([kept[kept["step"] < rows["step"][0]], rows])
    return kept
