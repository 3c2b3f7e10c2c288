"""Curves of several methods: lines, seeds as a band, and below them who used which size when.

    figure = method_curves(curves, bands, strips, x="pixels", y="error", log_y=False)

What is hidden is left out of the picture and of nothing else: axes, colours and rows stay, because
they are made from all that was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lab.analysis.curves import thin
from lab.ui.charts.axis import TITLES, CostAxis, axis_layout, plotted
from lab.ui.charts.base import Figure, figure, safe
from lab.ui.palette import band_fill, run_style

# What can be drawn: title, factor, suffix.
MEASURES = {
    "error": ("error rate", 100.0, " %"),
    "valid_loss": ("validation loss", 1.0, ""),
    "train_loss": ("training loss", 1.0, ""),
    "lr": ("learning rate", 1.0, ""),
    "size": ("size (px)", 1.0, ""),
}
MOST_POINTS = 8_000  # of all lines together: what a phone draws at once
ROW_PX, GAP_PX = 9, 10  # a strip, and the room between strips and curves
MOST_MARKS = 600  # more marks than this hide the lines


@dataclass(frozen=True)
class Curve:
    """One run. table: columns x, value, smooth (analysis.run_curves.curve)."""

    name: str
    method: str
    style: int
    table: pd.DataFrame
    hidden: bool = False
    faint: bool = False  # lies under its method's band
    colours: tuple[str, ...] = ()  # of the size at each point; () draws no marks
    published: bool = False


@dataclass(frozen=True)
class SeedBand:
    """A method's seeds. table: columns x, mean, low, high (analysis.run_curves.seed_band)."""

    method: str
    style: int
    table: pd.DataFrame
    words: str  # "mean of 3, smallest to largest"
    colours: tuple[str, ...] = ()


@dataclass(frozen=True)
class Strip:
    """The sizes of a method along the axis: blocks of (from, to, label, colour)."""

    method: str
    style: int
    blocks: tuple[tuple[float, float, str, str], ...]
    hidden: bool = False


