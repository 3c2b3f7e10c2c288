"""Inspect, Mistakes: precision, recall, F1 and support of every class, and the best few answers.

panel(seen)
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from lab.analysis.metrics import confusion
from lab.analysis.mistakes import class_table, mean_scores
from lab.ui import format as fmt
from lab.ui.chart_files import csv_button
from lab.ui.mistakes_seen import Seen

KEY = "mistakes.classes"
_PERCENT = st.column_config.NumberColumn(format="%.1f %%")
COLUMNS = {
    "images": st.column_config.NumberColumn(
        help="Validation images that are labelled so (support)."
    ),
    "answered": st.column_config.NumberColumn(help="How often it was the answer."),
    "precision": st.column_config.NumberColumn(
        format="%.1f %%", help="Of the images that got this answer, how many are of the class."
    ),
    "recall": st.column_config.NumberColumn(
        format="%.1f %%", help="Of the images of the class, how many were found."
    ),
    "F1": st.column_config.NumberColumn(
        format="%.1f %%", help="The harmonic mean of precision and recall."
    ),
    "recall from": _PERCENT,
    "to": _PERCENT,
}


def panel(seen: Seen) -> None:
    """The table, hardest class first; a click on a heading sorts it."""
    table = class_table(confusion(*seen.answers.pair), seen.classes)
    means = mean_scores(table)
    st.markdown(
        f"Mean over the classes (macro): precision **{fmt.percent(means['precision'])}**, "
        f"recall **{fmt.percent(means['recall'])}**, F1 **{fmt.percent(means['f1'])}**."
    )
    st.dataframe(
        _shown(table), hide_index=True, key=f"{KEY}.table", placeholder="–", column_config=COLUMNS,
        height=min(38 + 35 * len(table), 620),
    )  # fmt: skip
    csv_button(f"{seen.file}-classes", lambda: table, key=f"{KEY}.csv")
    st.caption(
        "The hardest class first; a click on a heading sorts by it. Recall comes with its 95 % "
        "interval (Wilson): with few images of a class it is wide. –: never answered, or no images."
    )


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """In per cent, by F1."""
    ordered = table.sort_values("f1", kind="stable", na_position="first")
    shares = {"precision": "precision", "recall": "recall", "f1": "F1", "low": "recall from",
              "high": "to"}  # fmt: skip
    counts = {"class": "class", "support": "images", "answered": "answered"}
    found = ordered[[*counts]].rename(columns=counts)
    for name, title in shares.items():
        found[title] = 100 * ordered[name]
    return found
