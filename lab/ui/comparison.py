"""Runs side by side: their tables, cached by what their folders look like, and words about cost.

    chosen = [entry(run_id, row) ...]
    scores_table(chosen), stage_table(chosen), verdicts([run, run])

Everything comes from stored numbers; nothing is run again. A table of one run is made once for all
sessions, and again when the run's files have changed.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lab.analysis.compare import (
    LEVEL,
    Comparison,
    compare_pair,
    final_predictions,
    recipe_differences,
)
from lab.analysis.significance import rate_interval
from lab.errors import LabError
from lab.recipe import Recipe
from lab.recipe.stage import hw
from lab.runs.folder import RunFolder
from lab.runs.index import RunRow
from lab.ui import charts, watch
from lab.ui import format as fmt
from lab.ui.charts.axis import AxisName
from lab.ui.charts.base import Figure
from lab.ui.charts.results import CostPoint
from lab.ui.messages import place, plain
from lab.ui.palette import run_style, size_colour
from lab.ui.run_cache import Snapshot, snapshot

MOST = 12  # runs on one screen
STYLES = "compare.styles"
AXES = {"epoch": "epochs", "time": "time", "pixels": "pixels"}
MEASURES = {
    "error": "error rate",
    "valid_loss": "validation loss",
    "train_loss": "training loss",
    "lr": "learning rate",
}
_PERCENT = st.column_config.NumberColumn(format="%.1f %%")
_LOSS = st.column_config.NumberColumn(format="%.3f")
NUMBERS = {
    "error": _PERCENT, "95 % from": _PERCENT, "to": _PERCENT, "error, own size": _PERCENT,
    "error, final size": _PERCENT, "log loss": _LOSS, "log loss at final size": _LOSS,
    "line": st.column_config.ImageColumn(" ", width=56),
    "images/s": st.column_config.NumberColumn(format="%.0f"),
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One run of the comparison. `label` is its own; `style` stays while it is chosen."""

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
    def seconds(self) -> float:
        return float(self.seen.epochs["seconds"].sum())

    @property
    def pixels(self) -> float:
        epochs = self.seen.epochs
        return float(epochs["pixels"].max()) if len(epochs) else 0.0


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
    """A style for each run, in this order: the one it has, else the first that no other has."""
    kept = {run_id: before[run_id] for run_id in chosen if run_id in before}
    for run_id in chosen:
        if run_id in kept:
            continue
        kept[run_id] = next(n for n in range(len(chosen) + 1) if n not in kept.values())
    return kept


def entries(
    folder: Path, chosen: Sequence[str], rows: dict[str, RunRow], style: dict[str, int]
) -> tuple[list[Entry], list[LabError]]:
    """The chosen runs, oldest style first; and what is wrong with those that cannot be read."""
    found, broken = [], []
    names = [rows[run_id].name or run_id for run_id in chosen]
    for run_id in chosen:
        row = rows[run_id]
        name = row.name or run_id
        label = name if names.count(name) == 1 else f"{name} ({run_id[-4:]})"
        run = RunFolder(folder / run_id)
        try:
            found.append(Entry(run, row, label, style[run_id], snapshot(run)))
        except LabError as error:
            broken.append(error)
    return sorted(found, key=lambda entry: entry.style), broken


def scores_table(found: Sequence[Entry]) -> pd.DataFrame:
    """A row a run: final scores with the error's interval, and what they cost."""
    rows = []
    for entry in found:
        final, own = entry.final.get("final", {}), entry.final.get("own", {})
        low, high = interval(final)
        epochs = entry.seen.epochs
        begun = len(epochs) > 0
        rows.append({
            "line": swatch(entry.style),
            "run": entry.label,
            "error": _percent(final.get("error_rate")),
            "95 % from": _percent(low),
            "to": _percent(high),
            "log loss": final.get("log_loss"),
            "time": fmt.minutes(entry.seconds) if begun else fmt.MISSING,
            "pixels": fmt.pixels(entry.pixels) if begun else fmt.MISSING,
            "images/s": float(epochs["images_per_s"].mean()) if begun else None,
            "sizes": entry.row.sizes,
            "scored at": _size(entry.final.get("final_size")),
            "error, own size": _percent(own.get("error_rate")),
            "epochs": f"{len(epochs)} of {entry.seen.total_epochs}",
            "seed": entry.seen.recipe.seed,
        })  # fmt: skip
    numbers = ("error", "95 % from", "to", "error, own size", "log loss", "images/s")
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, "float64"))


