"""Results: error against cost, class probabilities, class counts, confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.ui import format as fmt
from lab.ui.charts.axis import AxisName, axis_layout, plotted
from lab.ui.charts.base import Figure, figure, legend_above, safe
from lab.ui.palette import GOOD, NEUTRAL, RUN_COLOURS, SIZE_ANCHORS


@dataclass(frozen=True)
class CostPoint:
    """One model on the error-against-cost plot."""

    name: str
    cost: float  # seconds or pixels
    error: float  # a fraction
    low: float | None = None  # interval of the error, fractions
    high: float | None = None
    colour: str = NEUTRAL  # size_colour of the final size
    symbol: str = "circle"  # another one for baselines, so that colour is never the only cue


def error_against_cost(points: Sequence[CostPoint], x: AxisName = "time") -> Figure:
    """Error rate against what it cost; left and low is better."""
    errors = [100 * point.error for point in points]
    trace = {
        "type": "scatter", "mode": "markers+text",
        "x": plotted(x, [point.cost for point in points]), "y": errors,
        "text": [f"  {safe(point.name, 26)}  " for point in points],
        "textposition": _text_places(points), "cliponaxis": False,
        "marker": {
            "size": 13, "color": [point.colour for point in points],
            "symbol": [point.symbol for point in points],
            "line": {"width": 1.5, "color": NEUTRAL},
        },
        "error_y": {
            "type": "data", "symmetric": False, "thickness": 1.2, "width": 4, "color": NEUTRAL,
            "array": [0 if p.high is None else 100 * (p.high - p.error) for p in points],
            "arrayminus": [0 if p.low is None else 100 * (p.error - p.low) for p in points],
        },
        "customdata": [_cost_hover(point, x) for point in points],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    words = "; ".join(f"{p.name}: {fmt.percent(p.error)} error, {_cost(p.cost, x)}" for p in points)
    largest = max((point.cost for point in points), default=1.0)
    axis = axis_layout(x, largest)
    title = "training time (m:ss)" if x == "time" else "pixels trained on"
    wide = [float(plotted(x, share * largest)) for share in (0, 1.18)]
    return figure(
        [trace],
        f"Error rate against {title}, lower left is better. {words or 'No runs'}.",
        revision=x,
        xaxis={**axis, "title": {"text": title}, "range": wide, "showgrid": True},
        yaxis={"title": {"text": "error rate"}, "ticksuffix": " %", "rangemode": "tozero"},
        margin={"l": 60, "r": 24, "t": 24, "b": 48},
    )


def probability_bars(
    classes: Sequence[str], probs: Sequence[float], truth: str | None = None, top: int = 5
) -> Figure:
    """The likeliest classes, and always the true one; the true one is marked in words too."""
    order = sorted(range(len(classes)), key=lambda index: -probs[index])
    shown = order[:top]
    true_at = classes.index(truth) if truth in classes else None
    if true_at is not None and true_at not in shown:
        shown = [*shown[:-1], true_at]
    names = [safe(classes[i], 22) + (" (true)" if i == true_at else "") for i in shown]
    trace = {
        "type": "bar", "orientation": "h", "x": [100 * float(probs[i]) for i in shown],
        "y": list(range(len(shown))),
        "marker": {"color": [GOOD if i == true_at else NEUTRAL for i in shown]},
        "text": [fmt.percent(float(probs[i])) for i in shown],
        "textposition": "outside", "cliponaxis": False,
        "customdata": [safe(classes[i]) for i in shown],
        "hovertemplate": "%{customdata}: %{x:.2f} %<extra></extra>",
    }  # fmt: skip
    spoken = ", ".join(f"{classes[i]} {fmt.percent(float(probs[i]))}" for i in shown)
    return figure(
        [trace],
        f"Probabilities: {spoken}." + (f" True class: {truth}." if truth else ""),
        xaxis={"range": [0, 118], "visible": False, "fixedrange": True},
        yaxis=_names_down(names),
        bargap=0.3,
        margin={"l": 8, "r": 8, "t": 4, "b": 4},
    )


def class_counts(classes: Sequence[str], parts: Mapping[str, Sequence[int]]) -> Figure:
    """Images per class: one stacked bar per class, a colour per part (train, valid, test)."""
    names = [safe(name, 22) for name in classes]
    data = [
        {
            "type": "bar", "orientation": "h", "name": safe(part), "x": [int(n) for n in counts],
            "y": list(range(len(names))), "marker": {"color": RUN_COLOURS[index]},
            "customdata": names,
            "hovertemplate": f"%{{customdata}}, {safe(part)}: %{{x}}<extra></extra>",
        }
        for index, (part, counts) in enumerate(parts.items())
    ]  # fmt: skip
    totals = [sum(int(counts[i]) for counts in parts.values()) for i in range(len(classes))]
    spoken = ", ".join(f"{name} {fmt.count(total)}" for name, total in zip(classes, totals))
    return figure(
        data,
        f"Images per class: {spoken}.",
        barmode="stack",
        bargap=0.3,
        xaxis={"title": {"text": "images"}, "fixedrange": True, "zeroline": False},
        yaxis=_names_down(names),
        showlegend=len(parts) > 1,
        legend={**legend_above(), "y": 1.0, "traceorder": "normal"},
        margin={"l": 8, "r": 16, "t": 30 if len(parts) > 1 else 8, "b": 44},
    )


def drawn_counts(classes: Sequence[str], natural: Sequence[int], drawn: Sequence[float]) -> Figure:
    """Weighted sampling: training images per class, beside how often an epoch drew the class."""
    names = [safe(name, 22) for name in classes]
    parts = {"pictures there are": natural, "drawn in an epoch": drawn}
    data = [
        {
            "type": "bar", "orientation": "h", "name": part, "x": [float(n) for n in counts],
            "y": list(range(len(names))),
            "marker": {"color": colour, "pattern": {"shape": sign, "fillmode": "overlay"}},
            "customdata": names,
            "hovertemplate": f"%{{customdata}}, {part}: %{{x:.0f}}<extra></extra>",
        }
        for (part, counts), colour, sign in zip(
            parts.items(), (NEUTRAL, RUN_COLOURS[0]), ("", "/"), strict=True
        )
    ]  # fmt: skip
    spoken = ", ".join(
        f"{name} {have:.0f} and {drew:.0f}" for name, have, drew in zip(classes, natural, drawn)
    )
    return figure(
        data,
        f"Training images per class, and draws in an epoch: {spoken}.",
        barmode="group",
        bargap=0.25,
        xaxis={"title": {"text": "images"}, "fixedrange": True, "zeroline": False},
        yaxis=_names_down(names),
        showlegend=True,
        legend={**legend_above(), "traceorder": "normal"},
        margin={"l": 8, "r": 16, "t": 30, "b": 44},
    )


def heat_map(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> Figure:
    """A confusion matrix, rows true, columns predicted; customdata of a click: [true, predicted].

    Shade is the share of the row, so that small classes show; the numbers are counts.
    """
    rows = [[int(value) for value in row] for row in matrix]
    shares = [[value / max(sum(row), 1) for value in row] for row in rows]
    names = [safe(name, 16) for name in classes]
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names}
    quiet = {"showgrid": False, "zeroline": False, "fixedrange": True, "automargin": True, **ticks}
    wrong = sum(map(sum, rows)) - sum(rows[i][i] for i in range(len(rows)))
    trace = {
        "type": "heatmap", "z": shares, "zmin": 0, "zmax": 1, "showscale": False,
        "xgap": 2, "ygap": 2,
        "colorscale": [[0, "rgba(125,133,143,0.10)"], [0.001, "#cfe3a0"], *_shades()],
        "text": [[value or "" for value in row] for row in rows], "hovertext": rows,
        "texttemplate": "%{text}" if len(names) <= 16 else "",
        "customdata": [[[i, j] for j in range(len(names))] for i in range(len(names))],
        "hovertemplate": "true %{y}, predicted %{x}: %{hovertext}<extra></extra>",
    }  # fmt: skip
    return figure(
        [trace],
        f"Confusion matrix of {len(names)} classes; {wrong} of {sum(map(sum, rows))} are wrong.",
        xaxis={**quiet, "title": {"text": "predicted"}, "tickangle": -40},
        yaxis={**quiet, "title": {"text": "true"}, "autorange": "reversed"},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )


def _shades() -> list[list[Any]]:
    last = len(SIZE_ANCHORS) - 1
    return [[0.15 + 0.85 * i / last, colour] for i, colour in enumerate(SIZE_ANCHORS)]


def _names_down(names: Sequence[str]) -> dict[str, Any]:
    """A vertical axis of names, the first on top."""
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": list(names)}
    quiet = {"showgrid": False, "zeroline": False, "fixedrange": True, "automargin": True}
    return {**ticks, **quiet, "range": [len(names) - 0.5, -0.5], "ticks": ""}


def _text_places(points: Sequence[CostPoint]) -> list[str]:
    """Names stand to the right of their points, or to the left where the plot ends."""
    largest = max((point.cost for point in points), default=1.0) or 1.0
    return ["middle left" if p.cost > 0.62 * largest else "middle right" for p in points]


def _cost(cost: float, x: AxisName) -> str:
    return fmt.minutes(cost) if x == "time" else fmt.pixels(cost)


def _cost_hover(point: CostPoint, x: AxisName) -> str:
    between = ""
    if point.low is not None and point.high is not None:
        between = f" ({fmt.percent(point.low)} to {fmt.percent(point.high)})"
    error = f"{fmt.percent(point.error)} error{between}"
    return f"<b>{safe(point.name)}</b><br>{error}<br>{_cost(point.cost, x)}"
