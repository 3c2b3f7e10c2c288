"""Test size: error against it (the FixRes curve), and the grid of train and test sizes.

live_chart(size_curves([SizeLine("Seed 0", 0, curve)], sides), key="sizes.curves")
live_chart(size_grid(labels, trains, sizes, errors, sides), key="sizes.grid")
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lab.analysis.curves import size_label
from lab.analysis.test_sizes import SizeCurve, SizePoint
from lab.ui import format as fmt
from lab.ui.charts.base import Figure, figure, legend_above, safe
from lab.ui.palette import (
    NEUTRAL,
    RUN_COLOURS,
    RUN_DASHES,
    band_fill,
    on_top,
    run_style,
    size_colour,
)

MOST_WITH_BARS = 3  # intervals of more lines than this would hide each other: then by pointing
_BARS_PX = 4
Pair = tuple[int, int]
# Few errors are dark: what is best stands out on a light page and, by its number, on a dark one.
SHADES = [[0, "#005b8f"], [0.35, "#3d93c4"], [0.7, "#a9cfe6"], [1, "#edf4f9"]]


@dataclass(frozen=True)
class SizeLine:
    """A curve with the name and the style of its run."""

    name: str
    style: int
    curve: SizeCurve
    short: str = ""  # enough to tell it apart beside the grid


def size_curves(lines: Sequence[SizeLine], sides: Sequence[Pair]) -> Figure:
    """Error rate against test size. A line is a run; the filling of a mark is the test size.

    The square is the size that it was trained at, the star the lowest error. Of a single line the
    training size and the predicted best one are drawn as well.
    """
    shapes, notes = _marks(lines[0].curve, sides) if len(lines) == 1 else ([], [])
    tested = sorted({round(point.side) for line in lines for point in line.curve.scored})
    few = {"tickmode": "array", "tickvals": tested} if len(tested) <= 8 else {"nticks": 8}
    spread = tested[-1] - tested[0] if tested else 0
    ends = [tested[0] - 0.06 * spread - 2, tested[-1] + 0.06 * spread + 2] if tested else [0, 1]
    predicted = [line.curve.predicted for line in lines] if len(lines) == 1 else []
    ends = [min([ends[0], *predicted]), max([ends[1], *[side * 1.03 for side in predicted]])]
    apart = 0.012 * spread if len(lines) <= MOST_WITH_BARS else 0.0  # so that bars stand free
    middle = (len(lines) - 1) / 2
    dashes = _dashes(lines)
    return figure(
        [
            _trace(line, sides, len(lines), (at - middle) * apart, dashes[at])
            for at, line in enumerate(lines)
        ],
        " ".join(_spoken(line) for line in lines) or "No size was scored.",
        shapes=shapes,
        annotations=notes,
        showlegend=len(lines) > 1,
        legend=legend_above(),
        xaxis={"title": {"text": "test size (px)"}, "zeroline": False, "range": ends, **few},
        yaxis={"title": {"text": "error rate"}, "ticksuffix": " %", "zeroline": False},
        margin={"l": 60, "r": 16, "t": 44, "b": 48},
    )


def _dashes(lines: Sequence[SizeLine]) -> list[str]:
    """The run's dash; stages of one run, and seeds of one method, go on to the next ones."""
    seen: Counter[int] = Counter()
    found = []
    for line in lines:
        at = RUN_DASHES.index(run_style(line.style)[1]) + seen[line.style]
        found.append(RUN_DASHES[at % len(RUN_DASHES)])
        seen[line.style] += 1
    return found


