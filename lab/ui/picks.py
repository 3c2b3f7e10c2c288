"""Inspect: which validation pictures to look at: a filter, a class, or a cell of the confusions.

rows, places = picks.choose(said, average, beta, here)      # rows of `said`; room for page buttons
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lab.analysis.metrics import confusion
from lab.ui import charts
from lab.ui import format as fmt
from lab.ui.evidence import COUNTED, FILTERS, NEED_VIEWS, Evidence, in_cell, picked
from lab.ui.live_chart import live_chart
from lab.ui.messages import plain

Places = Sequence[DeltaGenerator]


def choose(
    said: Evidence, average: np.ndarray, beta: float, here: str
) -> tuple[np.ndarray, Places]:
    """`here` names run and stage, so that each keeps its own choice."""
    _mixed_up(said, average, here)
    cell = st.session_state.get(f"inspect.cell.{here}")
    return _by_cell(said, average, cell, here) if cell else _by_filter(said, beta, here)


def filter_label(kind: str, n: int) -> str:
    """A filter with how many it leaves, where it leaves some out."""
    return f"{FILTERS[kind]} ({fmt.count(n)})" if kind in COUNTED else FILTERS[kind]


def _mixed_up(said: Evidence, average: np.ndarray, here: str) -> None:
    """The confusion matrix, drawn only when it is open; a click on a cell shows its pictures."""
    with st.expander("Which classes are mixed up", on_change="rerun", key="inspect.mixed") as box:
        if not box.open:
            return
        how = "the answer with the views" if said.views is not None else "the answer"
        st.caption(f"Rows: the true class. Columns: {how}. Click a cell to see its pictures.")
        chart = charts.heat_map(list(said.classes), confusion(average, said.target).tolist())
        height = min(24 * len(said.classes) + 190, 780)
        clicked = live_chart(chart, "inspect.confusion", height, clickable=True)
        if clicked and clicked.get("customdata"):
            st.session_state[f"inspect.cell.{here}"] = tuple(clicked["customdata"])


def _by_cell(
    said: Evidence, average: np.ndarray, cell: tuple[int, int], here: str
) -> tuple[np.ndarray, Places]:
    true, answer = (plain(said.classes[number]) for number in cell)
    st.write(f"True **{true}**, answered **{answer}**:")
    back, *places = _row()
    if back.button("Back to the filters", key="inspect.back"):
        del st.session_state[f"inspect.cell.{here}"]
        st.rerun(scope="fragment")
    return in_cell(said, average, *cell), places


def _by_filter(said: Evidence, beta: float, here: str) -> tuple[np.ndarray, Places]:
    seen = said.views is not None
    kinds = [kind for kind in FILTERS if seen or kind not in NEED_VIEWS]
    sizes = {kind: len(picked(said, kind, beta)) for kind in kinds}
    kind = st.segmented_control(
        "Show", kinds, default="corrected" if sizes.get("corrected") else "wrong",
        format_func=lambda kind: filter_label(kind, sizes[kind]), required=True,
        key=f"inspect.filter.{here}.{seen}", persist_state="session",
    )  # fmt: skip
    which, *places = _row()
    names = dict(enumerate(said.classes))
    of_class = which.selectbox(
        "Of class", [-1, *names], key=f"inspect.class.{here}", persist_state="session",
        format_func=lambda number: names.get(number, "Every class"),
    )  # fmt: skip
    return picked(said, kind, beta, of_class), places


def _row() -> Places:
    return st.columns([3, 3, 1, 1], vertical_alignment="bottom")
