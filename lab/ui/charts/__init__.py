"""Charts as plain Plotly dicts: pure functions, no Streamlit. Draw them with live_chart.live_chart.

    axis = charts.Axis.of(plan, "epoch")
    live_chart(charts.live_curves(epochs, steps, axis, "loss"), key="watch.loss", height=320)

Every figure carries its own text alternative: charts.describe(figure).
"""

from lab.ui.charts.axis import Axis, Band
from lab.ui.charts.base import describe
from lab.ui.charts.cost import CostPoint, error_against_cost
from lab.ui.charts.curves import live_curves
from lab.ui.charts.method_curves import Curve, SeedBand, Strip, method_curves
from lab.ui.charts.results import class_counts, drawn_counts, probability_bars
from lab.ui.charts.timeline import key_words, timeline

__all__ = [
    "Axis",
    "Band",
    "CostPoint",
    "Curve",
    "SeedBand",
    "Strip",
    "class_counts",
    "describe",
    "drawn_counts",
    "error_against_cost",
    "key_words",
    "live_curves",
    "method_curves",
    "probability_bars",
    "timeline",
]
