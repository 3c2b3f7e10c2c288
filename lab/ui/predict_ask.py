"""Asks the model process about this session's pictures, one by one, with progress and a stop.

    found = predict_ask.answered(batch, run.id, stage, tta)      # Predicted of what is there by now
    predict_ask.thumbs(batch)                                    # a small JPEG by name of file

Answers stay in the session: another stage, or views, asks again; coming back asks nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st

from lab.analysis.predicted import Answer, Predicted
from lab.errors import LabError
from lab.jobs import helper_client
from lab.ui import format as fmt
from lab.ui import state
from lab.ui.messages import show_error
from lab.ui.predict_batch import Batch, Upload

_WAIT_S = 120.0
_KEPT = 4  # sets of answers in a session: runs, stages, with and without views
_ANSWERS, _THUMBS, _STOPPED = "predict.answers", "predict.thumbs", "predict.stopped"


@dataclass
class Known:
    """Answers so far, by file; `about` comes with the first. `failed`: those to ask again last."""

    about: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


def answered(batch: Batch, run: str, stage: int, tta: bool) -> Predicted | None:
    """Ask for what is missing, show what is there. None where there is nothing (yet)."""
    known = _known((batch.id, run, stage, tta))
    todo = [one for one in batch.uploads if one.file not in known.answers]
    if todo and st.session_state.get(_STOPPED):
        _offer_to_go_on(len(todo), len(batch))
    elif todo:
        todo.sort(key=lambda one: one.file in known.failed)
        _ask(todo, known, {"run": run, "stage": stage, "tta": tta})
    there = [known.answers[one.file] for one in batch.uploads if one.file in known.answers]
    return Predicted.of(known.about, there) if there else None


def thumbs(batch: Batch, run: str, stage: int, tta: bool) -> list[bytes]:
    """Thumbnails of the answered pictures, in the order of `answered`."""
    known, made = _known((batch.id, run, stage, tta)), st.session_state.get(_THUMBS, {})
    return [made.get(one.file, b"") for one in batch.uploads if one.file in known.answers]


def wake() -> None:
    """Start the model process without waiting for it, so that it is warm by the first picture."""
    with suppress(LabError):  # the first picture says what is wrong
        helper_client.start(state.workspace())


def forget() -> None:
    """Drop all answers, as their pictures are gone."""
    for key in (_ANSWERS, _THUMBS, _STOPPED):
        st.session_state.pop(key, None)


def go_on() -> None:
    """Ask again, after a stop."""
    st.session_state.pop(_STOPPED, None)


def _ask(todo: list[Upload], known: Known, about: dict[str, Any]) -> None:
    """Streamlit ends this loop at the next word of progress once Stop, or anything, is clicked."""
    place = st.empty()
    with place.container():
        bar, button = st.columns([5, 1], vertical_alignment="bottom")
        shown = bar.progress(0.0, text="Waking the model up …")
        button.button("Stop", key="predict.stop", width="stretch", on_click=_stop)
    try:
        for done, upload in enumerate(todo):
            _one(upload, known, about)
            words = f"Looking at pictures: {fmt.count(done + 1)} of {fmt.count(len(todo))}"
            shown.progress((done + 1) / len(todo), text=words)
    except LabError as error:
        st.session_state[_STOPPED] = True
        show_error(error)
        _offer_to_go_on(sum(one.file not in known.answers for one in todo), len(todo))
    place.empty()


def _one(upload: Upload, known: Known, about: dict[str, Any]) -> None:
    pictures = [{"name": upload.name, "file": upload.file}]
    try:
        values, blobs = helper_client.call(
            state.workspace(), "predict", {**about, "pictures": pictures}, timeout=_WAIT_S
        )
    except LabError:
        known.failed.add(upload.file)  # should it be the picture's fault, the others come first
        raise
    known.about = values["about"]
    known.answers[upload.file] = answer_of(values["pictures"][0])
    st.session_state.setdefault(_THUMBS, {})[upload.file] = blobs[0]


def answer_of(values: dict[str, Any]) -> Answer:
    """An answer from the JSON values of the helper."""
    arrays = {
        name: None if values[name] is None else np.asarray(values[name], np.float32)
        for name in ("plain", "average", "second")
    }
    words = {name: values[name] for name in ("name", "error", "fix")}
    return Answer(**words, **arrays, notes=tuple(values["notes"]))


def _known(key: tuple[str, str, int, bool]) -> Known:
    kept: OrderedDict[Any, Known] = st.session_state.setdefault(_ANSWERS, OrderedDict())
    found = kept.setdefault(key, Known())
    kept.move_to_end(key)
    while len(kept) > _KEPT:
        kept.popitem(last=False)
    return found


def _stop() -> None:
    st.session_state[_STOPPED] = True


def _offer_to_go_on(missing: int, total: int) -> None:
    words, button = st.columns([5, 1], vertical_alignment="center")
    words.info(
        f"**Stopped.** {fmt.count(missing)} of {fmt.count(total)} pictures have no answer yet.",
        icon=":material/pause:",
    )
    button.button("Go on", key="predict.on", width="stretch", on_click=go_on)
