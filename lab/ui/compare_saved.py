"""Compare, Verdict: what the methods saved: time until equal error, error after equal time.

panel(methods)        # of methods with final scores
key_of(method), stamps_of(a, b), group_of(key)      # how a cache knows a method
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pandas as pd
import streamlit as st

from lab.analysis.groups import Group
from lab.analysis.matched import TimeMatch, time_matches
from lab.analysis.saved import Saved, saved
from lab.errors import LabError
from lab.runs.folder import RunFolder
from lab.ui import comparison
from lab.ui import format as fmt
from lab.ui.chart_files import csv_button
from lab.ui.compare_apart import score_stamp
from lab.ui.comparison import Method
from lab.ui.messages import plain

Key = tuple[str, tuple[str, ...], tuple[int, ...]]  # name, paths of the runs, seeds
TIME, ERROR = "seconds_to_equal_error", "error_at_equal_time"


def key_of(method: Method) -> Key:
    """All that a comparison depends on, but for what the files hold."""
    return method.name, tuple(str(run.path) for run in method.group.runs), method.group.seeds


def stamps_of(a: Method, b: Method) -> tuple[float, ...]:
    """When the scores of all their runs were written."""
    return tuple(score_stamp(entry) for method in (a, b) for entry in method.entries)


def group_of(key: Key) -> Group:
    name, runs, seeds = key
    return Group("", name, tuple(RunFolder(Path(run)) for run in runs), seeds)


def panel(methods: Sequence[Method]) -> None:
    """Two methods in sentences; more of them against the reference, in a table."""
    equal_time(methods)
    if len(methods) < 2:
        return
    first = comparison.reference(methods)
    pairs = [*combinations(methods, 2)] if len(methods) == 2 else [
        (first, other) for other in methods if other is not first
    ]  # fmt: skip
    rows = [row for pair in pairs for row in _saved(*pair)]
    if not rows:
        return
    table = saved_table(rows)
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        st.subheader("What was saved", anchor=False)
        csv_button("saved", lambda: table, key="compare.csv.saved")
    if len(methods) == 2:
        for row in rows:
            st.markdown(f"- {plain(row.verdict)}")
        return
    st.dataframe(table, hide_index=True, key="compare.saved", placeholder="–")
    st.caption(
        "Read off the curves on the way, at each epoch's own size: when both first made equally "
        "few errors (a first touch may be a lucky epoch), and what each made when the quicker one "
        "had ended (the slower one is then in the middle of its schedule; a run of equal time is "
        "the fair opponent)."
    )


def equal_time(methods: Sequence[Method]) -> None:
    """Whether the runs that were made to take as long as others did, by the clock."""
    for method in methods:
        runs = tuple(str(entry.run.path) for entry in method.entries)
        matches = _matches(runs, tuple(score_stamp(entry) for entry in method.entries))
        if matches:
            words = " ".join(match.words for match in matches)
            st.caption(plain(f"{method.name}, made to take as long as the reference. {words}"))


@st.cache_data(max_entries=64, show_spinner=False)
def _matches(runs: tuple[str, ...], stamps: tuple[float, ...]) -> list[TimeMatch]:
    return time_matches([RunFolder(Path(run)) for run in runs])


def saved_table(rows: Sequence[Saved]) -> pd.DataFrame:
    """A row a pair and question, values as people read them."""
    found = []
    for row in rows:
        time = row.metric == TIME
        value, at = (fmt.minutes, fmt.percent) if time else (fmt.percent, fmt.minutes)
        found.append({
            "first": row.a, "second": row.b,
            "question": "time until equal error" if time else "error after equal time",
            "at": at(row.at), "of first": value(row.value_a), "of second": value(row.value_b),
            "pairs of runs": row.n,
        })  # fmt: skip
    return pd.DataFrame(found)


def _saved(a: Method, b: Method) -> list[Saved]:
    try:
        return _rows(key_of(a), key_of(b), stamps_of(a, b))
    except LabError:
        return []  # the verdict above says what cannot be read


@st.cache_data(max_entries=256, show_spinner=False)
def _rows(a: Key, b: Key, stamps: tuple[float, ...]) -> list[Saved]:
    return saved(group_of(a), group_of(b))
