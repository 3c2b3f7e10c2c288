"""The runs that are compared, and the methods that they belong to.

    found, broken = entries(workspace.runs, chosen, rows, styles(chosen, {}))
    for method in methods(found, {})[0]: print(method.name, method.n)

Everything comes from stored numbers; nothing is run again. What one run's files say is read once
for all sessions, and again when they have changed.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lab.analysis.groups import Group, group_runs
from lab.analysis.significance import rate_interval
from lab.errors import LabError
from lab.recipe.stage import hw
from lab.runs.folder import RunFolder
from lab.runs.index import RunRow
from lab.ui import format as fmt
from lab.ui.palette import run_style
from lab.ui.run_cache import Snapshot, snapshot

MOST = 24  # runs on one screen
STYLES = "compare.styles"


@dataclass(frozen=True)
class Entry:
    """One run of the comparison. `label` is its own; `style` is its method's while it is chosen."""

    run: RunFolder
    row: RunRow
    label: str
    style: int
    seen: Snapshot

    @property
    def final(self) -> dict[str, Any]:
        """The last finished stage, as its event told it; empty before."""
        return self.seen.stages[-1] if self.seen.stages else {}

    @property
    def scored(self) -> bool:
        """Whether all of its stages are finished: only then its final score is final."""
        return len(self.seen.stages) == len(self.seen.recipe.stages)

    @property
    def seconds(self) -> float:
        return float(self.seen.epochs["seconds"].sum())

    @property
    def pixels(self) -> float:
        epochs = self.seen.epochs
        return float(epochs["pixels"].max()) if len(epochs) else 0.0


@dataclass(frozen=True)
class Method:
    """Runs of one recipe that differ in their seed only (lab.analysis.groups), by seed."""

    group: Group
    style: int
    entries: tuple[Entry, ...]

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def n(self) -> int:
        return len(self.entries)

    @property
    def done(self) -> list[Entry]:
        """Its runs with a final score."""
        return [entry for entry in self.entries if entry.scored]

    @property
    def error(self) -> float:
        """Mean error rate of those, at the final size."""
        rates = [float(entry.final["final"]["error_rate"]) for entry in self.done]
        return sum(rates) / len(rates)

    @property
    def words(self) -> str:
        """`Growing (n = 3)`."""
        return f"{self.name} (n = {self.n})"


def usual_choice(rows: Sequence[RunRow], watched: str | None) -> list[str]:
    """The runs of the watched, else the newest experiment; else the newest two finished."""
    of_watched = next((row.experiment for row in rows if row.id == watched), "")
    newest = next((row.experiment for row in rows if row.experiment and row.epochs), "")
    experiment = of_watched or newest
    if experiment:
        mine = [row for row in rows if row.experiment == experiment and row.epochs]
        if mine:
            return [row.id for row in sorted(mine, key=lambda row: row.created)[-MOST:]]
    return [row.id for row in rows if row.status == "finished"][:2][::-1]


def styles(chosen: Sequence[str], before: dict[str, int]) -> dict[str, int]:
    """A style for each key, in this order: the one it has, else the first that no other has."""
    kept = {key: before[key] for key in chosen if key in before}
    for key in chosen:
        if key in kept:
            continue
        kept[key] = next(n for n in range(len(chosen) + 1) if n not in kept.values())
    return kept


def entries(
    folder: Path, chosen: Sequence[str], rows: dict[str, RunRow], style: dict[str, int]
) -> tuple[list[Entry], list[LabError]]:
    """The chosen runs, by style, then oldest first; and what is wrong with those that cannot be
    read."""
    seen: dict[str, Snapshot] = {}
    broken = []
    for run_id in chosen:
        try:
            seen[run_id] = snapshot(RunFolder(folder / run_id))
        except LabError as error:
            broken.append(error)
    labels = _labels({run_id: (rows[run_id], seen[run_id].recipe.seed) for run_id in seen})
    found = [
        Entry(seen[run_id].run, rows[run_id], labels[run_id], style[run_id], seen[run_id])
        for run_id in seen
    ]
    return sorted(found, key=lambda entry: (entry.style, entry.row.created)), broken


def _labels(chosen: dict[str, tuple[RunRow, int]]) -> dict[str, str]:
    """A run's name; with its seed where others have that name; with its id where that fails too."""
    names = {run_id: row.name or run_id for run_id, (row, _) in chosen.items()}
    seeded = {run_id: f"{names[run_id]}, seed {seed}" for run_id, (_, seed) in chosen.items()}
    found = {}
    for run_id, name in names.items():
        if list(names.values()).count(name) == 1:
            found[run_id] = name
        elif list(seeded.values()).count(seeded[run_id]) == 1:
            found[run_id] = seeded[run_id]
        else:
            found[run_id] = f"{name} ({run_id[-4:]})"
    return found


