"""Inspect, Mistakes: answering only when sure (accuracy against coverage), and the best k answers.

panel(seen)
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from lab.analysis.mistakes import at_threshold, coverage_curve, top_k
from lab.ui import format as fmt
from lab.ui.chart_files import chart_files
from lab.ui.charts.confusion import coverage_chart
from lab.ui.live_chart import live_chart
from lab.ui.mistakes_seen import Seen

KEY = "mistakes.sure"


@st.fragment
def panel(seen: Seen) -> None:
    """A threshold to move, what it gives, the whole curve; below, the best k answers."""
    st.markdown("**Answer only when sure, leave the others to a person**")
    threshold = st.slider(
        "Least probability of an answer", 0, 100, 80, 1, format="%d %%",
        key=f"{KEY}.threshold.{seen.key}", persist_state="session",
    )  # fmt: skip
    pair = seen.answers.pair
    found = at_threshold(*pair, threshold / 100)
    _numbers(found, len(pair[1]))
    curve = coverage_curve(*pair)
    chosen = None if not found["n"] else (found["coverage"], found["accuracy"])
    chart = coverage_chart(curve["threshold"], curve["coverage"], curve["accuracy"], chosen)
    live_chart(chart, f"{KEY}.chart", 300)
    chart_files(
        f"{KEY}.chart", f"{seen.file}-coverage", "Accuracy against images answered", lambda: curve
    )
    st.caption(
        "A threshold chosen on these images looks a little better here than on new ones; and a "
        "network that is too sure of itself answers where it should not (see Confidence)."
    )
    _best_few(seen)


def _numbers(found: dict[str, Any], total: int) -> None:
    one, two, three = st.columns(3)
    one.metric("Answered", fmt.percent(found["coverage"]), help="Coverage: the share of images.")
    two.metric("Right of these", fmt.percent(found["accuracy"]))
    three.metric("Left to a person", fmt.count(total - found["n"]))
    if found["n"]:
        low, high = fmt.percent(found["low"]), fmt.percent(found["high"])
        st.write(
            f"Of {fmt.count(total)} images {fmt.count(found['n'])} are answered, "
            f"{fmt.count(found['n'] - found['right'])} of them wrongly "
            f"(right: 95 % interval {low} to {high})."
        )
    else:
        st.write("No answer is that sure.")


def _best_few(seen: Seen) -> None:
    st.markdown("**If several answers may be given (top-k accuracy)**")
    shares = top_k(*seen.answers.pair)
    table = pd.DataFrame({
        "the true class is among": [
            "the first answer" if k == 1 else f"the first {k} answers" for k in shares
        ],
        "of the images": [100 * share for share in shares.values()],
    })  # fmt: skip
    config = {"of the images": st.column_config.ProgressColumn(
        format="%.1f %%", min_value=0, max_value=100)}  # fmt: skip
    st.dataframe(table, hide_index=True, key=f"{KEY}.top", column_config=config)
