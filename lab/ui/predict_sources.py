"""Where new pictures come from: dropped or pasted, the camera, a folder or zip.

predict_sources.offer(batch, run.id, stage, tta)      # pictures go to the batch, large ones to
                                                      # the task that SLOT shows
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import streamlit as st

from lab.data.catalog import checked_source
from lab.errors import LabError
from lab.ui import format as fmt
from lab.ui import predict_ask, state, tasks
from lab.ui.data_sources import keep_upload
from lab.ui.messages import show_error
from lab.ui.predict_batch import Batch
from lab.ui.predict_paste import pasted

SLOT, KINDS = "predict", ("predict",)
WAYS = {"files": "Drop or paste", "camera": "Camera", "server": "Folder or zip on this server"}
_TURN = "predict.turn"  # another key lets go of the old files


def offer(batch: Batch, run: str, stage: int, tta: bool) -> None:
    """The three ways; only the chosen one is drawn, as a camera asks for a permission."""
    way = st.segmented_control(
        "Where from", list(WAYS), default="files", required=True, format_func=WAYS.get,
        key="predict.way", persist_state="session", label_visibility="collapsed",
    )  # fmt: skip
    about = {"run": run, "stage": stage, "tta": tta}
    {"files": _files, "camera": _camera, "server": _server}[way or "files"](batch, about)


def _files(batch: Batch, about: dict[str, Any]) -> None:
    turn = st.session_state.setdefault(_TURN, 0)
    files = st.file_uploader(
        "Pictures, or a zip of many", accept_multiple_files=True, key=f"predict.upload.{turn}",
        help="JPEG, PNG, WebP, BMP, GIF or TIFF. They are kept on this server for a day at most.",
    )  # fmt: skip
    if found := pasted("predict.paste"):
        _take(batch, found)
    zips = [file for file in files if file.name.lower().endswith(".zip")]
    if zips:
        _zip(zips[0], about)
    elif files:
        _take(batch, ((file.name, file) for file in files))


def _camera(batch: Batch, about: dict[str, Any]) -> None:
    turn = st.session_state.setdefault(_TURN, 0)
    shot = st.camera_input(
        "Take a picture", key=f"predict.camera.{turn}", label_visibility="collapsed", width=480
    )
    if shot is not None:
        _take(batch, [(f"camera {len(batch) + 1}.jpg", shot)])


def _take(batch: Batch, files: Iterable[tuple[str, BinaryIO | bytes]]) -> None:
    st.session_state[_TURN] = st.session_state.get(_TURN, 0) + 1
    predict_ask.go_on()
    try:
        batch.add(files)
    except LabError as error:
        show_error(error)
        return
    st.rerun()


def _zip(file: Any, about: dict[str, Any]) -> None:
    st.session_state[_TURN] += 1
    try:
        place = keep_upload(file, state.workspace().uploads)
    except LabError as error:
        show_error(error)
        return
    _start({**about, "path": str(place), "upload": True, "name": file.name}, place)


def _server(batch: Batch, about: dict[str, Any]) -> None:
    st.write("A folder, with everything below it, or a zip. The pictures stay where they are.")
    line, action = st.columns([4, 1], vertical_alignment="bottom")
    path = line.text_input("Path on the server", key="predict.path", placeholder="/data/new")
    if action.button(
        "Predict", key="predict.folder", width="stretch", disabled=tasks.busy(SLOT)
    ):  # fmt: skip
        try:
            _start({**about, "path": str(checked_folder(path.strip()))})
        except LabError as error:
            show_error(error)


def checked_folder(path: str) -> Path:
    """A folder or a zip of this server; one picture is one too. LabError in words otherwise."""
    if not path:
        raise LabError("No path is given.", "Type the path of a folder or a zip.")
    return checked_source(path)


def _start(arguments: dict[str, Any], upload: Path | None = None) -> None:
    try:
        tasks.start(SLOT, "predict", arguments)
    except LabError as error:
        if upload:
            upload.unlink(missing_ok=True)
        show_error(error)
        return
    st.rerun()


def count_words(batch: Batch) -> str:
    """`3 pictures`."""
    return f"{fmt.count(len(batch))} picture{'' if len(batch) == 1 else 's'}"
