"""A chart taken home: its numbers as CSV, its picture as PNG or SVG.

    live_chart(figure, key="compare.cost")
    chart_files("compare.cost", "error-against-cost", "Error against time", lambda: table)

The numbers are made when the button is pressed, whole and unthinned; the pictures are made by the
reader's browser from the chart that is shown, so they carry its theme and its zoom.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lab.data.csvsafe import safe_csv

FORMATS = ("PNG", "SVG")


def chart_files(
    chart: str, name: str, title: str, table: Callable[[], pd.DataFrame], words: str = ""
) -> None:
    """CSV, PNG and SVG in a row, then words about the chart.

    chart: the key of its live_chart. name: of the files, without an ending. words: Markdown.
    """
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        csv_button(name, table, key=f"{chart}.csv")
        _component()(
            key=f"{chart}.pictures", width="content",
            data={"chart": chart, "name": name, "title": title, "formats": list(FORMATS)},
        )  # fmt: skip
    if words:
        st.caption(words)


def csv_button(name: str, table: Callable[[], pd.DataFrame], key: str, index: bool = False) -> None:
    """A button that takes a table home."""
    st.download_button(
        "CSV", lambda: safe_csv(table(), index=index), f"{name}.csv", "text/csv", key=key,
        on_click="ignore", icon=":material/download:", type="tertiary",
    )  # fmt: skip


@functools.cache
def _component() -> Callable[..., Any]:
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return st.components.v2.component("lab_chart_files", js=script, css=_CSS)


_CSS = """
.files { display: flex; gap: 2px; align-items: center; white-space: nowrap; }
.files button { border: 0; background: none; padding: 6px 8px; cursor: pointer;
  font: 0.875rem var(--st-font); color: var(--st-text-color);
  border-radius: var(--st-button-radius); }
.files button:hover { color: var(--st-primary-color); }
.files button:focus-visible { outline: 2px solid var(--st-primary-color); }
.files button[disabled] { opacity: 0.5; cursor: wait; }
.files span { font: 0.875rem var(--st-font); color: var(--st-text-color); }
"""