def methods(
    found: Sequence[Entry], before: dict[str, int], others: Sequence[str] = ()
) -> tuple[list[Method], dict[str, int]]:
    """The methods of these runs, the oldest first, each run in its method's style; and all styles
    by method key, with those of `others` (ids of published runs).

    `before`: styles that are to stay. LabError where a recipe cannot be read.
    """
    by_age = sorted(found, key=lambda entry: (entry.row.created, entry.run.id))
    paths = tuple(str(entry.run.path) for entry in by_age)
    groups = _groups(paths, tuple(_stamp(entry.run) for entry in by_age))
    style = styles([*(group.key for group in groups), *others], before)
    known = {entry.run.id: entry for entry in found}
    dressed = [
        Method(
            group,
            style[group.key],
            tuple(replace(known[run.id], style=style[group.key]) for run in group.runs),
        )
        for group in groups
    ]
    return dressed, style


@st.cache_data(max_entries=64, show_spinner=False)
def _groups(paths: tuple[str, ...], stamps: tuple[tuple[int, ...], ...]) -> list[Group]:
    """Reading 24 recipes takes 50 ms: once for all sessions, and again when they change."""
    return group_runs([RunFolder(Path(path)) for path in paths])


def _stamp(run: RunFolder) -> tuple[int, ...]:
    """When recipe and meta (which holds the arm) were last written."""
    files = (run.recipe_file, run.meta_file)
    return tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files)


def of_methods(found: Sequence[Method]) -> list[Entry]:
    """All their runs, method by method, by seed."""
    return [entry for method in found for entry in method.entries]


def reference(found: Sequence[Method]) -> Method:
    """The method that others were made to be held against, else the one with the lowest error;
    of methods that are scored."""
    named = {entry.run.meta().get("baseline_of") for entry in of_methods(found)}
    asked = (m for m in found if named & {entry.run.id for entry in m.entries})
    return next(asked, None) or min(found, key=lambda method: method.error)


def interval(scores: dict[str, Any]) -> tuple[float | None, float | None]:
    """Wilson's 95 % interval of an error rate."""
    n = int(scores.get("n") or 0)
    return rate_interval(round(scores["error_rate"] * n), n) if n else (None, None)


def all_sides(found: Sequence[Entry]) -> list[tuple[int, int]]:
    """Every (height, width) of all runs, so that a size has one colour on the whole screen."""
    return sorted({side for entry in found for side in entry.seen.sides})


def epoch_sizes(epochs: pd.DataFrame) -> list[tuple[int, int]]:
    """The (height, width) of each epoch."""
    return [(int(h), int(w)) for h, w in zip(epochs["height"], epochs["width"])]


def short_label(row: RunRow, rows: Sequence[RunRow]) -> str:
    """A name for a chip: `Quick demo, 12.3 %`; with the end of its id where two have that name."""
    name = row.name or row.id
    if sum((other.name or other.id) == name for other in rows) > 1:
        name = f"{name} ({row.id[-4:]})"
    return f"{name}, {fmt.percent(row.error_rate)}" if row.error_rate is not None else name


def best(found: Sequence[Entry]) -> Entry | None:
    """The scored run with the lowest error; None while there is none."""
    ready = [entry for entry in found if entry.final.get("final")]
    return min(ready, key=lambda entry: entry.final["final"]["error_rate"]) if ready else None


def size_words(size: Any) -> str:
    """`128 px`, or a dash."""
    return fmt.size(*hw(size)) if size else fmt.MISSING


def in_percent(share: float | None) -> float | None:
    """12.3 from 0.123: what a table's column shows."""
    return None if share is None else 100 * share


def swatch(style: int) -> str:
    """A method's line as a picture for a table cell."""
    colour, dash = run_style(style)
    strokes = {"solid": "", "dash": "9 5", "dot": "2 4", "dashdot": "9 4 2 4", "longdash": "15 5"}
    line = '<line x1="2" y1="8" x2="42" y2="8" stroke-width="4" '
    line += f'stroke="{colour}" stroke-dasharray="{strokes[dash]}"/>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="44" height="16">{line}</svg>'
    return "data:image/svg+xml;utf8," + urllib.parse.quote(svg)
