"""The demo's pictures and its result: one leaf in growing squares; guess against outcome, in words.

st.image(hero_picture());  result = latest_demo(workspace, list_runs(workspace))
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from lab.analysis.compare import compare_runs
from lab.data.leaves import LeafSet, draw_image
from lab.errors import LabError
from lab.runs.folder import RunFolder
from lab.runs.index import RunRow
from lab.ui.crops import hero
from lab.ui.launch import DEMO
from lab.workspace import Workspace

HERO_LEAF = (LeafSet(n=1200, size_px=256, seed=7), 10)  # target spot: its rings need pixels
ROLES = ("progressive", "fixed")


@dataclass(frozen=True)
class DemoResult:
    """Both runs of a finished demo, the guess made before, and the verdict in words."""

    experiment: str
    rows: dict[str, RunRow]
    guess: dict[str, float]
    verdict: str
    pixel_share: float | None  # of the growing run's training pixels, against the other's


@st.cache_data(max_entries=1, show_spinner=False)
def hero_picture() -> bytes:
    """One leaf at 64, 96 and 128 px, at true relative size, as PNG."""
    leaf, _, _ = draw_image(*HERO_LEAF)
    file = io.BytesIO()
    hero(leaf).save(file, "PNG", compress_level=6)
    return file.getvalue()


def latest_demo(workspace: Workspace, rows: Sequence[RunRow]) -> DemoResult | None:
    """The newest demo of which both runs are finished; None where there is none."""
    done = [row for row in rows if row.status == "finished" and row.experiment.startswith(DEMO)]
    counts = Counter(row.experiment for row in done)
    newest = next((row.experiment for row in done if counts[row.experiment] > 1), None)
    mine = sorted((row for row in done if row.experiment == newest), key=lambda row: row.id)
    metas = {row.id: RunFolder(workspace.run(row.id)).meta() for row in mine}
    found: dict[str, RunRow] = {}
    for row in mine:
        role = "fixed" if metas[row.id].get("role") == "baseline" else "progressive"
        found.setdefault(role, row)  # arms and seeds that were added later are no part of the demo
    if set(found) != set(ROLES):
        return None
    guess = metas[found["progressive"].id].get("prediction") or {}
    ids = tuple(found[role].id for role in ROLES)
    stamps = tuple(row.finished for row in found.values())
    words = _verdict(str(workspace.root), ids, stamps)
    guess = guess if isinstance(guess, dict) else {}
    return DemoResult(newest or "", found, guess, words, _pixel_share(workspace, ids))


def _pixel_share(workspace: Workspace, ids: Sequence[str]) -> float | None:
    try:
        pixels = [
            sum(stage.total_epochs * stage.hw[0] * stage.hw[1] for stage in recipe.stages)
            for recipe in (RunFolder(workspace.run(run_id)).recipe() for run_id in ids)
        ]
    except LabError:
        return None
    return pixels[0] / pixels[1] if pixels[1] else None


@st.cache_data(max_entries=16, show_spinner=False)
def _verdict(root: str, ids: tuple[str, ...], stamps: tuple[float | None, ...]) -> str:
    try:
        compared = compare_runs([RunFolder(Workspace(Path(root)).run(run_id)) for run_id in ids])
    except LabError as error:
        return str(error)
    return compared[0].verdict
