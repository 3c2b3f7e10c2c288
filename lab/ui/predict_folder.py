"""Answers that a task made for a folder or a zip: found by its id, read from its folder.

if (done := tasks.watch(...)): predict_folder.remember(done["task"])
predict_folder.show(run.id, stage, tta)
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from lab.analysis.predicted import THUMBS, WORDS, Predicted, read_answers, read_thumb
from lab.errors import LabError
from lab.ui import choose, predict_results, predict_submission, state
from lab.ui import format as fmt
from lab.ui.messages import plain, show_error

_LINK = "predicted"  # in the address, so that a reload finds the answers again


def remember(task_id: str) -> None:
    """Put a task's answers on this page."""
    st.query_params[_LINK] = task_id


def chosen() -> str:
    """The task whose answers are on this page; "" for none."""
    return str(st.query_params.get(_LINK, ""))


def close() -> None:
    """Take the answers off the page; they stay on the disk."""
    st.query_params.pop(_LINK, None)


def show(run: str, stage: int) -> None:
    """The answers of the chosen task, if there is one. Says so where another network gave them."""
    task_id = chosen()
    if not task_id:
        return
    try:
        folder = state.workspace().task(task_id)
        found = _read(str(folder), _stamp(folder / WORDS))
    except LabError as error:
        show_error(error)
        return
    title, button = st.columns([5, 1], vertical_alignment="bottom")
    title.subheader("From the folder or zip", anchor=False)
    button.button("Close", key="predict.close", width="stretch", on_click=close)
    _whose(found.about, run, stage, len(found))
    predict_results.show(found, partial(_thumb, folder, found), "predict.task")
    predict_submission.offer(found, "predict.task")


def _whose(about: dict[str, Any], run: str, stage: int, n: int) -> None:
    if n < about.get("of", n):
        st.info(
            f"**Stopped** after {fmt.count(n)} of {fmt.count(about['of'])} pictures.",
            icon=":material/pause:",
        )
    if (about["run"], about["stage"]) != (run, stage):
        size = choose.size_words(about["size"])
        st.info(
            f"**These are answers of another network:** {plain(about['run'])}, stage "
            f"{about['stage'] + 1}, at {size}. Predict again to ask the one chosen above.",
            icon=":material/info:",
        )
    for note in about.get("notes", ()):
        st.caption(plain(note))


def _thumb(folder: Path, found: Predicted, row: int) -> bytes:
    try:
        with open(folder / THUMBS, "rb") as file:
            return read_thumb(file, found, row)
    except OSError:
        return b""


def _stamp(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError as error:
        raise LabError("These predictions are not here any more.", "Predict again.") from error


@st.cache_resource(max_entries=4, show_spinner=False)
def _read(folder: str, stamp: float) -> Predicted:
    return read_answers(Path(folder))
