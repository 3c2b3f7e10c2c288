"""Error against cost: a mark a model or method, its interval, its seeds, and the Pareto fronts.

figure = error_against_cost([CostPoint("growing", 221.0, 0.07)], "time", fronts)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.ui import format as fmt
from lab.ui.charts.axis import TITLES, CostAxis, axis_layout, plotted
from lab.ui.charts.base import Figure, figure, safe
from lab.ui.palette import NEUTRAL


@dataclass(frozen=True)
class CostPoint:
    """One model, or the mean of a method's seeds, on the error-against-cost plot."""

    name: str
    cost: float  # seconds, pixels, FLOPs or joules
    error: float  # a fraction
    low: float | None = None  # interval of the error, fractions
    high: float | None = None
    colour: str = NEUTRAL  # size_colour of the final size
    symbol: str = "circle"  # another one for baselines, so that colour is never the only cue
    ring: str = NEUTRAL  # the method's colour
    about: str = ""  # "mean of 3 seeds, 95 % t interval over seeds"
    seeds: tuple[tuple[float, float], ...] = ()  # cost and error of each, where there are several
    hidden: bool = False  # counts for the axes, and is not drawn


def error_against_cost(
    points: Sequence[CostPoint],
    x: CostAxis = "time",
    fronts: Sequence[Sequence[tuple[float, float]]] = (),
) -> Figure:
    """Error rate against what it cost; left and low is better. A front is a line of stairs."""
    shown = [point for point in points if not point.hidden]
    words = "; ".join(f"{p.name}: {fmt.percent(p.error)} error, {_cost(p.cost, x)}" for p in shown)
    largest = max(_costs(points), default=1.0) or 1.0
    axis = axis_layout(x, largest)
    title = "time, training and validation (m:ss)" if x == "time" else TITLES[x]
    wide = [float(plotted(x, share * largest)) for share in (0, 1.18)]
    return figure(
        [*_fronts(fronts, x, 1.18 * largest), *_seeds(shown, x), _cost_points(shown, x, largest),
         *_keys(shown)],
        f"Error rate against {title}, lower left is better. {words or 'No runs'}.",
        revision=x,
        xaxis={**axis, "title": {"text": title}, "range": wide, "showgrid": True},
        yaxis={
            "title": {"text": "error rate"}, "ticksuffix": " %", "range": [0, _top(points)],
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        margin={"l": 60, "r": 24, "t": 24, "b": 48},
    )  # fmt: skip


def _cost_points(points: Sequence[CostPoint], x: CostAxis, largest: float) -> dict[str, Any]:
    errors = [100 * point.error for point in points]
    return {
        "type": "scatter", "mode": "markers+text", "showlegend": False,
        "x": plotted(x, [point.cost for point in points]), "y": errors,
        "text": _texts(points, largest),
        "textposition": _text_places(points, largest), "cliponaxis": False,
        "marker": {
            "size": 13, "color": [point.colour for point in points],
            "symbol": [point.symbol for point in points],
            "line": {"width": 3, "color": [point.ring for point in points]},
        },
        "error_y": {
            "type": "data", "symmetric": False, "thickness": 1.2, "width": 4, "color": NEUTRAL,
            "array": [0 if p.high is None else 100 * (p.high - p.error) for p in points],
            "arrayminus": [0 if p.low is None else 100 * (p.error - p.low) for p in points],
        },
        "customdata": [_cost_hover(point, x) for point in points],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip


def _keys(points: Sequence[CostPoint]) -> list[dict[str, Any]]:
    """A name a point for a legend; the picture that is taken home has one."""
    return [
        {
            "type": "scatter", "mode": "markers", "x": [None], "y": [None], "hoverinfo": "skip",
            "name": safe(point.name, 40), "showlegend": True,
            "marker": {"size": 11, "color": point.colour, "symbol": point.symbol,
                       "line": {"width": 3, "color": point.ring}},
        }
        for point in points
    ]  # fmt: skip


def _seeds(points: Sequence[CostPoint], x: CostAxis) -> list[dict[str, Any]]:
    """Every seed as a small faint mark of its method."""
    return [
        {
            "type": "scatter", "mode": "markers", "hoverinfo": "skip", "cliponaxis": False,
            "showlegend": False,
            "x": plotted(x, [cost for cost, _ in point.seeds]),
            "y": [100 * error for _, error in point.seeds],
            "marker": {"size": 6, "color": point.ring, "opacity": 0.45, "symbol": point.symbol},
        }
        for point in points
        if point.seeds
    ]  # fmt: skip


def _fronts(
    fronts: Sequence[Sequence[tuple[float, float]]], x: CostAxis, end: float
) -> list[dict[str, Any]]:
    """Stairs through the best bargains, going on to the right of the last one."""
    return [
        {
            "type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False,
            "x": plotted(x, [*(cost for cost, _ in front), end]),
            "y": [100 * error for error in [*(error for _, error in front), front[-1][1]]],
            "line": {"color": NEUTRAL, "width": 1.5, "dash": "dot", "shape": "hv"},
        }
        for front in fronts
        if front
    ]  # fmt: skip


def _costs(points: Sequence[CostPoint]) -> list[float]:
    return [cost for p in points for cost in (p.cost, *(cost for cost, _ in p.seeds))]


def _top(points: Sequence[CostPoint]) -> float:
    """Above every point and interval; an interval of two seeds may be wider than the picture."""
    seen = [error for p in points for error in (p.error, *(error for _, error in p.seeds))]
    most = max(seen, default=1.0) or 1.0
    ends = [p.high for p in points if p.high is not None]
    return 100 * min(max([most, *ends]), 2 * most, 1.0) * 1.08


def _texts(points: Sequence[CostPoint], largest: float) -> list[str]:
    """Names above their points, from the lowest up, less those that would lie upon another name or
    mark: the legend and the mouse tell them. Measured for a phone: a plot of 280 x 380 pixels."""
    top = _top(points)
    spots = [(280 * p.cost / (1.18 * largest), 380 * 100 * p.error / top) for p in points]
    taken = [(x - 9, x + 9, y) for x, y in spots]
    texts = [""] * len(points)
    for at in sorted(range(len(points)), key=lambda at: points[at].error):
        text, (x, y) = f"  {safe(points[at].name, 26)}  ", spots[at]
        wide, left = 6 * len(text), points[at].cost > 0.62 * largest
        low, high, up = (x - wide, x - 10, y + 13) if left else (x + 10, x + wide, y + 13)
        if all(abs(up - level) > 13 or high < start or low > end for start, end, level in taken):
            texts[at] = text
            taken.append((low, high, up))
    return texts


def _text_places(points: Sequence[CostPoint], largest: float) -> list[str]:
    """Names stand to the right of their points, or to the left where the plot ends."""
    return ["top left" if p.cost > 0.62 * largest else "top right" for p in points]


def _cost(cost: float, x: CostAxis) -> str:
    if x == "time":
        return fmt.minutes(cost)
    return {"pixels": fmt.pixels, "flops": fmt.flops, "energy": fmt.joules}[x](cost)


def _cost_hover(point: CostPoint, x: CostAxis) -> str:
    between = ""
    if point.low is not None and point.high is not None:
        between = f" ({fmt.percent(point.low)} to {fmt.percent(point.high)})"
    about = f"<br>{safe(point.about)}" if point.about else ""
    error = f"{fmt.percent(point.error)} error{between}"
    return f"<b>{safe(point.name)}</b><br>{error}<br>{_cost(point.cost, x)}{about}"
