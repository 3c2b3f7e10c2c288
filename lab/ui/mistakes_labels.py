"""Inspect, Mistakes: labels that the run contradicts firmly, as a list to check and take home.

panel(seen)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from lab.analysis.suspects import AGREE, LABEL_BELOW, Voice, suspects, voices, words
from lab.data.csvsafe import safe_csv
from lab.runs.folder import RunFolder
from lab.ui import format as fmt
from lab.ui import mistakes_pictures
from lab.ui.messages import plain
from lab.ui.mistakes_seen import Seen, changed

KEY = "mistakes.labels"


@st.fragment
def panel(seen: Seen) -> None:
    """How strict, how many, their pictures, the list."""
    run, stage = seen.looked.run, seen.looked.stage
    asked = _voices(str(run.path), stage, seen.second, changed(run.predictions))
    st.markdown(
        "Pictures whose label the network contradicts, surely and all the way through its "
        "training. **A suspect is a question, not an answer:** the label may be right and the "
        "picture unusual. Only validation images are asked about; of those that it was trained "
        "on, it repeats the label."
    )
    below, agree = _strictness(seen)
    table = suspects(asked, seen.classes, below, agree)
    st.markdown(plain(words(table, asked)))
    if len(table):
        _found(seen, table, asked)
    with st.expander("How a suspect is found"):
        st.markdown(
            "The last three epochs of every stage are asked (where epochs are not stored, the end "
            "of every stage). One of them contradicts a label where another class is its top "
            "answer and gets at least the probability that this class gets on average from images "
            "of its own (the threshold of confident learning, Northcutt and others 2021). A "
            "suspect is contradicted with the same class by enough of them, at least once in "
            "every stage, while its label gets little probability on average."
        )


def _strictness(seen: Seen) -> tuple[float, float]:
    one, other = st.columns(2, gap="medium")
    below = one.slider(
        "The label gets, on average, less than", 5, 50, round(100 * LABEL_BELOW), 5,
        format="%d %%", key=f"{KEY}.below.{seen.key}",
    )  # fmt: skip
    agree = other.slider(
        "Answers that name the same other class: at least", 50, 100, round(100 * AGREE), 5,
        format="%d %%", key=f"{KEY}.agree.{seen.key}",
    )  # fmt: skip
    return below / 100, agree / 100


def _found(seen: Seen, table: pd.DataFrame, asked: list[Voice]) -> None:
    """Pictures and list. What is said of a picture is the mean of all that were asked."""
    answers = seen.answers
    by_item = table.set_index("item")
    row_of = {int(item): row for row, item in enumerate(answers.item)}
    rows = np.array([row_of[item] for item in table["item"] if item in row_of], int)

    def caption(row: int) -> tuple[str, str]:
        one = by_item.loc[int(answers.item[row])]
        sure = fmt.percent(float(one["confidence"]), 0)
        return f"{one['label']}? {one['suggested']} {sure}, {one['agree']} of {one['asked']}", ""

    with_files = listed(table, seen.file_names())
    st.download_button(
        "Export the list", lambda: safe_csv(with_files), f"{seen.file}-labels-to-check.csv",
        "text/csv", key=f"{KEY}.csv", on_click="ignore", icon=":material/download:",
    )  # fmt: skip
    mistakes_pictures.show(seen, answers, [("", rows)], KEY, caption)
    shown = with_files.drop(columns=["item"])
    for name in ("confidence", "label's probability"):
        shown[name] = 100 * shown[name]
    percent = st.column_config.NumberColumn(format="%.1f %%")
    st.dataframe(
        shown, hide_index=True, key=f"{KEY}.table",
        column_config={
            "confidence": percent, "label's probability": percent,
            "file": st.column_config.TextColumn(width="medium"),
        },
    )  # fmt: skip


def listed(table: pd.DataFrame, files: dict[int, str]) -> pd.DataFrame:
    """The list as it is taken home; without the data set, files are numbers only."""
    return pd.DataFrame({
        "item": table["item"],
        "file": [files.get(int(item), "") for item in table["item"]],
        "label": table["label"],
        "suggested": table["suggested"],
        "confidence": table["confidence"],
        "label's probability": table["label_probability"],
        "agree": [f"{own} of {all_}" for own, all_ in zip(table["agree"], table["asked"])],
    })  # fmt: skip


@st.cache_resource(max_entries=8, show_spinner="Asking every stage …")
def _voices(path: str, stage: int, second: bool, stamp: int) -> list[Voice]:
    """Shared by all sessions, and never written to."""
    return voices(RunFolder(Path(path)), stage, second)
