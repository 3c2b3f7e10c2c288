"""What the helper is asked for "What resolution does": each answer once per run, stage and size.

views(run, item, roll)                     # every stage's pictures and frames
answer(run, stage, size, item)             # probabilities and picture, or why there is none
evidence(run, stage, size, item, target)   # Grad-CAM over the picture
with slow_work(12) as done: ...; done()    # a progress bar, where it takes above a second
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from lab.jobs import helper_client
from lab.runs.folder import RunFolder
from lab.ui import state

PATIENCE_S, BAR_AFTER_S = 90.0, 1.0
Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Answer:
    """A stage's probabilities (classes,) at one size; where it `refused`, that sentence alone."""

    probs: np.ndarray | None = None
    png: bytes | None = None
    refused: str = ""


@dataclass(frozen=True, eq=False)
class Evidence:
    """A map over its picture, for class number `target`; `cells`: rows, columns of the map."""

    target: int
    cells: Pair
    empty: bool
    png: bytes | None


def views(run: RunFolder, item: int, roll: int) -> tuple[dict[str, Any], list[bytes]]:
    """As lab/workers/resolution.py `stages_of` gives it."""
    digests = tuple(digest(run, stage) for stage in run.finished_stages())
    return _views(str(run.path), run.id, digests, item, roll)


def answer(run: RunFolder, stage: int, size: Pair, item: int) -> Answer:
    """What a finished stage says of one picture at (height, width)."""
    return _answer(str(run.path), run.id, stage, digest(run, stage), size, item)


def evidence(run: RunFolder, stage: int, size: Pair, item: int, target: int) -> Evidence | str:
    """Where the evidence for a class lies (-1: for the stage's answer), or why there is none."""
    return _evidence(str(run.path), run.id, stage, digest(run, stage), size, item, target)


def digest(run: RunFolder, stage: int) -> str:
    """Tells weights apart: a stage that was trained again is asked again."""
    return str(run.scores(stage).get("sha256", ""))


@contextmanager
def slow_work(total: int, what: str) -> Iterator[Callable[[], None]]:
    """A bar that comes when the work takes above a second, and goes when it is done."""
    place, began, count = st.empty(), time.monotonic(), 0

    def done() -> None:
        nonlocal count
        count += 1
        if time.monotonic() - began > BAR_AFTER_S:
            place.progress(min(count / total, 1.0), text=f"{what}: {count} of {total}")

    try:
        yield done
    finally:
        place.empty()


@st.cache_data(max_entries=32, show_spinner="Putting it through every stage …")
def _views(
    path: str, run_id: str, digests: tuple[str, ...], item: int, roll: int
) -> tuple[dict[str, Any], list[bytes]]:
    asked = {"run": run_id, "item": item, "roll": roll}
    return helper_client.call(state.workspace(), "resolution_views", asked, timeout=PATIENCE_S)


@st.cache_data(max_entries=1500, show_spinner=False)
def _answer(path: str, run_id: str, stage: int, weights: str, size: Pair, item: int) -> Answer:
    asked = {"run": run_id, "stage": stage, "size": list(size), "item": item}
    found, pngs = helper_client.call(state.workspace(), "size_answer", asked, timeout=PATIENCE_S)
    if "refused" in found:
        return Answer(refused=found["refused"])
    return Answer(np.asarray(found["probs"], np.float64), pngs[0])


@st.cache_data(max_entries=600, show_spinner=False)
def _evidence(
    path: str, run_id: str, stage: int, weights: str, size: Pair, item: int, target: int
) -> Evidence | str:
    asked = {"run": run_id, "stage": stage, "size": list(size), "item": item, "target": target}
    found, pngs = helper_client.call(state.workspace(), "grad_cam", asked, timeout=PATIENCE_S)
    if "none" in found:
        return str(found["none"])
    return Evidence(found["target"], tuple(found["cells"]), found["empty"], pngs[0])
