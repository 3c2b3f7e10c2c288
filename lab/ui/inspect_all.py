"""Inspect, over all validation pictures: what the views win and what they cost.

panel(seen)
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from lab.analysis.tta import gain_by_views, tta_report
from lab.analysis.view_families import FAMILIES, WAYS
from lab.data.csvsafe import safe_csv
from lab.ui import format as fmt
from lab.ui.charts.gain import gain_curve
from lab.ui.evidence import evidence
from lab.ui.inspected import Looked
from lab.ui.live_chart import live_chart
from lab.ui.look_choices import Chosen, choose_looks, summary


def panel(seen: Looked) -> None:
    """The chosen views over the set: scores, what changed, number of views, ways, families."""
    st.caption(
        "Every validation picture looked at several times, the answers averaged. An average also "
        "turns right answers into wrong ones: both are counted."
    )
    chosen = choose_looks(seen)
    if chosen.said.views is None:
        st.info(
            f"**Nobody has looked again {FAMILIES[chosen.family].words} yet.** Press the button "
            "above; until then there is only what the plain pictures gave.",
            icon=":material/visibility:",
        )
    elif not chosen.said.views.shape[1]:
        st.info("**This network takes no other size.** Choose other views.", icon=":material/info:")
    else:
        _results(seen, chosen)
    _families(seen, chosen)


def _results(seen: Looked, chosen: Chosen) -> None:
    said = chosen.said
    summary(tta_report(said.plain, said.views, said.target, chosen.beta, chosen.way))
    k = said.views.shape[1]
    st.markdown("**How many views are worth their time**")
    gains = _gains(said.plain, said.views, said.target, chosen.beta, chosen.way)
    live_chart(gain_curve(gains, said.seconds and said.seconds / k), "inspect.gain", height=280)
    st.caption(
        "By how much the error rate falls with the first one, two, … views, against the plain "
        "picture alone. The band: 95 % over resampled pictures; where it crosses zero, these "
        "pictures do not show a difference."
    )
    st.markdown("**Each way of averaging the same looks**")
    rows = {
        WAYS[way]: tta_report(said.plain, said.views, said.target, chosen.beta, way) for way in WAYS
    }
    _table(rows, "Averaged as", "inspect.ways")
    st.caption(
        "p: exact McNemar test of corrected against corrupted. Choosing the best row by these "
        "pictures flatters it: with several tries one of them looks good by chance."
    )


@st.cache_data(max_entries=32, show_spinner=False)
def _gains(
    plain: np.ndarray, views: np.ndarray, target: np.ndarray, beta: float, way: str
) -> list[dict[str, float]]:
    return gain_by_views(plain, views, target, beta, way)


def _families(seen: Looked, chosen: Chosen) -> None:
    """All families that are stored, side by side, with what they took."""
    found, seconds = {}, {}
    for name, family in FAMILIES.items():
        said = evidence(seen.run, seen.stage, name)
        if said is None or said.views is None or not said.views.shape[1]:
            continue
        label = f"{family.label}: {said.views.shape[1]}"
        report = tta_report(said.plain, said.views, said.target, chosen.beta, chosen.way)
        found[label], seconds[label] = report, said.seconds
    if len(found) < 2:
        return
    st.markdown("**Families of views side by side**")
    _table(found, "Views", "inspect.families", seconds)


def _table(
    rows: dict[str, dict], title: str, key: str, seconds: dict[str, float | None] | None = None
) -> None:
    """Scores of the plain picture, then of each row, with the paired test; as a CSV too."""
    first = next(iter(rows.values()))
    columns = ("accuracy", "log_loss", "brier", "ece")
    lines = [{title: "Plain picture alone", **{c: first["plain"][c] for c in columns}}]
    for name, report in rows.items():
        changed = {c: report[c] for c in ("corrected", "corrupted", "p")}
        lines.append({title: name, **{c: report["tta"][c] for c in columns}, **changed})
        if seconds:
            lines[-1]["seconds"] = seconds[name]
    table = pd.DataFrame(lines)
    shown = table.copy()
    shown["accuracy"] = shown["accuracy"].map(fmt.percent)
    for column in ("log_loss", "brier", "ece"):
        shown[column] = shown[column].map(fmt.decimal)
    shown["p"] = shown["p"].map(lambda p: fmt.MISSING if pd.isna(p) else f"{p:.3g}")
    for column in ("corrected", "corrupted"):
        shown[column] = shown[column].map(fmt.count)
    if seconds:
        shown["seconds"] = shown["seconds"].map(lambda s: fmt.decimal(s, 1))
    names = {"accuracy": "Accuracy", "log_loss": "Log loss", "brier": "Brier", "ece": "ECE",
             "corrected": "Corrected", "corrupted": "Corrupted", "seconds": "Seconds"}  # fmt: skip
    st.dataframe(shown.rename(columns=names), hide_index=True, key=f"{key}.table")
    st.download_button(
        "CSV", safe_csv(table), f"{key.rpartition('.')[2]}.csv", "text/csv", key=f"{key}.csv",
        on_click="ignore", icon=":material/download:", type="tertiary",
    )  # fmt: skip
