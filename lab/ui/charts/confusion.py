"""Confusions as a map, mistakes in another colour than what is right; accuracy against coverage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.ui import format as fmt
from lab.ui.charts.base import Figure, figure, safe, thin
from lab.ui.palette import BAD, GOOD, NEUTRAL, RUN_COLOURS

NUMBERS_TO = 30  # classes up to which the cells carry numbers
_FAINT = 0.06  # of the scale: where cells that are not empty begin
# Opaque where there is a number on it: black reads on all of these (5.4 to 1 at the least).
_EMPTY = "rgba(125,133,143,0.10)"
_LIGHT_BAD, _LIGHT_GOOD = "#f6d9c4", "#c5e6da"


def confusion_map(
    classes: Sequence[str],
    table: np.ndarray,
    *,
    shares: bool = False,
    shown: Sequence[int] | None = None,
    chosen: tuple[int, int] | None = None,
) -> Figure:
    """Counts (true, answered) as cells; a click's customdata is [true, answered], class numbers.

    shares: numbers and shades are per cent of the row. shown: class numbers, all by default.
    chosen: the cell with an edge. The alternative text counts all mistakes, shown or not.
    """
    kept = list(range(len(classes))) if shown is None else list(shown)
    whole = np.maximum(table.sum(axis=1, keepdims=True), 1)
    part = (table / whole)[np.ix_(kept, kept)]
    counts = table[np.ix_(kept, kept)]
    names = [safe(classes[number], 16) for number in kept]
    trace = {
        "type": "heatmap", "z": _shade(part if shares else counts.astype(float)),
        "zmin": -1, "zmax": 1, "showscale": False, "xgap": 2, "ygap": 2,
        "colorscale": _SCALE, "text": _numbers(part, counts, shares),
        "texttemplate": "%{text}" if len(kept) <= NUMBERS_TO else "",
        "textfont": {"size": 12 if len(kept) <= 12 else 9, "color": "#000000"},
        "hovertext": _hover(classes, kept, part, counts),
        "customdata": [[[true, said] for said in kept] for true in kept],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }  # fmt: skip
    wrong = int(table.sum() - np.trace(table))
    return figure(
        [trace],
        f"Confusion matrix, {len(kept)} of {len(classes)} classes; {fmt.count(wrong)} of "
        f"{fmt.count(int(table.sum()))} images are wrong.",
        xaxis={**_axis(names, "answered"), "tickangle": -40 if len(kept) <= 12 else -90},
        yaxis={**_axis(names, "true"), "autorange": "reversed"},
        shapes=_edge(kept, chosen),
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )


def _shade(values: np.ndarray) -> np.ndarray:
    """-1..1: mistakes below zero, right answers above, each against its own largest; 0: empty."""
    right = np.eye(len(values), dtype=bool)
    found = np.zeros_like(values)
    for where, sign in ((right, 1), (~right, -1)):
        most = values[where].max(initial=0.0)
        if most > 0:
            level = _FAINT + (1 - _FAINT) * values / most
            found = np.where(where & (values > 0), sign * level, found)
    return found


def _at(level: float) -> float:
    return (1 + level) / 2


_SCALE = [
    [0, BAD], [_at(-_FAINT), _LIGHT_BAD], [_at(-0.9 * _FAINT), _EMPTY],
    [_at(0.9 * _FAINT), _EMPTY], [_at(_FAINT), _LIGHT_GOOD], [1, GOOD],
]  # fmt: skip


def _numbers(part: np.ndarray, counts: np.ndarray, shares: bool) -> list[list[str]]:
    """What stands in the cells; nothing in empty ones."""
    if not shares:
        return [[str(count) if count else "" for count in row] for row in counts.tolist()]
    return [["" if not p else _percent(p) for p in row] for row in part.tolist()]


def _percent(share: float) -> str:
    return "&lt;1" if share < 0.005 else f"{100 * share:.0f}"


def _hover(
    classes: Sequence[str], kept: Sequence[int], part: np.ndarray, counts: np.ndarray
) -> list[list[str]]:
    names = [safe(classes[number], 40) for number in kept]
    return [
        [
            f"true {true}, answered {said}<br><b>{fmt.count(int(counts[i, j]))}</b> "
            f"({fmt.percent(float(part[i, j]))} of {true})"
            for j, said in enumerate(names)
        ]
        for i, true in enumerate(names)
    ]


def _axis(names: Sequence[str], title: str) -> dict[str, Any]:
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": list(names)}
    quiet = {"showgrid": False, "zeroline": False, "fixedrange": True, "automargin": True}
    return {**ticks, **quiet, "ticks": "", "title": {"text": title}}


def _edge(kept: Sequence[int], chosen: tuple[int, int] | None) -> list[dict[str, Any]]:
    if chosen is None or not set(chosen) <= set(kept):
        return []
    row, column = (kept.index(number) for number in chosen)
    corners = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    return [{"type": "rect", **corners, "line": {"color": RUN_COLOURS[0], "width": 3}}]


def coverage_chart(
    threshold: Sequence[float], coverage: Sequence[float], accuracy: Sequence[float],
    chosen: tuple[float, float] | None,
) -> Figure:  # fmt: skip
    """Accuracy among the images that are answered against their share; `chosen`: the ring's."""
    columns = [np.asarray(values, float) for values in (threshold, coverage, accuracy)]
    level, x, y = (values[thin(len(values))] for values in columns)
    hover = [
        f"at least {fmt.percent(sure)} sure<br>answers {fmt.percent(share)}, "
        f"{fmt.percent(right)} of them right"
        for sure, share, right in zip(level, x, y)
    ]
    data = [{
        "type": "scatter", "mode": "lines+markers" if len(x) < 60 else "lines",
        "x": 100 * x, "y": 100 * y, "line": {"color": RUN_COLOURS[0], "width": 2, "shape": "hv"},
        "marker": {"size": 5}, "customdata": hover, "hovertemplate": "%{customdata}<extra></extra>",
    }]  # fmt: skip
    if chosen is not None:
        data.append({
            "type": "scatter", "mode": "markers", "x": [100 * chosen[0]], "y": [100 * chosen[1]],
            "marker": {"size": 16, "symbol": "circle-open", "color": BAD, "line": {"width": 3}},
            "hoverinfo": "skip",
        })  # fmt: skip
    low = 100 * float(y.min()) if len(y) else 0.0
    end = f" All answered: {fmt.percent(float(y[-1]))} right." if len(y) else ""
    return figure(
        data,
        f"Accuracy among the answered images against the share that is answered.{end}",
        xaxis={"title": {"text": "images answered"}, "range": [0, 102], "ticksuffix": " %"},
        yaxis={
            "title": {"text": "of these right"}, "ticksuffix": " %",
            "range": [max(0.0, low - 4), 101.5], "gridcolor": NEUTRAL + "55",
        },
        margin={"l": 60, "r": 12, "t": 10, "b": 44},
    )  # fmt: skip
