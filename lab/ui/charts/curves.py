"""Curves of one run while it trains."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from lab.ui import format as fmt
from lab.ui.charts.axis import (
    Axis,
    band_labels,
    band_shapes,
    plotted,
    stretches,
)
from lab.ui.charts.base import Figure, figure, legend_above, safe, smooth, thin
from lab.ui.palette import NEUTRAL, RUN_COLOURS, band_fill, side_px

What = Literal["loss", "error", "lr", "size"]
TRAIN, VALID = RUN_COLOURS[0], RUN_COLOURS[1]


def live_curves(
    epochs: pd.DataFrame,
    steps: pd.DataFrame,
    axis: Axis,
    what: What,
    *,
    smoothing: float | None = None,
    log_y: bool = False,
) -> Figure:
    """One run on the whole schedule's axis, its stages behind it.

    epochs: columns of the `epoch` event (global_epoch, valid_loss, error_rate ...).
    steps: columns step (global, from 0), loss, lr; thinned here. Both may be empty.
    smoothing: weight in [0, 1) of the moving average; None: over a fortieth of the schedule.
    """
    draw = {"loss": _loss, "error": _error, "lr": _rate, "size": _sizes}[what]
    if smoothing is None:
        smoothing = 1 - 1 / max(axis.plan.total_steps / 40, 2)
    data, alt = draw(epochs, steps, axis, smoothing)
    titles = {"loss": "loss", "error": "error rate", "lr": "learning rate", "size": "size (px)"}
    y: dict[str, Any] = {"title": {"text": titles[what]}}
    if what == "error":
        y |= {"ticksuffix": " %", "rangemode": "tozero"}
    if what == "lr":
        y |= {"tickformat": ".0e", "exponentformat": "e", "rangemode": "tozero"}
    if what == "size":
        y |= {"rangemode": "tozero"}
    if log_y:
        y |= {"type": "log"}
    several = sum(trace.get("showlegend", True) for trace in data) > 1
    return figure(
        data,
        alt,
        revision=f"{what}-{axis.name}-{log_y}",
        hovermode="x unified",
        shapes=band_shapes(axis.name, axis.bands),
        annotations=band_labels(axis.name, axis.bands),
        xaxis=axis.layout(),
        yaxis=y,
        showlegend=several,
        legend=legend_above(),
        margin={"l": 56, "r": 12, "t": 58 if several else 32, "b": 44},
    )


def _loss(
    epochs: pd.DataFrame, steps: pd.DataFrame, axis: Axis, smoothing: float
) -> tuple[list[dict[str, Any]], str]:
    kept = thin(len(steps))
    x = plotted(axis.name, axis.at_steps(_column(steps, "step")[kept]))
    raw = _column(steps, "loss")
    smoothed = smooth(raw, smoothing)
    faint = {"color": band_fill(TRAIN, 0.45), "width": 1}
    data = [
        _line(x, raw[kept], "training, each step", faint, hoverinfo="skip", showlegend=False),
        _line(x, smoothed[kept], "training, smoothed", {"color": TRAIN, "width": 2}),
        _points(axis, epochs, "valid_loss", 1.0, "validation", "%{y:.3f}"),
    ]
    last = f"training {fmt.decimal(smoothed[-1])}" if len(raw) else "training not started"
    if len(epochs):
        last += f", validation {fmt.decimal(float(epochs['valid_loss'].iloc[-1]))}"
    return data, f"Loss over the schedule, now: {last}. {_progress(epochs, axis)}"


def _error(
    epochs: pd.DataFrame, steps: pd.DataFrame, axis: Axis, smoothing: float
) -> tuple[list[dict[str, Any]], str]:
    data = [_points(axis, epochs, "error_rate", 100.0, "error rate", "%{y:.1f} %")]
    if "second_accuracy" in epochs:
        wrong = epochs.assign(second_error=1 - epochs["second_accuracy"])
        name = safe(epochs.attrs.get("second", "second label"), 24)
        second = _points(axis, wrong, "second_error", 100.0, name, "%{y:.1f} %")
        second["line"] = {"color": RUN_COLOURS[3], "width": 2, "dash": "dot"}
        second["marker"] = {"size": 7, "color": RUN_COLOURS[3], "symbol": "diamond"}
        data.append(second)
    last = fmt.percent(float(epochs["error_rate"].iloc[-1])) if len(epochs) else "none yet"
    return data, f"Validation error rate, now: {last}. {_progress(epochs, axis)}"


def _rate(
    epochs: pd.DataFrame, steps: pd.DataFrame, axis: Axis, smoothing: float
) -> tuple[list[dict[str, Any]], str]:
    planned = thin(axis.plan.total_steps, 600)
    x_planned = plotted(axis.name, axis.at_steps(planned))
    future = {known: _planned_rates(axis, planned, known) for known in (True, False)}
    said = {True: "planned", False: "a guess so far"}
    kept = thin(len(steps))
    done, x = _column(steps, "lr")[kept], axis.at_steps(_column(steps, "step")[kept])
    data = [
        *(_line(x_planned, rates, said[known],
                {"color": NEUTRAL, "width": 1.5, "dash": "dot" if known else "dash"},
                hovertemplate="%{y:.2e}")
          for known, rates in future.items() if np.isfinite(rates).any()),
        _line(plotted(axis.name, x), done, "so far", {"color": TRAIN, "width": 2},
              hovertemplate="%{y:.2e}"),
    ]  # fmt: skip
    now = fmt.rate(float(done[-1])) if len(done) else "not started"
    return data, f"Learning rate of the last parameter group, now: {now}. {_progress(epochs, axis)}"


def _planned_rates(axis: Axis, steps: np.ndarray, known: bool) -> np.ndarray:
    """The plan's rate where it is known (or where it is not), NaN elsewhere."""
    plan = axis.plan
    return np.array([
        plan.lrs(int(step))[-1] if plan.row_at(int(step)).known == known else np.nan
        for step in steps
    ])  # fmt: skip


