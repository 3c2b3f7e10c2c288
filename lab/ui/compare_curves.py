"""Compare, Curves: every chosen run along epochs, steps, time, pixels or FLOPs.

    panel(methods, published, hidden)

A training loss or rate of every step is smoothed over all steps first and thinned afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from lab.analysis.curves import SMOOTHING
from lab.analysis.run_curves import BY_STEP
from lab.ui.chart_files import chart_files
from lab.ui.charts.axis import TITLES
from lab.ui.charts.method_curves import MEASURES
from lab.ui.compare_lines import (
    Line,
    Published,
    View,
    by_method,
    draw,
    lines_of,
    numbers,
    table_of,
)
from lab.ui.comparison import Method
from lab.ui.live_chart import live_chart
from lab.ui.messages import plain

AXES = {"epoch": "epochs", "step": "steps", "time": "time", "pixels": "pixels", "flops": "FLOPs"}
MEASURE_WORDS = {
    "error": "error",
    "valid_loss": "valid loss",
    "train_loss": "train loss",
    "lr": "rate",  # the title of the axis says that it is the learning rate
    "size": "size",
}
SEEDS = {"range": "mean, min to max", "t": "mean, 95 % t interval", "each": "every run"}
MISSING = {
    "flops": "operations were not counted (runs of an older lab, or published ones)",
    "time": "times were not published",
    "step": "steps were not published",
    "pixels": "pixels are not known",
}


def panel(methods: Sequence[Method], published: Published, hidden: set[str]) -> None:
    """Controls, the chart, what it leaves out, and its numbers to take home."""
    lines = lines_of(methods, published)
    view = _controls(any(method.n > 1 for method in methods))
    tables = {line.id: table_of(line, view) for line in lines}
    figure = draw(lines, tables, view, hidden)
    live_chart(figure, key="compare.curves", height=440)
    title = f"{MEASURES[view.y][0].capitalize()} against {TITLES[view.x]}"
    chart_files(
        "compare.curves", f"{view.y}-by-{view.x}", title,
        lambda: numbers(lines, tables, view), _words(lines, tables, view),
    )  # fmt: skip


def _controls(several_seeds: bool) -> View:
    left, right = st.columns([47, 53], gap="small")
    with left:
        x = st.segmented_control(
            "Along", list(AXES), format_func=AXES.get, key="compare.x", default="epoch",
            bind="query-params", required=True, wrap=True,
        )  # fmt: skip
    with right:
        y = st.segmented_control(
            "Curve", list(MEASURE_WORDS), format_func=MEASURE_WORDS.get, key="compare.y",
            default="error", bind="query-params", required=True, wrap=True,
        )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        smoothing = _smoothing(y)
        seeds = "each"
        if several_seeds:
            seeds = st.selectbox(
                "Seeds of a method as", list(SEEDS), format_func=SEEDS.get, key="compare.seeds",
                bind="query-params", width=220,
                help="The band is over seeds. Two seeds make a very wide t interval: with so few, "
                "little is known about the next one.",
            )  # fmt: skip
        log_y = st.toggle("Log scale", key="compare.log_y", bind="query-params")
        sizes = st.toggle("Show sizes", value=True, key="compare.sizes",
                          bind="query-params")  # fmt: skip
    return View(x, y, smoothing, log_y, seeds, sizes)


def _smoothing(y: str) -> float:
    """Steps are many and noisy, epochs few: each has a slider of its own."""
    if y in ("lr", "size"):
        return 0.0
    words = "Share of the past in the running mean. It is computed over all points, before any are "
    words += "left out of the picture; the raw curve stays visible, faintly."
    key, usual = ("compare.smooth", SMOOTHING) if y in BY_STEP else ("compare.smooth_epochs", 0.0)
    return st.slider(
        "Smoothing", 0.0, 0.99, usual, 0.01, key=key, bind="query-params", help=words, width=220
    )


def _words(lines: Sequence[Line], tables: dict[str, pd.DataFrame], view: View) -> str:
    """What one sees, and what is not in the picture, as Markdown."""
    said = []
    lost = [line.name for line in lines if len(line.epochs) and not len(tables[line.id])]
    if lost:
        why = MISSING.get(view.x, "values are not known")
        names = ", ".join(lost[:4]) + (f" and {len(lost) - 4} more" if len(lost) > 4 else "")
        said.append(f"**Not drawn: {plain(names)}.** Their {why}.")
    if view.y == "error":
        said.append("Errors on the way are at each epoch's own size; final scores are not.")
    if view.y in ("error", "valid_loss"):
        said.append("The filling of a mark is the size of that epoch.")
    if (
        view.seeds != "each"
        and view.y != "size"
        and any(len(own) > 1 for _, own in by_method(lines))
    ):
        said.append("Every seed is drawn faintly; the mean goes as far as all of them have come.")
    said.append("Press a name above to hide it: numbers, colours and axes stay.")
    return " ".join(said)
