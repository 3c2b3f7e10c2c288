"""What test-time augmentation wins as views are added: a curve with its interval.

live_chart(gain_curve(gains, seconds_a_view), key="inspect.gain")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.ui import format as fmt
from lab.ui.charts.base import Figure, figure
from lab.ui.palette import RUN_COLOURS, band_fill


def gain_curve(gains: Sequence[dict[str, Any]], seconds_a_view: float | None = None) -> Figure:
    """`gains` as lab.analysis.tta.gain_by_views gives them; fewer errors are above zero."""
    colour, x = RUN_COLOURS[0], [gain["views"] for gain in gains]
    low, high = ([100 * gain[end] for gain in gains] for end in ("low", "high"))
    band = {
        "type": "scatter", "x": [*x, *x[::-1]], "y": [*high, *low[::-1]], "fill": "toself",
        "fillcolor": band_fill(colour), "line": {"width": 0}, "hoverinfo": "skip", "mode": "lines",
    }  # fmt: skip
    line = {
        "type": "scatter", "mode": "lines+markers", "x": x,
        "y": [100 * gain["gain"] for gain in gains],
        "line": {"color": colour, "width": 2}, "marker": {"size": 7},
        "customdata": [_hover(gain, seconds_a_view) for gain in gains],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    if len(x) == 1:  # a band of one point is not seen
        y = line["y"][0]
        bars = {"type": "data", "symmetric": False, "array": [high[0] - y],
                "arrayminus": [y - low[0]], "color": colour}  # fmt: skip
        line, band = {**line, "error_y": bars}, {**band, "visible": False}
    zero = {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": 0, "y1": 0,
            "line": {"width": 1, "dash": "dot", "color": "#7d858f"}}  # fmt: skip
    ticks = {"tickmode": "array", "tickvals": x} if len(x) <= 16 else {}
    return figure(
        [band, line],
        " ".join(_words(gain) for gain in gains) or "No views are stored.",
        shapes=[zero],
        xaxis={"title": {"text": "views averaged"}, "zeroline": False, **ticks},
        yaxis={"title": {"text": "fewer errors (points)"}, "zeroline": False},
        margin={"l": 60, "r": 12, "t": 10, "b": 44},
    )


def _words(gain: dict[str, Any]) -> str:
    between = f"{fmt.points(gain['low'])} to {fmt.points(gain['high'])}"
    return f"{gain['views']} views: error lower by {fmt.points(gain['gain'])} ({between})."


def _hover(gain: dict[str, Any], seconds: float | None) -> str:
    words = [
        f"<b>{gain['views']} views</b>",
        f"error lower by {fmt.points(gain['gain'])}",
        f"95 %: {fmt.points(gain['low'])} to {fmt.points(gain['high'])}",
        f"log loss lower by {fmt.decimal(gain['loss_gain'])}",
        f"corrected {gain['corrected']}, corrupted {gain['corrupted']}",
    ]
    if seconds:
        words.append(f"{fmt.decimal(seconds * gain['views'], 1)} s for the views")
    return "<br>".join(words)
