"""Members and their combinations on the locked part: error rates with intervals, one below another.

live_chart(ensemble_errors(found), key="ensembles.chart", height=errors_height(found))
"""

from __future__ import annotations

from lab.analysis.ensembles import MEMBER, Ensemble, Row
from lab.ui import format as fmt
from lab.ui.charts.base import Figure, figure, safe
from lab.ui.palette import NEUTRAL, RUN_COLOURS

_COLOURS = {True: NEUTRAL, False: RUN_COLOURS[0]}  # members, combinations
_SYMBOLS = {True: "circle", False: "diamond"}


def errors_height(found: Ensemble) -> int:
    """Pixels that all rows need."""
    return 64 + 34 * len(found.rows)


def ensemble_errors(found: Ensemble) -> Figure:
    """A row each: circles are members, diamonds combinations, the line is the best member."""
    rows, member = found.rows, [row.kind == MEMBER for row in found.rows]
    trace = {
        "type": "scatter", "mode": "markers", "x": [100 * row.error for row in rows],
        "y": list(range(len(rows))),
        "marker": {"size": 12, "color": [_COLOURS[one] for one in member],
                   "symbol": [_SYMBOLS[one] for one in member]},
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 5, "color": NEUTRAL,
            "array": [100 * (row.high - row.error) for row in rows],
            "arrayminus": [100 * (row.error - row.low) for row in rows],
        },
        "customdata": [_hover(row) for row in rows],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    names = [
        f"<b>{safe(r.name, 22)}</b>" if r.run == found.best else safe(r.name, 22) for r in rows
    ]
    spoken = ", ".join(f"{row.name} {fmt.percent(row.error)}" for row in rows)
    return figure(
        [trace],
        f"Error rate on {found.n_locked} locked images: {spoken}.",
        shapes=_best_line(found),
        xaxis={"title": {"text": "error rate on the locked part"}, "ticksuffix": " %",
               "zeroline": False},
        yaxis={"tickmode": "array", "tickvals": list(range(len(rows))), "ticktext": names,
               "range": [len(rows) - 0.5, -0.5], "showgrid": False, "zeroline": False,
               "automargin": True, "fixedrange": True, "ticks": ""},
        margin={"l": 8, "r": 16, "t": 8, "b": 48},
    )  # fmt: skip


def _hover(row: Row) -> str:
    between = f"{fmt.percent(row.low)} to {fmt.percent(row.high)}"
    return f"<b>{safe(row.name)}</b><br>{fmt.percent(row.error)} wrong ({between})"


def _best_line(found: Ensemble) -> list[dict[str, object]]:
    best = next(row.error for row in found.rows if row.run == found.best)
    line = {"color": NEUTRAL, "width": 1.5, "dash": "dot"}
    place = {"x0": 100 * best, "x1": 100 * best, "y0": 0, "y1": 1, "yref": "paper"}
    return [{"type": "line", "layer": "below", "line": line, **place}]
