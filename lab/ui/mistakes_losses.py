"""Inspect, Mistakes: the pictures with the largest losses, the worst first.

panel(seen)
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from lab.analysis.metrics import log_losses
from lab.analysis.mistakes import Answers
from lab.ui import format as fmt
from lab.ui import mistakes_pictures
from lab.ui.chart_files import csv_button
from lab.ui.mistakes_seen import Seen

KEY = "mistakes.losses"


@st.fragment
def panel(seen: Seen) -> None:
    """A gallery with truth, answer, loss and the probability of the truth; all as CSV."""
    st.caption(
        "The loss of a picture is large where the true class got little probability: sure and "
        "wrong. Odd pictures and doubtful labels gather here. Click one to see it large."
    )
    answers = seen.answers
    loss = log_losses(*answers.pair)
    names = dict(enumerate(seen.classes))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        of_class = st.selectbox(
            "Of the true class", [-1, *names], key=f"{KEY}.class.{seen.key}", width=260,
            format_func=lambda number: names.get(number, "Every class"),
        )  # fmt: skip
        csv_button(
            f"{seen.file}-losses", lambda: losses_table(seen, answers, loss), key=f"{KEY}.csv"
        )
    order = np.argsort(-loss, kind="stable")
    rows = order[(answers.target[order] == of_class) | (of_class < 0)]

    def caption(row: int) -> tuple[str, str]:
        said, truth = int(answers.probs[row].argmax()), int(answers.target[row])
        sure = fmt.percent(float(answers.probs[row, truth]))
        number = f"loss {fmt.decimal(float(loss[row]), 2)}, truth {sure}"
        if said == truth:
            return f"✓ {names[truth]}; {number}", "good"
        return f"✗ {names[truth]}, answered {names[said]}; {number}", "bad"

    mistakes_pictures.show(seen, answers, [("", rows)], KEY, caption)


def losses_table(seen: Seen, answers: Answers, loss: np.ndarray) -> pd.DataFrame:
    """A row an image, the largest loss first."""
    order = np.argsort(-loss, kind="stable")
    files = seen.file_names()
    said = answers.probs.argmax(axis=1)
    rows = np.arange(len(said))
    names = np.array(seen.classes, dtype=object)
    table = pd.DataFrame({
        "item": answers.item,
        "file": [files.get(int(item), "") for item in answers.item],
        "true class": names[answers.target],
        "answered": names[said],
        "loss": loss,
        "probability of the truth": answers.probs[rows, answers.target],
        "probability of the answer": answers.probs[rows, said],
    })  # fmt: skip
    return table.iloc[order]
