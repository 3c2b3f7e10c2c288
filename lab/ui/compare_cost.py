"""Compare, Error against cost: a mark a method with its interval, and the best bargains.

    panel(methods, sets, hidden)

Of one run the interval is Wilson's over images; of several seeds it is a t interval over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from lab.analysis.pareto import front
from lab.analysis.run_curves import column
from lab.analysis.significance import mean_interval
from lab.recipe.stage import hw
from lab.ui import charts, comparison
from lab.ui import format as fmt
from lab.ui.chart_files import chart_files
from lab.ui.charts.base import Figure
from lab.ui.compare_apart import Sets
from lab.ui.comparison import Entry, Method
from lab.ui.live_chart import live_chart
from lab.ui.messages import plain
from lab.ui.palette import run_style, size_colour

COSTS = {"time": "time", "pixels": "pixels", "flops": "FLOPs", "energy": "energy"}
WORDS = {"time": "training time", "pixels": "pixels", "flops": "FLOPs", "energy": "energy"}


@dataclass(frozen=True)
class Point:
    """A method on the plot: means over its scored runs. Costs in seconds, pixels, FLOPs, joules."""

    method: Method
    scored: tuple[Entry, ...]
    cost: float
    error: float
    low: float | None
    high: float | None
    front: int | None = None  # of which set of comparable runs it is on the front

    @property
    def about(self) -> str:
        if len(self.scored) > 1:
            return f"mean of {len(self.scored)} seeds, 95 % t interval over seeds"
        return "one run, 95 % interval over its images (Wilson)"


def panel(methods: Sequence[Method], sets: Sets, hidden: set[str]) -> None:
    """Which cost, the chart, what it leaves out, and its numbers."""
    entries = comparison.of_methods(methods)
    offered = [one for one in COSTS if one != "energy" or any(_known(e, one) for e in entries)]
    x = st.segmented_control(
        "Cost", offered, format_func=COSTS.get, key="compare.cost_of", default="time",
        bind="query-params", required=True, wrap=True,
    )  # fmt: skip
    points = points_of(methods, x, sets)
    if not points:
        st.caption("No run here is scored yet, or none has counted this cost.")
        return
    live_chart(draw(points, x, hidden), key="compare.cost", height=440)
    chart_files(
        "compare.cost", f"error-by-{x}", f"Error rate against {WORDS[x]}",
        lambda: numbers(points, x), _words(methods, points, x, sets),
    )  # fmt: skip
    table = numbers(points, x)
    st.dataframe(
        table.drop(columns=["runs"]), hide_index=True, key="compare.cost.table", placeholder="–",
        column_config={
            name: st.column_config.NumberColumn(format="%.1f %%")
            for name in ("error %", "95 % from", "to")
        } | {{"time": "seconds"}.get(x, x): st.column_config.NumberColumn(format="compact")},
    )  # fmt: skip


def cost_of(entry: Entry, x: str) -> float:
    """What a run cost until the end of its last epoch; NaN where that was not counted."""
    if x == "time":
        return entry.seconds
    if x == "pixels":
        return entry.pixels
    values = column(entry.seen.epochs, {"flops": "flops", "energy": "energy_j"}[x])
    return float(values[-1]) if len(values) else float("nan")


def _known(entry: Entry, x: str) -> bool:
    return bool(np.isfinite(cost_of(entry, x)))


def points_of(methods: Sequence[Method], x: str, sets: Sets) -> list[Point]:
    """A point for each method with a scored run whose cost is known; fronts among comparable ones.

    All that are chosen count, drawn or hidden: hiding changes no front.
    """
    found = [_point(method, x) for method in methods]
    points = [point for point in found if point]
    home = {entry.run.id: n for n, one in enumerate(sets) for entry in one}
    best: dict[str, int] = {}
    for number in range(len(sets)):
        own = [p for p in points if home[p.scored[0].run.id] == number]
        on = front([p.cost for p in own], [p.error for p in own]) if len(own) > 1 else []
        best |= {own[at].method.group.key: number for at in on}
    return [
        Point(p.method, p.scored, p.cost, p.error, p.low, p.high, best.get(p.method.group.key))
        for p in points
    ]


def _point(method: Method, x: str) -> Point | None:
    scored = tuple(e for e in method.entries if e.scored and _known(e, x))
    if not scored:
        return None
    errors = [float(entry.final["final"]["error_rate"]) for entry in scored]
    cost = float(np.mean([cost_of(entry, x) for entry in scored]))
    ends = mean_interval(errors) or comparison.interval(scored[0].final["final"])
    return Point(method, scored, cost, float(np.mean(errors)), *ends)


def draw(points: Sequence[Point], x: str, hidden: set[str]) -> Figure:
    """The figure. One size throughout is a square: most of those are baselines."""
    sides = comparison.all_sides([entry for point in points for entry in point.scored])
    marks = [
        charts.CostPoint(
            point.method.words if len(point.scored) > 1 else point.method.name,
            point.cost, point.error, point.low, point.high,
            size_colour(hw(point.scored[0].seen.recipe.stages[-1].size), sides),
            "circle" if len(point.scored[0].seen.sides) > 1 else "square",
            ring=run_style(point.method.style)[0], about=point.about, seeds=_seeds(point, x),
            hidden=all(entry.run.id in hidden for entry in point.method.entries),
        )
        for point in points
    ]  # fmt: skip
    return charts.error_against_cost(marks, x, _fronts(points))


def _seeds(point: Point, x: str) -> tuple[tuple[float, float], ...]:
    if len(point.scored) < 2:
        return ()
    return tuple((cost_of(e, x), float(e.final["final"]["error_rate"])) for e in point.scored)


def _fronts(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    """Stairs through the points of each front."""
    found: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        if point.front is not None:
            found.setdefault(point.front, []).append((point.cost, point.error))
    return [sorted(front) for front in found.values()]


def _words(methods: Sequence[Method], points: Sequence[Point], x: str, sets: Sets) -> str:
    there = {point.method.group.key for point in points}
    lost = [m.name for m in methods if m.group.key not in there]
    said = ["Lower and further left is better. Bars are 95 % intervals: over seeds (t) where a "
            "method has several, over images (Wilson) where it has one run; squares trained at "
            "one size."]  # fmt: skip
    on = [point.method.name for point in points if point.front is not None]
    if on:
        said.append(
            f"The dotted line is the Pareto front, the best bargains: {plain('; '.join(on))}. "
            "Nothing that they may be compared with is better in both. The line does not know "
            "about luck; the bars do."
        )
    if len(sets) > 1:
        said.append("Runs of different data have fronts of their own.")
    if lost:
        why = "not scored yet" if x in ("time", "pixels") else f"not scored, or {COSTS[x]} unknown"
        said.append(f"**Not drawn: {plain(', '.join(lost))}** ({why}).")
    return " ".join(said)


def numbers(points: Sequence[Point], x: str) -> pd.DataFrame:
    """A row a method, as drawn; costs in whole units."""
    return pd.DataFrame(
        [
            {
                "method": point.method.name,
                "runs": " ".join(entry.run.id for entry in point.scored),
                "n": len(point.scored),
                "error %": 100 * point.error,
                "95 % from": comparison.in_percent(point.low),
                "to": comparison.in_percent(point.high),
                "interval": "over seeds (t)" if len(point.scored) > 1 else "over images (Wilson)",
                **({"time": fmt.minutes(point.cost)} if x == "time" else {}),
                {"time": "seconds"}.get(x, x): point.cost,
                "on the front": point.front is not None,
            }
            for point in points
        ]
    )
