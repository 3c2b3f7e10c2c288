"""Errors by epoch with their intervals: which one looks best, which one is last, what tests say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.ui import format as fmt
from lab.ui.charts.base import Figure, figure, legend_above
from lab.ui.palette import BAD, NEUTRAL, RUN_COLOURS


@dataclass(frozen=True)
class EpochMark:
    """One epoch, from 1; error rates and their 95 % interval as fractions."""

    number: int
    error: float
    low: float
    high: float
    colour: str = NEUTRAL  # of its size
    label: str = ""  # its size in words
    test: float | None = None  # error rate on the locked test part
    chosen_from: bool = True


def epoch_errors(marks: Sequence[EpochMark], best: int, last: int) -> Figure:
    """`best` and `last` are epoch numbers: a ring and a square, each with its word beside it."""
    data = [_errors(marks)]
    if any(mark.test is not None for mark in marks):
        data.append(_tests(marks))
    by_number = {mark.number: mark for mark in marks}
    if best != last:
        data.append(_ring(by_number[best], "looks best", "circle-open"))
    data.append(_ring(by_number[last], "last and best" if best == last else "last", "square-open"))
    top = max(mark.high for mark in marks)
    tested = by_number[best].test
    on_test = "" if tested is None else f" On the locked test part: {fmt.percent(tested)}."
    words = (
        f"Validation error by epoch with 95 % intervals. Looks best: epoch {best}, "
        f"{fmt.percent(by_number[best].error)}. Last: epoch {last}, "
        f"{fmt.percent(by_number[last].error)}.{on_test}"
    )
    return figure(
        data,
        words,
        revision=f"{len(marks)}",
        xaxis={
            "title": {"text": "epoch"}, "showgrid": False, "zeroline": False,
            "range": [0.4, len(marks) + 0.6], "dtick": max(1, round(len(marks) / 10)), "tick0": 1,
        },
        yaxis={"title": {"text": "error rate"}, "ticksuffix": " %", "range": [0, 104 * top]},
        showlegend=True,
        legend=legend_above(),
        margin={"l": 56, "r": 12, "t": 44, "b": 44},
    )  # fmt: skip


def _errors(marks: Sequence[EpochMark]) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines+markers", "name": "validation, 95 % interval",
        "x": [mark.number for mark in marks], "y": [100 * mark.error for mark in marks],
        "line": {"color": NEUTRAL, "width": 1.5},
        "marker": {
            "size": 9, "color": [mark.colour for mark in marks],
            "opacity": [1.0 if mark.chosen_from else 0.55 for mark in marks],
        },
        "error_y": {
            "type": "data", "symmetric": False, "thickness": 1.2, "width": 3, "color": NEUTRAL,
            "array": [100 * (mark.high - mark.error) for mark in marks],
            "arrayminus": [100 * (mark.error - mark.low) for mark in marks],
        },
        "customdata": [_hover(mark) for mark in marks],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip


def _tests(marks: Sequence[EpochMark]) -> dict[str, Any]:
    known = [mark for mark in marks if mark.test is not None]
    return {
        "type": "scatter", "mode": "lines+markers", "name": "locked test part",
        "x": [mark.number for mark in known], "y": [100 * (mark.test or 0) for mark in known],
        "line": {"color": RUN_COLOURS[0], "width": 2, "dash": "dot"},
        "marker": {"size": 7, "color": RUN_COLOURS[0], "symbol": "diamond"},
        "hovertemplate": "epoch %{x}, test: %{y:.1f} %<extra></extra>",
    }  # fmt: skip


def _ring(mark: EpochMark, words: str, symbol: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": words, "x": [mark.number],
        "y": [100 * mark.error], "hoverinfo": "skip",
        "marker": {"size": 18, "symbol": symbol, "color": BAD, "line": {"width": 2.5}},
    }  # fmt: skip


def _hover(mark: EpochMark) -> str:
    between = f"{fmt.percent(mark.low)} to {fmt.percent(mark.high)}"
    size = f", {mark.label}" if mark.label else ""
    return f"<b>epoch {mark.number}{size}</b><br>{fmt.percent(mark.error)} errors ({between})"