def _sizes(
    epochs: pd.DataFrame, steps: pd.DataFrame, axis: Axis, smoothing: float
) -> tuple[list[dict[str, Any]], str]:
    found = stretches(axis.plan)
    sides = [side_px((one.height, one.width)) for one in found]
    x = axis.at_steps([one.first - 1 for one in found] + [axis.plan.total_steps - 1])
    line = {"color": NEUTRAL, "width": 2, "shape": "hv"}
    data = [_line(plotted(axis.name, x), [*sides, sides[-1]], "size", line)]
    return data, f"Size of the training pictures over the schedule. {_progress(epochs, axis)}"


def _line(
    x: Any, y: Any, name: str, line: dict[str, Any], hovertemplate: str = "%{y:.3f}", **more: Any
) -> dict[str, Any]:
    trace = {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name, "line": line}
    return trace | ({} if "hoverinfo" in more else {"hovertemplate": hovertemplate}) | more


def _points(
    axis: Axis, epochs: pd.DataFrame, column: str, factor: float, name: str, hover: str
) -> dict[str, Any]:
    """One marker at the end of each epoch, joined."""
    x = axis.at_epochs(_column(epochs, "global_epoch"))
    y = _column(epochs, column) * factor
    trace = _line(plotted(axis.name, x), y, name, {"color": VALID, "width": 2}, hover)
    return trace | {"mode": "lines+markers", "marker": {"size": 7, "color": VALID}}


def _column(table: pd.DataFrame, name: str) -> np.ndarray:
    return table[name].to_numpy(dtype=float) if name in table else np.empty(0)


def _progress(epochs: pd.DataFrame, axis: Axis) -> str:
    return f"{len(epochs)} of {len(axis.ends)} epochs done."
