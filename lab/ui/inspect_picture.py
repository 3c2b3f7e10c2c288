"""Inspect, one picture: every look at a validation picture or at one of one's own.

panel(seen)
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import streamlit as st
from PIL import ImageOps

from lab.data.images import FORMATS, open_rgb
from lab.errors import LabError
from lab.ui import look_again, picks, state
from lab.ui.gallery import Group, Thumb, gallery
from lab.ui.inspected import Looked
from lab.ui.look_choices import Chosen, choose_looks
from lab.ui.messages import guard, show_error
from lab.ui.views import UNKNOWN

THUMB_PX = 144
SOURCES = {"valid": "Validation pictures", "own": "Pictures of your own"}


def panel(seen: Looked) -> None:
    """Choices, then a picture, then all that the network makes of it."""
    st.caption(
        "The network looks at a picture several times, each time shown a little differently, and "
        "its answers are averaged: test-time augmentation. Here is every look, one by one."
    )
    chosen = choose_looks(seen)
    which = st.segmented_control(
        "Which pictures", list(SOURCES), format_func=SOURCES.get, default="valid", required=True,
        key="inspect.source", label_visibility="collapsed", persist_state="session",
    )  # fmt: skip
    if which == "own":
        own_pictures(seen, chosen)
    else:
        validation_pictures(seen, chosen)


def validation_pictures(seen: Looked, chosen: Chosen) -> None:
    """A gallery by filter and class; its own fragment: a choice redraws nothing above."""
    ready = look_again.helper_is_ready()
    dataset_id = look_again.dataset_of(seen.run, seen.recipe)
    here = f"{seen.here}.{chosen.family}"

    @st.fragment(run_every=None if ready else 1.0)
    def picture_by_picture() -> None:
        if not ready and look_again.helper_is_ready():
            st.rerun()
        rows, places = picks.choose(chosen.said, chosen.beta, chosen.way, here)
        if not len(rows):
            st.write("There are no such pictures.")
            return
        row = st.session_state.get(f"inspect.row.{here}")
        row = row if row in rows else int(rows[0])
        page = look_again.turn_pages(len(rows), f"inspect.page.{here}", places)
        clicked = look_again.choose_picture(
            chosen.said, rows, chosen.average, dataset_id, page, row
        )
        if clicked is not None and clicked != row:
            st.session_state[f"inspect.row.{here}"] = clicked
            st.rerun(scope="fragment")
        look_again.show_looks(seen, chosen, row)

    with guard():
        picture_by_picture()


def own_pictures(seen: Looked, chosen: Chosen) -> None:
    """Upload or camera; of several, one is chosen by its thumbnail."""
    left, right = st.columns([3, 2], gap="medium")
    files = left.file_uploader(
        "Upload pictures", accept_multiple_files=True, key="inspect.upload",
        help=f"{', '.join(FORMATS)}. They are not kept: they are gone with this browser tab.",
    )  # fmt: skip
    if right.toggle("Use the camera", key="inspect.camera.on"):
        shot = right.camera_input("Take a picture", key="inspect.camera")
        files = [*files, *([shot] if shot else [])]
    if not files:
        st.info(
            "**Bring a picture.** It is shown to the network just as a validation picture is.",
            icon=":material/add_photo_alternate:",
        )
        return
    good = _readable(files)
    if not good:
        return
    at = _one_of(good)
    truth = _truth(seen)
    name, data, _ = good[at]
    ready = look_again.helper_is_ready()

    @st.fragment(run_every=None if ready else 1.0)
    def looks() -> None:
        if not ready and look_again.helper_is_ready():
            st.rerun()
        asked = (seen.run.id, seen.stage, chosen.family, chosen.count, name, data)
        made = look_again.from_helper(
            lambda: look_again.views_of_upload(str(state.workspace().root), *asked)
        )
        if made:
            look_again.draw(seen, chosen, look_again.made_looks(made), truth)

    looks()


def _readable(files: Sequence[Any]) -> list[tuple[str, bytes, str]]:
    """(name, bytes, thumbnail) of each picture; of what is none, a sentence."""
    found = []
    for file in files:
        data = file.getvalue()
        try:
            found.append((file.name, data, _thumbnail(file.name, data)))
        except LabError as error:
            show_error(error)
    return found


@st.cache_data(max_entries=64, show_spinner=False)
def _thumbnail(name: str, data: bytes) -> str:
    image = open_rgb(data, name=name, short_px=THUMB_PX)
    side = min(THUMB_PX, *image.size)
    file = io.BytesIO()
    ImageOps.fit(image, (side, side)).save(file, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _one_of(good: Sequence[tuple[str, bytes, str]]) -> int:
    at = min(st.session_state.get("inspect.own", 0), len(good) - 1)
    thumbs = [
        Thumb(number, source, name, name, chosen=number == at)
        for number, (name, _, source) in enumerate(good)
    ]
    clicked = gallery([Group("", thumbs)], key="inspect.own.gallery", clickable=True)
    if clicked is not None and clicked != at and clicked < len(good):
        st.session_state["inspect.own"] = clicked
        st.rerun()
    return at


def _truth(seen: Looked) -> int:
    """What is really on it, if somebody says so."""
    names = dict(enumerate(seen.said.classes))
    return st.selectbox(
        "What is really on it", [UNKNOWN, *names], key=f"inspect.truth.{seen.run.id}", width=320,
        format_func=lambda number: names.get(number, "Not said"),
    )  # fmt: skip