def stage_table(found: Sequence[Entry]) -> pd.DataFrame:
    """A row a finished stage: its errors at its own and at the final size; `line` is its swatch."""
    rows = [
        {
            "line": swatch(entry.style),
            "size": _size(event["size"]),
            "error, own size": _percent(event.get("own", {}).get("error_rate")),
            "error, final size": _percent(event.get("final", {}).get("error_rate")),
            "run": entry.label,
            "stage": event["stage"] + 1,
            "final size": _size(event["final_size"]),
            "log loss at final size": event.get("final", {}).get("log_loss"),
        }
        for entry in found
        for event in entry.seen.stages
    ]
    return pd.DataFrame(rows)


def interval(scores: dict[str, Any]) -> tuple[float | None, float | None]:
    """Wilson's 95 % interval of an error rate."""
    n = int(scores.get("n") or 0)
    return rate_interval(round(scores["error_rate"] * n), n) if n else (None, None)


def curves(found: Sequence[Entry], x: AxisName, y: str, log_y: bool) -> Figure:
    """Epoch curves; a line is a run (colour, dash), the filling of its marks is the size."""
    tables = [(entry.label, entry.seen.epochs) for entry in found]
    figure = charts.compare_curves(
        tables, x, y, log_y=log_y, indices=[entry.style for entry in found]
    )
    sides = all_sides(found)
    for trace, entry in zip(figure["data"], found):
        epochs = entry.seen.epochs
        fill = [size_colour(size, sides) for size in zip(epochs["height"], epochs["width"])]
        ring = {"color": trace["line"]["color"], "width": 2}
        trace["marker"] = {"size": 10, "color": fill, "line": ring}
    for size in sides:
        mark = {"size": 10, "color": size_colour(size, sides)}
        figure["data"].append({
            "type": "scatter", "mode": "markers", "x": [None], "y": [None], "marker": mark,
            "name": fmt.size(*size), "hoverinfo": "skip",
        })  # fmt: skip
    return figure


def cost_figure(found: Sequence[Entry], x: AxisName) -> Figure:
    """Final error against time or pixels, with intervals; baselines are squares."""
    points, sides = [], all_sides(found)
    for entry in found:
        final = entry.final.get("final", {})
        if not final:
            continue
        low, high = interval(final)
        size = hw(entry.seen.recipe.stages[-1].size)
        points.append(CostPoint(
            entry.label, entry.seconds if x == "time" else entry.pixels, final["error_rate"],
            low, high, size_colour(size, sides),
            "circle" if "→" in entry.row.sizes else "square",
        ))  # fmt: skip
    return charts.error_against_cost(points, x)


def all_sides(found: Sequence[Entry]) -> list[tuple[int, int]]:
    """Every (height, width) of all runs, so that a size has one colour on the whole screen."""
    return sorted({side for entry in found for side in entry.seen.sides})


def verdicts(found: Sequence[Entry]) -> list[Comparison]:
    """Error rate and log loss of every pair that has finished stages; refusals in words."""
    ready = [entry for entry in found if entry.final]
    rows: list[Comparison] = []
    for a, b in combinations(ready, 2):
        stamps = tuple(_stamp(entry) for entry in (a, b))
        rows += _pair(str(a.run.path), str(b.run.path), stamps, (a.label, b.label))
    return rows


@st.cache_data(max_entries=128, show_spinner="Comparing image by image …")
def _pair(a: str, b: str, stamps: tuple[float, ...], names: tuple[str, str]) -> list[Comparison]:
    """Resampling takes 0.1 s for 300 images and a second for 10,000: once per pair."""
    try:
        both = [final_predictions(RunFolder(Path(path))) for path in (a, b)]
    except LabError as error:
        words = f"{error.what} {error.fix}"
        return [Comparison(Path(a).name, Path(b).name, "error_rate", *[None] * 4, 0, words)]
    return compare_pair(*(replace(one, name=name) for one, name in zip(both, names)))


def _stamp(entry: Entry) -> float:
    file = entry.run.stage(int(entry.final["stage"])) / "scores.json"
    return file.stat().st_mtime if file.is_file() else 0.0


def verdict_table(rows: Sequence[Comparison], found: Sequence[Entry]) -> pd.DataFrame:
    """The pairs with their numbers."""
    names = {entry.run.id: entry.label for entry in found}
    return pd.DataFrame(
        [
            {
                "first": names.get(row.a, row.a), "second": names.get(row.b, row.b),
                "score": row.metric.replace("_", " "), "first - second": row.difference,
                "95 % from": row.low, "to": row.high, "p": row.p, "images": row.n,
                "verdict": row.verdict,
            }
            for row in rows
        ]
    )  # fmt: skip


