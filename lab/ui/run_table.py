"""The list of runs as a table in which a click opens a run; without the archived ones.

clicked = run_table(rows, key="home.runs")       # the id of the run that was clicked, or None
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from lab.runs.index import RunRow
from lab.ui import format as fmt
from lab.ui.watch import look

PAGE = 50  # rows sent to the browser at once


def run_table(rows: Sequence[RunRow], key: str) -> str | None:
    """Name, status, sizes, error rate, time, when; 50 at a time."""
    rows = [row for row in rows if not row.archived]
    if not rows:
        st.caption("All runs are archived. The Runs page shows them.")
        return None
    body, pages = st.container(), -(-len(rows) // PAGE)
    number = st.pagination(pages, key=f"{key}.page.{pages}") if pages > 1 else 1
    with body:
        return _page(rows[(number - 1) * PAGE : number * PAGE], f"{key}.{number}")


def _page(rows: Sequence[RunRow], key: str) -> str | None:
    now = time.time()
    table = pd.DataFrame(
        {
            "Run": [row.name or row.id for row in rows],
            "Status": [_status(row) for row in rows],
            "Sizes, px": [row.sizes for row in rows],
            "Error": [fmt.percent(row.error_rate) for row in rows],
            "Time": [fmt.minutes(row.seconds) if row.epochs else fmt.MISSING for row in rows],
            "Started": [fmt.ago(row.created, now) for row in rows],
        }
    )
    event = st.dataframe(
        table,
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="single-cell",
        alt=f"{len(rows)} runs",
        column_config={
            "Run": st.column_config.TextColumn(width="medium"),
            "Error": st.column_config.TextColumn(alignment="right"),
            "Time": st.column_config.TextColumn(alignment="right"),
        },
    )
    cells = event.selection.cells
    return rows[cells[0][0]].id if cells and cells[0][0] < len(rows) else None


def _status(row: RunRow) -> str:
    words, _, _ = look(row.status)
    if row.status == "running" and row.total_epochs:
        return f"{words}, epoch {min(row.epochs + 1, row.total_epochs)} of {row.total_epochs}"
    return words
