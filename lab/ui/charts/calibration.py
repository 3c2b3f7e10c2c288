"""The reliability diagram: how often answers are right, by how sure the network was of them.

    chart = reliability([Line("plain", table, counts), Line("4 views", ...)])

`table` is metrics.calibration_table or adaptive_table; beneath it, how many images are how sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lab.analysis.significance import rate_interval
from lab.ui import format as fmt
from lab.ui.charts.base import Figure, figure, safe
from lab.ui.palette import NEUTRAL, RUN_COLOURS, RUN_DASHES

SYMBOLS = ("circle", "diamond", "square", "triangle-up")
SMALLEST_PX, LARGEST_PX = 5.0, 22.0  # diameters of marks: their areas go with the counts


@dataclass(frozen=True, eq=False)
class Line:
    """One way of answering. `counts`: images per bin of equal width, for the bars beneath; `look`:
    which colour, dash and symbol, so that a way looks alike beside others and alone."""

    name: str
    table: dict[str, np.ndarray]
    counts: np.ndarray
    look: int = 0


def reliability(lines: Sequence[Line]) -> Figure:
    """Marks on the diagonal: as sure as right. Below it: too sure. Large marks: many images."""
    # A quarter of the images or more is a mark of full size: marks of equal counts stay small.
    most = max(max(line.table["n"].max(), line.table["n"].sum() / 4) for line in lines)
    data = [_diagonal()]
    for line in lines:
        data += [_marks(line, most), _bars(line)]
    share = {"ticksuffix": " %", "range": [0, 103], "zeroline": False, "dtick": 20}
    return figure(
        data,
        _spoken(lines),
        revision=str(len(lines)),
        xaxis={**share, "title": {"text": "confidence: probability of the answer given"},
               "anchor": "y2"},
        yaxis={**share, "title": {"text": "answers that are right"}, "domain": [0.27, 1]},
        yaxis2={"title": {"text": "images"}, "domain": [0, 0.19], "zeroline": False, "nticks": 3,
                "rangemode": "tozero"},
        barmode="group",
        bargap=0.1,
        bargroupgap=0,
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top",
                "itemsizing": "constant"},
        margin={"l": 60, "r": 12, "t": 48, "b": 44},
        annotations=[_corner("too sure", 0.98, 0.30, "right"),
                     _corner("not sure enough", 0.02, 0.97, "left")],
    )  # fmt: skip


def _diagonal() -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": "as sure as right", "x": [0, 100],
        "y": [0, 100], "hoverinfo": "skip", "line": {"color": NEUTRAL, "width": 1.5, "dash": "dot"},
    }  # fmt: skip


def _marks(line: Line, most: float) -> dict[str, Any]:
    table = line.table
    some = np.flatnonzero(table["n"])
    n, accuracy = table["n"][some], table["accuracy"][some]
    ends = np.array([rate_interval(round(a * k), int(k)) for a, k in zip(accuracy, n)])
    size = np.sqrt(n / most) * LARGEST_PX
    colour = RUN_COLOURS[line.look % len(RUN_COLOURS)]
    return {
        "type": "scatter", "mode": "lines+markers", "name": safe(line.name),
        "x": 100 * table["confidence"][some], "y": 100 * accuracy,
        "line": {"color": colour, "width": 1.5, "dash": RUN_DASHES[line.look % len(RUN_DASHES)]},
        "marker": {
            "size": np.maximum(size, SMALLEST_PX), "color": colour, "opacity": 0.75,
            "symbol": SYMBOLS[line.look % len(SYMBOLS)],
        },
        "error_y": {
            "type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": colour,
            "array": 100 * (ends[:, 1] - accuracy), "arrayminus": 100 * (accuracy - ends[:, 0]),
        },
        "customdata": [_hover(line, int(bin_), low, high)
                       for bin_, (low, high) in zip(some, ends)],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip


def _bars(line: Line) -> dict[str, Any]:
    bins = len(line.counts)
    edges = [f"{100 * edge / bins:.0f}" for edge in range(bins + 1)]
    return {
        "type": "bar", "name": safe(line.name), "yaxis": "y2", "showlegend": False,
        "x": 100 * (np.arange(bins) + 0.5) / bins, "y": line.counts,
        "marker": {"color": RUN_COLOURS[line.look % len(RUN_COLOURS)], "line": {"width": 0}},
        "customdata": [f"{low} to {high} %" for low, high in pairwise(edges)],
        "hovertemplate": f"{safe(line.name)}: %{{y}} images at %{{customdata}}<extra></extra>",
    }  # fmt: skip


def _corner(text: str, x: float, y: float, side: str) -> dict[str, Any]:
    return {
        "text": text, "x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": side,
        "yanchor": "bottom" if side == "right" else "top", "showarrow": False,
        "font": {"size": 12, "color": NEUTRAL},
    }  # fmt: skip


def _hover(line: Line, at: int, low: float, high: float) -> str:
    table = line.table
    images = int(table["n"][at])
    return (
        f"<b>{safe(line.name)}</b><br>{fmt.count(images)} image{'s' if images != 1 else ''} at "
        f"{fmt.percent(table['low'][at], 0)} to {fmt.percent(table['high'][at], 0)}<br>"
        f"confidence {fmt.percent(table['confidence'][at])}<br>"
        f"right {fmt.percent(table['accuracy'][at])} "
        f"({fmt.percent(low, 0)} to {fmt.percent(high, 0)})"
    )


def _spoken(lines: Sequence[Line]) -> str:
    said = []
    for line in lines:
        n = line.table["n"]
        sure = float((line.table["confidence"] * n).sum() / n.sum())
        right = float((line.table["accuracy"] * n).sum() / n.sum())
        fullest = int(n.argmax())
        said.append(
            f"{line.name}: mean confidence {fmt.percent(sure)}, right {fmt.percent(right)}; in the "
            f"fullest bin, {fmt.count(int(n[fullest]))} images, "
            f"{fmt.percent(float(line.table['confidence'][fullest]))} sure and "
            f"{fmt.percent(float(line.table['accuracy'][fullest]))} right"
        )
    return f"Reliability diagram. {'. '.join(said)}."
