"""The learning-rate finder's curve: loss against rate, with what it suggests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lab.ui import format as fmt
from lab.ui.charts.base import Figure, figure
from lab.ui.palette import NEUTRAL, RUN_COLOURS, band_fill

SUGGESTIONS = ("valley", "minimum", "steep", "slide")
_LINE = RUN_COLOURS[0]
_MARKS = {  # colour and symbol: colour is never the only cue
    "valley": (RUN_COLOURS[1], "diamond"),
    "minimum": (RUN_COLOURS[2], "square"),
    "steep": (RUN_COLOURS[3], "triangle-up"),
    "slide": (RUN_COLOURS[4], "circle"),
}
_SAME = 0.02  # decades: suggestions this near share one step, and one label
_PLACES = ("top right", "bottom left")  # clear of a falling curve


def rate_curve(found: Mapping[str, Any], now: float | None = None) -> Figure:
    """What the finder found (lrs, losses, smooth, valley ...), and the rate that is set now."""
    lrs, smooth = found["lrs"], _numbers(found["smooth"])
    low, high = _range(smooth)
    shapes, notes = ([], []) if now is None else _now(now)
    ends = [math.log10(min(lrs)), math.log10(max(lrs))]
    if now is not None:
        ends = [min(ends[0], math.log10(now)), max(ends[1], math.log10(now))]
    hover = "rate %{x:.2e}, loss %{y:.3f}<extra></extra>"
    return figure(
        [
            {"type": "scatter", "mode": "lines", "x": lrs, "y": _numbers(found["losses"]),
             "line": {"color": band_fill(_LINE, 0.5), "width": 1}, "hoverinfo": "skip"},
            {"type": "scatter", "mode": "lines", "x": lrs, "y": smooth,
             "line": {"color": _LINE, "width": 3}, "hovertemplate": hover},
            *_marks(found, lrs, smooth),
        ],
        _words(found, smooth),
        shapes=shapes,
        annotations=notes,
        xaxis={
            "type": "log", "title": {"text": "learning rate"}, "tick0": -7, "dtick": 2,
            "tickformat": ".0e", "exponentformat": "e", "zeroline": False,
            "range": [ends[0] - 0.1, ends[1] + 0.3],
        },
        yaxis={"title": {"text": "loss"}, "range": [low, high], "zeroline": False, "nticks": 6},
        margin={"l": 56, "r": 12, "t": 26, "b": 44},
    )  # fmt: skip


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values], dtype=float)


def _range(smooth: np.ndarray) -> tuple[float, float]:
    """As far above the first loss as the lowest lies below it; the blow-up leaves at the top."""
    known = smooth[np.isfinite(smooth)]
    if not len(known):
        return 0.0, 1.0
    first, least = float(known[0]), float(known.min())
    fall = max(first - least, 0.05 * abs(first), 1e-6)
    return least - 0.6 * fall, first + 0.8 * fall


def _marks(
    found: Mapping[str, Any], lrs: Sequence[float], smooth: np.ndarray
) -> list[dict[str, Any]]:
    """A marker per suggestion, on the smoothed curve; those of one step share a label."""
    known = [(found[name], name) for name in SUGGESTIONS if found.get(name)]
    finite = np.isfinite(smooth)
    x, y = np.log10(lrs)[finite], smooth[finite]
    traces, before, place = [], -math.inf, 0
    for rate, name in sorted(known):
        at = math.log10(rate)
        together = [other for value, other in known if abs(math.log10(value) - at) < _SAME]
        shown = ", ".join(together) if at - before >= _SAME else ""
        place += bool(shown)
        before = at
        colour, symbol = _MARKS[name]
        traces.append({
            "type": "scatter", "mode": "markers+text", "x": [rate],
            "y": [float(np.interp(at, x, y))], "text": [shown], "cliponaxis": False,
            "textposition": _PLACES[(place - 1) % 2],
            "marker": {"color": colour, "symbol": symbol, "size": 12,
                       "line": {"width": 1.5, "color": "#ffffff"}},
            "hovertemplate": f"{name} {fmt.rate(rate)}<extra></extra>",
        })  # fmt: skip
    return traces


def _now(rate: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A dotted line at the rate that the stage has now."""
    line = {"color": NEUTRAL, "width": 1.5, "dash": "dot"}
    place = {"x0": rate, "x1": rate, "y0": 0, "y1": 1, "yref": "paper"}
    text = {"text": f"now {fmt.rate(rate)}", "x": math.log10(rate), "y": 1, "yref": "paper"}
    quiet = {"showarrow": False, "yanchor": "bottom", "font": {"size": 12}}
    return [{"type": "line", "line": line, **place}], [{**text, **quiet}]


def _words(found: Mapping[str, Any], smooth: np.ndarray) -> str:
    lrs = found["lrs"]
    said = [f"{name} {fmt.rate(found[name])}" for name in SUGGESTIONS if found.get(name)]
    span = f"Loss against learning rate, {fmt.rate(min(lrs))} to {fmt.rate(max(lrs))}."
    known = np.flatnonzero(np.isfinite(smooth))
    if not len(known):
        return f"{span} No loss has a value."
    least = known[int(np.argmin(smooth[known]))]
    fall = (
        f"Smoothed, it begins at {fmt.decimal(float(smooth[known[0]]))} and is lowest, "
        f"{fmt.decimal(float(smooth[least]))}, at {fmt.rate(lrs[least])}."
    )
    return f"{span} {fall} Suggested: {', '.join(said) or 'nothing'}."
