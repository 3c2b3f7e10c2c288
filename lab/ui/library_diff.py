"""What changed since: two runs side by side, only where they differ, in the words of the forms.

panel(run, rows)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lab.analysis.changes import Change, changes, value_words
from lab.errors import LabError
from lab.runs.folder import RunFolder
from lab.runs.index import RunRow
from lab.ui import format as fmt
from lab.ui import state, watch
from lab.ui.chart_files import csv_button
from lab.ui.choose import run_label, told_apart
from lab.ui.forms import LABELS, words_of
from lab.ui.messages import place, show_error

_PARTS = {"recipe": "settings", "data": "data", "choices": "chosen by the lab", "device": "device",
          "versions": "versions", "result": "result"}  # fmt: skip
_RESULT = {
    "error_rate": "error rate", "balanced_error": "balanced error", "log_loss": "log loss",
    "brier": "Brier score", "ece": "calibration error (ECE)", "n": "images scored",
    "seconds": "time", "train_seconds": "time of training alone", "total_epochs": "epochs planned",
    "n_train": "images to train on", "n_valid": "images to validate with",
    "n_test": "images locked away", "dataset_id": "data set", "threads": "CPU threads",
    "host": "machine", "target": "label", "remedies": "faster operators",
}  # fmt: skip
_SHARES = ("error_rate", "accuracy", "balanced_error", "ece")
_MOST, _HEAD = 200, 28  # runs offered; characters of a name above a column


def panel(run: RunFolder, rows: Sequence[RunRow]) -> None:
    """Choose the other run, read what differs. Nothing where there is no other run."""
    others = [row for row in rows if row.id != run.id]
    if not others:
        return
    box = st.expander(
        "Compare settings with …", icon=":material/difference:", on_change="rerun", key="runs.diff"
    )
    if not box.open:
        return
    own = next(row for row in rows if row.id == run.id)
    first = partner(own, others)
    options = list(dict.fromkeys([first, *(row.id for row in others[:_MOST])]))
    known, now = {row.id: row for row in others}, time.time()
    labels = told_apart({one: run_label(known[one], now) for one in options})
    with box:
        other = st.selectbox(
            "The other run", options, key=f"runs.diff.{run.id}",
            format_func=lambda one: labels.get(one, one),
        )  # fmt: skip
        earlier, later = sorted((own, known[other]), key=lambda row: (row.created, row.id))
        try:
            _differences(earlier, later)
        except LabError as error:
            show_error(error)


def partner(own: RunRow, others: Sequence[RunRow]) -> str:
    """The run it was made to be compared with, else one of its experiment, else the one before."""
    known = {row.id for row in others}
    named = [to for how, to in own.refers if to in known]
    mine = [row.id for row in others if own.experiment and row.experiment == own.experiment]
    before = [row.id for row in others if row.id < own.id]
    return [*named, *mine, *before, others[0].id][0]


def _differences(earlier: RunRow, later: RunRow) -> None:
    workspace = state.workspace()
    found = changes(*(RunFolder(workspace.run(row.id)) for row in (earlier, later)))
    if not found:
        st.caption("Nothing differs: the same recipe, data, choices, versions and result.")
        return
    table = table_of(found, *(row.name or row.id for row in (earlier, later)))
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"
    ):
        many = f"{len(table)} difference{'' if len(table) == 1 else 's'}"
        st.caption(f"{many}. All else that is noted is the same.")
        csv_button("what-changed", lambda: table, key="runs.diff.csv")
    st.dataframe(table, hide_index=True, key="runs.diff.table", height="content")


def table_of(found: Sequence[Change], earlier: str, later: str) -> pd.DataFrame:
    """A row a difference, the places and the values in words."""
    left, right = f"{_cut(earlier)} (earlier)", f"{_cut(later)} (later)"
    return pd.DataFrame(
        {
            "part": [_PARTS[one.part] for one in found],
            "what": [field_words(one) for one in found],
            left: [shown(one, one.a) for one in found],
            right: [shown(one, one.b) for one in found],
        }
    )


def _cut(name: str) -> str:
    """Short enough for both columns to be seen."""
    return name if len(name) <= _HEAD else f"{name[: _HEAD - 1]}…"


def field_words(change: Change) -> str:
    """`Stage 2, learning rate (peak)`."""
    path, _, name = change.field.rpartition(".")
    if name.isdigit():
        return place(change.field)
    known = LABELS.get(name) if change.part in ("recipe", "choices") else _RESULT.get(name)
    words = known or _RESULT.get(name) or name.replace("_", " ")
    if path in ("", "resolved") or change.part not in ("recipe", "choices"):
        return words[:1].upper() + words[1:]
    soft = words if words[1:2].isupper() else words[:1].lower() + words[1:]
    return f"{place(path)}, {soft}"


def shown(change: Change, value: Any) -> str:
    """A value in the unit that people read."""
    name = change.field.rpartition(".")[2]
    if value is None or isinstance(value, bool):
        return value_words(value)
    if name == "status":
        return watch.look(str(value))[0]
    if isinstance(value, str):
        return f"{value}{fmt.SPACE}px" if name == "size" else words_of(value, name)
    if name in _SHARES:
        return fmt.percent(value)
    if name in ("seconds", "train_seconds"):
        return fmt.minutes(value)
    if name == "pixels" and change.part == "result":
        return fmt.pixels(value)
    if name == "lr":
        return fmt.rate(value)
    if name == "size":
        return f"{value}{fmt.SPACE}px"
    return value_words(value)