def _trace(
    line: SizeLine, sides: Sequence[Pair], n: int, shift: float, dash: str
) -> dict[str, Any]:
    points = line.curve.scored
    colour, _ = run_style(line.style)
    best = line.curve.best
    symbols = [_symbol(line.curve, point, best) for point in points]
    trace = {
        "type": "scatter", "mode": "lines+markers", "name": safe(line.name, 30),
        "x": [point.side + shift for point in points],
        "y": [100 * point.error for point in points],
        "line": {"color": colour, "dash": dash, "width": 2},
        "marker": {
            "symbol": symbols, "size": [9 if symbol == "circle" else 15 for symbol in symbols],
            "color": [size_colour(point.size, sides) for point in points], "opacity": 1,
            "line": {"color": colour, "width": 2},
        },
        "customdata": [_hover(line, point) for point in points],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    if n <= MOST_WITH_BARS:
        trace["error_y"] = {
            "type": "data", "symmetric": False, "thickness": 1, "width": _BARS_PX,
            "color": band_fill(colour, 0.7),
            "array": [100 * (point.high - point.error) for point in points],
            "arrayminus": [100 * (point.error - point.low) for point in points],
        }  # fmt: skip
    return trace


def _symbol(curve: SizeCurve, point: SizePoint, best: SizePoint | None) -> str:
    if point.size == curve.train:
        return "square"
    return "star" if best and point.size == best.size else "circle"


def _hover(line: SizeLine, point: SizePoint) -> str:
    between = f"{fmt.percent(point.low)} to {fmt.percent(point.high)}"
    words = [
        f"<b>{safe(line.name)}</b>",
        f"trained at {size_label(line.curve.train)}, tested at {size_label(point.size)} px",
        f"{fmt.percent(point.error)} wrong ({between})",
    ]
    if point.enlarged:
        words.append(f"{fmt.percent(point.enlarged, 0)} of the pictures enlarged")
    return "<br>".join(words)


def _marks(
    curve: SizeCurve, sides: Sequence[Pair]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Upright lines at the training size, in its colour, and at the predicted best size."""
    train = math.sqrt(curve.train[0] * curve.train[1])
    colour = size_colour(curve.train, sides)
    label, predicted = size_label(curve.train), round(curve.predicted)
    if abs(curve.predicted - train) < 1:
        return [_upright(train, colour, "solid")], [
            _note(train, f"trained at {label} = predicted best", "center")
        ]
    to_the_right = curve.predicted > train
    notes = [
        _note(train, f"trained at {label}", "right" if to_the_right else "left"),
        _note(curve.predicted, f"predicted best {predicted}", "left" if to_the_right else "right"),
    ]
    return [
        _upright(train, colour, "solid"), _upright(curve.predicted, NEUTRAL, "dash"),
    ], notes  # fmt: skip


def _upright(x: float, colour: str, dash: str) -> dict[str, Any]:
    line = {"color": colour, "width": 2, "dash": dash}
    place = {"x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "line", "layer": "below", "line": line, **place}


def _note(x: float, text: str, anchor: str) -> dict[str, Any]:
    place = {"x": x, "y": 1, "yref": "paper", "xanchor": anchor, "yanchor": "bottom"}
    return {"text": text, "showarrow": False, "font": {"size": 12}, **place}


def _spoken(line: SizeLine) -> str:
    found = [
        f"{size_label(point.size)} px {fmt.percent(point.error)}" for point in line.curve.scored
    ]
    best = line.curve.best
    least = f" Lowest at {size_label(best.size)} px." if best else ""
    return (
        f"{line.name}, trained at {size_label(line.curve.train)} px: error by test size "
        f"{', '.join(found)}.{least} Predicted best {line.curve.predicted:.0f} px."
    )


def size_grid(
    lines: Sequence[SizeLine], sizes: Sequence[Pair], errors: Any, sides: Sequence[Pair]
) -> Figure:
    """Error by training size (a row a line, smallest on top) and test size (a column each).

    errors: (lines, sizes), fractions, NaN where nothing was scored. Each row's best is bold, and a
    frame marks the cell where train and test size are the same.
    """
    rows = [[float(value) for value in row] for row in errors]
    known = [value for row in rows for value in row if not math.isnan(value)]
    across = [_swatched(size, f"<br>{size_label(size)}", sides) for size in sizes]
    down = [
        _swatched(
            line.curve.train,
            f" {size_label(line.curve.train)}<br>{safe(line.short or line.name, 16)}",
            sides,
        )
        for line in lines
    ]
    low, high = min(known, default=0.0), max(known, default=1.0)
    trace = {
        "type": "heatmap", "z": [[None if math.isnan(v) else 100 * v for v in row] for row in rows],
        "zmin": 100 * low, "zmax": 100 * high,
        "colorscale": SHADES, "showscale": False, "xgap": 3, "ygap": 3,
        "hoverongaps": False,
        "customdata": [[_cell(line, size, row[at]) for at, size in enumerate(sizes)]
                       for line, row in zip(lines, rows)],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    quiet = {"showgrid": False, "zeroline": False, "fixedrange": True, "automargin": True}
    return figure(
        [trace, _texts(rows, low, high)],
        "Error rate by training size and test size. " + " ".join(_spoken(line) for line in lines),
        shapes=_same_size(lines, sizes),
        xaxis={**quiet, **_ticks(across), "tickangle": 0, "title": {"text": "test size (px)"}},
        yaxis={
            **quiet, **_ticks(down), "title": {"text": "trained at (px)"}, "autorange": "reversed",
        },
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )  # fmt: skip


def _texts(rows: Sequence[Sequence[float]], low: float, high: float) -> dict[str, Any]:
    """The numbers in the cells, black or white as reads better; the lowest of a row is bold."""
    cells = [
        (x, y, value, value == min(v for v in row if not math.isnan(v)))
        for y, row in enumerate(rows)
        for x, value in enumerate(row)
        if not math.isnan(value)
    ]
    span = (high - low) or 1.0
    return {
        "type": "scatter", "mode": "text", "hoverinfo": "skip",
        "x": [cell[0] for cell in cells], "y": [cell[1] for cell in cells],
        "text": [f"<b>{100 * v:.1f}</b>" if best else f"{100 * v:.1f}" for *_, v, best in cells],
        # On a telephone a cell of nine columns is 28 px wide.
        "textfont": {
            "size": 12 if len(rows[0]) < 8 else 10,
            "color": [on_top(_shade((v - low) / span)) for *_, v, _ in cells],
        },
    }  # fmt: skip


def _shade(share: float) -> str:
    """The colour that plotly gives a cell: straight between the scale's anchors."""
    for (start, low), (end, high) in pairwise(SHADES):
        if share <= end:
            part = (share - start) / (end - start)
            pairs = [(int(low[at : at + 2], 16), int(high[at : at + 2], 16)) for at in (1, 3, 5)]
            return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)
    return str(SHADES[-1][1])


def _cell(line: SizeLine, size: Pair, error: float) -> str:
    if math.isnan(error):
        return ""
    return (
        f"<b>{safe(line.name)}</b><br>trained at {size_label(line.curve.train)}, tested at "
        f"{size_label(size)} px<br>{fmt.percent(error)} wrong"
    )


def _swatched(size: Pair, words: str, sides: Sequence[Pair]) -> str:
    """A label with a block in its size's colour before it."""
    return f'<span style="color:{size_colour(size, sides)}">■</span>{words}'


def _ticks(labels: Sequence[str]) -> dict[str, Any]:
    return {"tickmode": "array", "tickvals": list(range(len(labels))), "ticktext": list(labels)}


def _same_size(lines: Sequence[SizeLine], sizes: Sequence[Pair]) -> list[dict[str, Any]]:
    """A frame around each cell where a row is tested at the size that it was trained at."""
    found = []
    for y, line in enumerate(lines):
        if line.curve.train in sizes:
            x = list(sizes).index(line.curve.train)
            place = {"x0": x - 0.47, "x1": x + 0.47, "y0": y - 0.45, "y1": y + 0.45}
            frame = {"color": RUN_COLOURS[1], "width": 3}
            found.append({"type": "rect", "line": frame, **place})
    return found
