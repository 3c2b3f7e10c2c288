"""Inspect: which validation pictures to look at: a filter and a class.

rows, places = picks.choose(said, beta, way, here)      # rows of `said`; room for page buttons
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lab.ui import format as fmt
from lab.ui.evidence import COUNTED, FILTERS, NEED_VIEWS, SURE, Evidence, picked

Places = Sequence[DeltaGenerator]
NOTES = {
    "sure": f"Wrong, with more than {SURE:.0%} for the wrong class: the surest first.",
    "split": "Pictures whose views say the most different things come first.",
    "unsure": "Pictures whose answer has the least probability come first.",
    "loss": "Pictures whose true class got the least probability come first.",
    "corrected": "The plain picture is answered wrong, the average of the looks right.",
    "corrupted": "The plain picture is answered right, the average of the looks wrong.",
}


def choose(said: Evidence, beta: float, way: str, here: str) -> tuple[np.ndarray, Places]:
    """`here` names run, stage and family, so that each keeps its own choice."""
    seen = said.views is not None
    kinds = [kind for kind in FILTERS if seen or kind not in NEED_VIEWS]
    sizes = {kind: len(picked(said, kind, beta, way=way)) for kind in kinds}
    kind = st.segmented_control(
        "Show", kinds, default="corrected" if sizes.get("corrected") else "wrong",
        format_func=lambda kind: filter_label(kind, sizes[kind]), required=True, wrap=True,
        key=f"inspect.filter.{here}.{seen}", persist_state="session",
    )  # fmt: skip
    if kind in NOTES:
        st.caption(NOTES[kind])
    which, *places = st.columns([3, 3, 1, 1], vertical_alignment="bottom")
    names = dict(enumerate(said.classes))
    of_class = which.selectbox(
        "Of class", [-1, *names], key=f"inspect.class.{here}", persist_state="session",
        format_func=lambda number: names.get(number, "Every class"),
    )  # fmt: skip
    return picked(said, kind, beta, of_class, way), places


def filter_label(kind: str, n: int) -> str:
    """A filter with how many it leaves, where it leaves some out."""
    return f"{FILTERS[kind]} ({fmt.count(n)})" if kind in COUNTED else FILTERS[kind]
