"""Charts as plain Plotly dicts: pure functions, no Streamlit. Draw them with live_chart.live_chart.

    axis = charts.Axis.of(plan, "epoch")
    live_chart(charts.live_curves(epochs, steps, axis, "loss"), key="watch.loss", height=320)

Every figure carries its own text alternative: charts.describe(figure).
"""

from lab.ui.charts.axis import Axis, Band
from lab.ui.charts.base import describe
from lab.ui.charts.curves import compare_curves, live_curves
from lab.ui.charts.results import (
    CostPoint,
    class_counts,
    drawn_counts,
    error_against_cost,
    heat_map,
    probability_bars,
)
from lab.ui.charts.timeline import key_words, timeline

__all__ = [
    "Axis",
    "Band",
    "CostPoint",
    "class_counts",
    "compare_curves",
    "describe",
    "drawn_counts",
    "error_against_cost",
    "heat_map",
    "key_words",
    "live_curves",
    "probability_bars",
    "timeline",
]
