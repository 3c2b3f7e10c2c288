"""The lines of the Compare page: runs as tables along an axis, and the figure made of them.

lines = lines_of(methods, published)
tables = {line.id: table_of(line, view) for line in lines}
draw(lines, tables, view, hidden);  numbers(lines, tables, view)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from lab.analysis.published import PublishedRun
from lab.analysis.run_curves import BY_STEP, curve, epoch_places, seed_band
from lab.ui import charts
from lab.ui import format as fmt
from lab.ui.charts.base import Figure
from lab.ui.comparison import Method, epoch_sizes
from lab.ui.palette import way_colour

_NO_STEPS = pd.DataFrame({"step": [], "loss": [], "lr": []})
Published = Sequence[tuple[PublishedRun, int]]  # each with its style


@dataclass(frozen=True)
class View:
    """How the curves are looked at; all of it stands in the address."""

    x: str
    y: str
    smoothing: float
    log_y: bool
    seeds: str
    sizes: bool


@dataclass(frozen=True)
class Line:
    """One run of the picture, our own or published."""

    id: str
    name: str
    method: str
    style: int
    seed: int | None
    epochs: pd.DataFrame
    steps: pd.DataFrame
    sides: tuple[tuple[int, int], ...]  # sizes that have a colour of their own
    published: bool = False


def lines_of(methods: Sequence[Method], published: Published) -> list[Line]:
    """Our runs by method and seed, then the published ones."""
    ours = [
        Line(entry.run.id, entry.label, method.words, method.style, entry.seen.recipe.seed,
             entry.seen.epochs, entry.seen.steps, tuple(entry.seen.sides))
        for method in methods
        for entry in method.entries
    ]  # fmt: skip
    return ours + [
        Line(run.id, run.name, f"{run.name} (published)", style, None, run.epochs, _NO_STEPS,
             tuple(sorted(set(epoch_sizes(run.epochs)))), published=True)
        for run, style in published
    ]  # fmt: skip


def table_of(line: Line, view: View) -> pd.DataFrame:
    """The curve of a line. A running mean of steps is not for a line that has epochs only."""
    few = view.y in BY_STEP and not len(line.steps)
    return curve(line.epochs, line.steps, view.x, view.y, 0.0 if few else view.smoothing)


def draw(
    lines: Sequence[Line], tables: dict[str, pd.DataFrame], view: View, hidden: set[str]
) -> Figure:
    """The figure; axes and rows are those of all lines, hidden ones too."""
    sides = sorted({side for line in lines for side in line.sides})
    bands = _bands(lines, tables, view, sides)
    banded = {band.method for band in bands}
    curves = [
        charts.Curve(
            line.name, line.method, line.style, tables[line.id],
            hidden=line.id in hidden, faint=line.method in banded,
            colours=_colours(line, tables[line.id], view, sides), published=line.published,
        )
        for line in lines
    ]  # fmt: skip
    gone = {method for method, own in by_method(lines) if all(one.id in hidden for one in own)}
    return charts.method_curves(
        curves,
        [band for band in bands if band.method not in gone],
        _strips(lines, view, sides, gone) if view.sizes and view.y != "size" else [],
        view.x,
        view.y,
        log_y=view.log_y,
    )


def by_method(lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    return [(name, list(own)) for name, own in groupby(lines, key=lambda line: line.method)]


def _bands(
    lines: Sequence[Line], tables: dict[str, pd.DataFrame], view: View, sides: Sequence[Any]
) -> list[charts.SeedBand]:
    """One for each method with several seeds, made from all of them, drawn or not."""
    if view.seeds == "each" or view.y == "size":
        return []
    found = []
    for method, own in by_method(lines):
        table = seed_band([tables[line.id] for line in own], view.seeds)
        if not len(table):
            continue
        what = "smallest to largest" if view.seeds == "range" else "95 % t interval of the mean"
        words = f"mean of {int(table['n'].iloc[0])}, {what}"
        colours = _colours(own[0], table, view, sides)
        found.append(charts.SeedBand(method, own[0].style, table, words, colours))
    return found


def _colours(line: Line, table: pd.DataFrame, view: View, sides: Sequence[Any]) -> tuple[str, ...]:
    """The size of each epoch as a colour; () where points are steps."""
    stepwise = view.y in BY_STEP and len(line.steps) > 0
    if stepwise or view.y == "size":
        return ()
    known = {
        number + 1: way_colour(size, sides)
        for number, size in zip(line.epochs["global_epoch"], epoch_sizes(line.epochs))
    }
    return tuple(known[at] for at in table["at"])


def _strips(
    lines: Sequence[Line], view: View, sides: Sequence[Any], gone: set[str]
) -> list[charts.Strip]:
    """A row a method, from its longest run; () where the axis was not counted."""
    found = []
    for method, own in by_method(lines):
        line = max(own, key=lambda one: len(one.epochs))
        ends = epoch_places(line.epochs, view.x)
        blocks, start = [], 0.0
        for size, at in groupby(range(len(ends)), key=lambda n: epoch_sizes(line.epochs)[n]):
            end = float(ends[list(at)[-1]])
            if not np.isfinite(end):
                break
            blocks.append((start, end, fmt.size(*size), way_colour(size, sides)))
            start = end
        found.append(charts.Strip(method, line.style, tuple(blocks), method in gone))
    return found


def numbers(lines: Sequence[Line], tables: dict[str, pd.DataFrame], view: View) -> pd.DataFrame:
    """What is drawn, whole: a row a point of a run, then a row a point of a method's mean."""
    parts = [
        tables[line.id].assign(what="run", method=line.method, run=line.id, seed=line.seed)
        for line in lines
    ]
    for band in _bands(lines, tables, view, [side for line in lines for side in line.sides]):
        mean = band.table.rename(columns={"mean": "smooth"})
        parts.append(mean.assign(what=band.words, method=band.method, run="", seed=None))
    table = pd.concat(parts, ignore_index=True)
    first = ["what", "method", "run", "seed", "at", "x", "value", "smooth"]
    names = {"x": view.x, "at": "step or epoch", "value": view.y, "smooth": f"{view.y}, smoothed"}
    shown = [*first, *(name for name in ("low", "high", "n") if name in table)]
    return table[shown].rename(columns=names)