def method_curves(
    curves: Sequence[Curve],
    bands: Sequence[SeedBand],
    strips: Sequence[Strip],
    x: CostAxis,
    y: str,
    *,
    log_y: bool = False,
    height_px: int = 400,
) -> Figure:
    """All at once; hidden curves count for the axes only."""
    title, factor, suffix = MEASURES[y]
    shown = [curve for curve in curves if not curve.hidden]
    most = max(120, MOST_POINTS // max(len(shown) + len(bands), 1))
    named: set[str] = set()
    data = [
        *(trace for curve in shown for trace in _raw(curve, x, factor, most)),
        *(trace for band in bands for trace in _band(band, x, factor, most)),
        *(_line(curve, x, y, most, len(shown), named) for curve in shown if curve.faint),
        *(_line(curve, x, y, most, len(shown), named) for curve in shown if not curve.faint),
        *(_mean(band, x, y, most, named) for band in bands),
        *_blocks(strips, x),
    ]
    end = max((float(c.table["x"].max()) for c in curves if len(c.table)), default=1.0) or 1.0
    share = (ROW_PX * len(strips) + GAP_PX) / height_px if strips else 0.0
    return figure(
        data,
        _words(shown, bands, x, y),
        revision=f"{x}-{y}-{log_y}",
        hovermode="closest",
        bargap=0.25,
        xaxis={**axis_layout(x, end), "anchor": "y2" if strips else "y",
               "range": [0, float(plotted(x, end * 1.015))]},
        yaxis={"title": {"text": title}, "ticksuffix": suffix, "domain": [share, 1],
               **_scale(curves, y, factor, log_y)},
        **({"yaxis2": _rows(strips, share)} if strips else {}),
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        margin={"l": 62, "r": 12, "t": 12, "b": 44},
    )  # fmt: skip


def _points(table: pd.DataFrame, most: int) -> pd.DataFrame:
    return thin(table, most) if len(table) > most else table


def _raw(curve: Curve, x: CostAxis, factor: float, most: int) -> list[dict[str, Any]]:
    """The curve before smoothing, faint; nothing where smoothing changed nothing."""
    table = curve.table
    if curve.faint or np.allclose(table["value"], table["smooth"], equal_nan=True):
        return []
    kept = _points(table, most)
    return [{
        "type": "scatter", "mode": "lines", "x": plotted(x, kept["x"]),
        "y": kept["value"].to_numpy() * factor, "hoverinfo": "skip", "showlegend": False,
        "line": {"color": band_fill(run_style(curve.style)[0], 0.28), "width": 1},
    }]  # fmt: skip


def _line(
    curve: Curve, x: CostAxis, y: str, most: int, lines: int, named: set[str]
) -> dict[str, Any]:
    colour, dash = run_style(curve.style)
    factor, suffix = MEASURES[y][1:]
    marks = len(curve.colours) == len(curve.table) and not curve.faint
    marks = marks and len(curve.table) * lines <= MOST_MARKS
    kept = curve.table if marks else _points(curve.table, most)
    hover = "%{y:.2e}" if y == "lr" else f"%{{y:.3~f}}{suffix}"
    trace = {
        "type": "scatter", "mode": "lines+markers" if marks else "lines",
        "x": plotted(x, kept["x"]), "y": kept["smooth"].to_numpy() * factor,
        "name": safe(curve.method, 40), "legendgroup": safe(curve.method),
        "showlegend": not curve.faint and _first(curve.method, named),
        "line": {"color": band_fill(colour, 0.4) if curve.faint else colour, "dash": dash,
                 "width": 1 if curve.faint else 2, "shape": "vh" if y == "size" else "linear"},
        "hovertemplate": f"{safe(curve.name, 60)}<br>{hover}<extra></extra>",
    }  # fmt: skip
    if marks:
        size = 9 if lines <= 6 else 6
        trace["marker"] = {
            "size": size, "color": list(curve.colours), "line": {"color": colour, "width": 2},
            "symbol": "diamond" if curve.published else "circle",
        }  # fmt: skip
    return trace


def _band(band: SeedBand, x: CostAxis, factor: float, most: int) -> list[dict[str, Any]]:
    """Two edges with a fill between them; they answer to no mouse."""
    kept = _points(band.table, most)
    colour = run_style(band.style)[0]
    quiet = {"hoverinfo": "skip", "showlegend": False, "line": {"width": 0}}
    return [
        {"type": "scatter", "mode": "lines", "x": plotted(x, kept["x"]),
         "y": kept[edge].to_numpy() * factor, **quiet, **fill}
        for edge, fill in (
            ("low", {}),
            ("high", {"fill": "tonexty", "fillcolor": band_fill(colour, 0.16)}),
        )
    ]  # fmt: skip


def _mean(band: SeedBand, x: CostAxis, y: str, most: int, named: set[str]) -> dict[str, Any]:
    mean = band.table.rename(columns={"mean": "smooth"})
    name = f"{band.method}: {band.words}"
    curve = Curve(name, band.method, band.style, mean, colours=band.colours)
    return _line(curve, x, y, most, 1, named)


def _first(method: str, named: set[str]) -> bool:
    """Whether the legend does not have this method yet."""
    new = method not in named
    named.add(method)
    return new


def _blocks(strips: Sequence[Strip], x: CostAxis) -> list[dict[str, Any]]:
    """A row a method: its sizes along the axis, in their colours."""
    found = []
    for row, strip in enumerate(strips):
        blocks = () if strip.hidden else strip.blocks
        if not blocks:
            continue
        lengths = [float(plotted(x, end - start)) for start, end, _, _ in blocks]
        found.append({
            "type": "bar", "orientation": "h", "yaxis": "y2", "showlegend": False,
            "y": [row] * len(blocks), "x": lengths, "width": 0.75,
            "base": [float(plotted(x, start)) for start, *_ in blocks],
            "marker": {"color": [colour for *_, colour in blocks], "line": {"width": 0}},
            "customdata": [f"{safe(strip.method, 40)}: {label}" for _, _, label, _ in blocks],
            "hovertemplate": "%{customdata}<extra></extra>",
        })  # fmt: skip
    return found


def _rows(strips: Sequence[Strip], share: float) -> dict[str, Any]:
    """The axis of the strips: a stroke in the method's colour stands before each row."""
    strokes = [f'<span style="color:{run_style(strip.style)[0]}">━━</span>' for strip in strips]
    return {
        "domain": [0, share * ROW_PX * len(strips) / (ROW_PX * len(strips) + GAP_PX)],
        "range": [len(strips) - 0.5, -0.5], "tickmode": "array", "ticks": "",
        "tickvals": list(range(len(strips))), "ticktext": strokes, "tickfont": {"size": 11},
        "showgrid": False, "zeroline": False, "fixedrange": True, "ticklabelstandoff": 2,
    }  # fmt: skip


def _scale(curves: Sequence[Curve], y: str, factor: float, log_y: bool) -> dict[str, Any]:
    """A range that holds every chosen run, drawn or hidden; wild single steps may leave it."""
    parts = [_ends(curve.table) for curve in curves if len(curve.table)]
    values = np.concatenate(parts) * factor if parts else np.array([])
    values = values[np.isfinite(values) & ((values > 0) | (not log_y))]
    style: dict[str, Any] = {"type": "log"} if log_y else {}
    if y == "lr":
        style |= {"tickformat": ".0e", "exponentformat": "e"}
    if not len(values):
        return style
    low, high = float(values.min()), float(values.max())
    if log_y:
        low, high = np.log10(low), np.log10(high)
    elif y in ("error", "lr", "size"):
        low = 0.0
    room = 0.05 * ((high - low) or 1.0)
    return {**style, "range": [low - (room if low or log_y else 0.0), high + room]}


def _ends(table: pd.DataFrame) -> np.ndarray:
    """The smoothed curve, and where all but one in a hundred of the raw values lie."""
    raw = table["value"].to_numpy(dtype=float)
    raw = raw[np.isfinite(raw)]
    within = np.quantile(raw, [0.005, 0.995]) if len(raw) else []
    return np.concatenate([table["smooth"].to_numpy(dtype=float), within])


def _words(curves: Sequence[Curve], bands: Sequence[SeedBand], x: CostAxis, y: str) -> str:
    title, factor, suffix = MEASURES[y]
    ends = [(band.method, band.table["mean"], band.words) for band in bands if len(band.table)] + [
        (curve.name, curve.table["smooth"], "") for curve in curves if not curve.faint
    ]
    said = [
        f"{name}{f' ({words})' if words else ''}: "
        + (f"{values.iloc[-1] * factor:.3g}{suffix}" if len(values) else "nothing yet")
        for name, values, words in ends
    ]
    return f"{title.capitalize()} against {TITLES[x]}, last values: {'; '.join(said) or 'no runs'}."