def cost_words(a: Entry, b: Entry) -> str:
    """What the two cost, in one sentence; '' where one has not trained."""
    if not (a.seconds and b.seconds):
        return ""
    quick, slow = sorted((a, b), key=lambda entry: entry.seconds)
    less = 1 - quick.seconds / slow.seconds
    times = f"{fmt.minutes(quick.seconds)} against {fmt.minutes(slow.seconds)}"
    share = quick.pixels / slow.pixels if slow.pixels else 1.0
    pixels = f"{fmt.percent(share, 0)} of the pixels"
    if less < 0.03:
        return f"Both took about as long ({times}); {quick.label} with {pixels}."
    return f"{quick.label} took {fmt.percent(less, 0)} less time ({times}), with {pixels}."


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


def answer(found: Sequence[Entry]) -> list[str]:
    """The answer on top, as Markdown: fewer errors, at what cost, what was guessed."""
    ready = [entry for entry in found if entry.final]
    lines = []
    if len(ready) == 2:
        row = next((row for row in verdicts(ready) if row.metric == "error_rate"), None)
        if row is not None:
            lines.append(f"**{plain(_short(row, ready))}** {plain(cost_words(*ready))}".strip())
    elif len(ready) > 2:
        first = min(ready, key=lambda entry: entry.final["final"]["error_rate"])
        rate = fmt.percent(first.final["final"]["error_rate"])
        words = f"**{plain(first.label)} has the lowest error, {rate}.**"
        lines.append(f"{words} Whether that is more than luck is said below, pair by pair.")
    waiting = [plain(entry.label) for entry in found if not entry.final]
    if waiting:
        lines.append(f"Not scored yet: {', '.join(waiting)}.")
    guesses = guess_lines(found)
    return lines + ([f"Guesses before the launch. {plain('; '.join(guesses))}."] if guesses else [])


def _short(row: Comparison, pair: Sequence[Entry]) -> str:
    """The verdict without its interval, which stands below."""
    if row.difference is None or row.p is None:
        return row.verdict
    rates = {entry.run.id: fmt.percent(entry.final["final"]["error_rate"]) for entry in pair}
    names = {entry.run.id: entry.label for entry in pair}
    if row.p >= LEVEL:
        each = " and ".join(f"{rates[run]} wrong ({names[run]})" for run in (row.a, row.b))
        return f"Not enough evidence that one is better: {each}."
    better, worse = (row.b, row.a) if row.difference > 0 else (row.a, row.b)
    return f"{names[better]} makes fewer errors: {rates[better]} against {rates[worse]}."


def guess_lines(found: Sequence[Entry]) -> list[str]:
    """The guesses made before the launches, each with what came of it."""
    lines = []
    for entry in found:
        guess = watch.guess_words(entry.run.meta())
        came = entry.final.get("final", {}).get("error_rate")
        result = f", came to {fmt.percent(came)}" if came is not None else ""
        if guess:
            lines.append(f"{entry.label}: {guess}{result}")
    return lines


def differences(found: Sequence[Entry]) -> pd.DataFrame:
    """Recipes side by side, only where they differ, the places in words.

    Of a stage that some run does not have, only what sets it apart from its own run's first stage.
    """
    recipes = {entry.label: entry.seen.recipe for entry in found}
    table = recipe_differences(recipes)
    kept = [path for path in table.index if _tells(str(path), list(recipes.values()))]
    return table.loc[kept].rename(index=lambda path: place(str(path))).astype(str)


def _tells(path: str, recipes: Sequence[Recipe]) -> bool:
    parts = path.split(".")
    if parts[0] != "stages" or parts[-1] in ("size", "epochs"):
        return True
    number = int(parts[1])
    if all(len(recipe.stages) > number for recipe in recipes):
        return True
    return any(
        _at(recipe, number, parts[2:]) != _at(recipe, 0, parts[2:])
        for recipe in recipes
        if len(recipe.stages) > number
    )


def _at(recipe: Recipe, stage: int, path: Sequence[str]) -> Any:
    value: Any = recipe.stages[stage]
    for name in path:
        value = getattr(value, name)
    return value


def swatch(style: int) -> str:
    """A run's line as a picture for a table cell."""
    colour, dash = run_style(style)
    strokes = {"solid": "", "dash": "9 5", "dot": "2 4", "dashdot": "9 4 2 4", "longdash": "15 5"}
    line = '<line x1="2" y1="8" x2="42" y2="8" stroke-width="4" '
    line += f'stroke="{colour}" stroke-dasharray="{strokes[dash]}"/>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="44" height="16">{line}</svg>'
    return "data:image/svg+xml;utf8," + urllib.parse.quote(svg)


def _size(size: Any) -> str:
    return fmt.size(*hw(size)) if size else fmt.MISSING


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
