"""A Plotly chart that keeps its node, zoom and tooltip while its numbers grow.

    live_chart(figure, key="watch.loss", height=320)
    point = live_chart(confusion_map(...), key="mistakes.map", clickable=True)  # the click or None

`st.plotly_chart` is rebuilt at every change inside a timed fragment (Streamlit 1.67, PR #16052): a
zoom is gone at the next tick. Use it nowhere; one component also means one Plotly.js and one look.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from lab.ui.assets import plotly_path


def live_chart(
    figure: dict[str, Any],
    key: str,
    height: int = 320,
    *,
    alt: str = "",
    clickable: bool = False,
) -> dict[str, Any] | None:
    """Draw a figure dict ({data, layout}) at full width.

    `alt` defaults to the figure's own (charts.describe). A clickable chart returns what was clicked
    in the run that the click causes: {"x", "y", "curve", "point", "customdata"}; else None.
    Values may be numpy arrays, lists or pandas columns; what is not finite becomes a gap.
    """
    layout = figure.get("layout", {})
    data = {
        "figure": plain({"data": figure.get("data", []), "layout": layout}),
        "height": height,
        "alt": alt or layout.get("meta", {}).get("alt", "Chart"),
        "script": plotly_path(),
        "key": key,
        "clickable": clickable,
    }
    result = _component()(key=key, data=data, on_clicked_change=_nothing)
    return result.clicked if clickable else None


def plain(value: Any) -> Any:
    """JSON values: arrays to lists, seven significant digits, None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value


def _nothing() -> None:
    """Streamlit wants a callback for each value that comes back."""


@functools.cache
def _component() -> Callable[..., Any]:
    """Registered at the first use: importing this module does nothing."""
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return st.components.v2.component("lab_live_chart", js=script, css=_CSS, isolate_styles=False)


# Global class names, as Plotly's own styles are global: its tooltip and drag layers do not find
# their rules inside a shadow root.
_CSS = """
.lab-chart { position: relative; width: 100%; min-width: 0; }
.lab-chart-plot { width: 100%; overflow: hidden; }
.lab-chart-plot.lab-chart-clickable .nsewdrag { cursor: pointer; }
.lab-chart-plot text { font-variant-numeric: tabular-nums; }
.lab-chart-note { padding: 1rem; color: var(--st-text-color); font-family: var(--st-font); }
.lab-chart-reset {
  position: absolute; right: 16px; bottom: 4px; padding: 2px 10px; cursor: pointer;
  font: 0.8rem var(--st-font); color: var(--st-text-color);
  background: var(--st-secondary-background-color);
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius);
}
.lab-chart-reset[hidden] { display: none; }
.lab-chart-reset:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
"""
