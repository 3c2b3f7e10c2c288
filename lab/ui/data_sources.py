"""Where pictures come from: drawn leaves, a zip from the browser, a path on the server.

data_sources.offer(primary=True)     # three tabs; each starts a task that tasks.watch("data") shows

A zip goes to the workspace in pieces and is read by a worker: the page itself opens no picture.
"""

from __future__ import annotations

import errno
import secrets
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import streamlit as st

from lab.data.catalog import checked_source
from lab.data.leaves.spec import BOUNDS, FINE_SCALES
from lab.errors import LabError
from lab.recipe.base import parse
from lab.recipe.dataset import DataSpec, Leaves
from lab.recipe.presets import preset_recipe
from lab.ui import state, tasks
from lab.ui.messages import show_error

SLOT, KINDS = "data", ("draw", "import")
_CHUNK = 1 << 20
_FORMS = {"demo": "Demo: told apart from about 96 px", "hard": "Hard: from about 160 px"}


def offer(primary: bool) -> None:
    """The three ways. `primary`: drawing is the page's main action, as there are no data yet."""
    draw, upload, server = st.tabs(["Draw leaves", "Upload a zip", "From this server"])
    with draw:
        _draw(primary)
    with upload:
        _upload()
    with server:
        _server()


def _draw(primary: bool) -> None:
    usual = preset_recipe("quick").dataset.leaves
    st.write(
        "Leaves with diseases, drawn by the lab in seconds and without a network. Some diseases "
        "differ in traits so fine that small pictures do not show them."
    )
    left, right = st.columns(2)
    values: dict[str, Any] = {
        "n": left.number_input(
            "Pictures", *BOUNDS["n"], usual.n, step=100, key="data.leaves.n", help=_help("n")
        ),
        "size_px": right.number_input(
            "Size, px", *BOUNDS["size_px"], usual.size_px, step=32, key="data.leaves.size",
            help=_help("size_px"),
        ),
        "form": st.radio(
            "Fine traits", list(_FORMS), format_func=_FORMS.get, key="data.leaves.form",
            help=_help("form"),
        ),
    }  # fmt: skip
    with st.expander("More"):
        values["seed"] = st.number_input("Seed", 0, key="data.leaves.seed", help=_help("seed"))
        low, high = BOUNDS["fine_scale"]
        values["fine_scale"] = st.number_input(
            "Scale of the fine traits", low, high, None, step=0.001, format="%.4f",
            placeholder=f"by form: {FINE_SCALES[values['form']]}", key="data.leaves.scale",
            help=_help("fine_scale"),
        )  # fmt: skip
    kind = "primary" if primary else "secondary"
    if st.button("Draw the leaves", type=kind, key="data.draw", disabled=tasks.busy(SLOT)):
        _start("draw", {"dataset": parse(DataSpec, {"leaves": values}).model_dump()})


def _upload() -> None:
    st.write("A zip with **one folder per class**; also with train, valid and test folders.")
    turn = st.session_state.setdefault("data.turn", 0)  # another key lets go of the old file
    file = st.file_uploader(
        "Zip of pictures", type="zip", key=f"data.upload.{turn}", label_visibility="collapsed",
        disabled=tasks.busy(SLOT),
    )  # fmt: skip
    if file is None:
        return
    st.session_state["data.turn"] = turn + 1
    try:
        place = keep_upload(file, state.workspace().uploads)
    except LabError as error:
        show_error(error)
        return
    _start("import", {"path": str(place), "upload": True, "name": file.name}, place)


def _server() -> None:
    st.write("A folder of class folders (it stays where it is), a zip of one, or a CSV or TSV.")
    path = st.text_input("Path on the server", key="data.path", placeholder="/data/flowers")
    if st.button("Import", key="data.import", disabled=tasks.busy(SLOT)):
        try:
            if not path.strip():
                raise LabError("No path is given.", "Type the path of a folder, a zip or a CSV.")
            found = checked_source(path.strip())
        except LabError as error:
            show_error(error)
            return
        _start("import", {"path": str(found)})


def keep_upload(file: BinaryIO, folder: Path) -> Path:
    """Write an upload to a new file, in pieces. Full disk: LabError, and nothing is left."""
    place = folder / f"upload-{secrets.token_hex(6)}.zip"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.seek(0)
        with open(place, "xb") as target:
            shutil.copyfileobj(file, target, _CHUNK)
    except OSError as error:
        place.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise LabError(
            "The disk is full: the upload was not kept." if full
            else f"The upload could not be kept ({error.strerror}).",
            "Free some space, delete data sets or runs, and send it again.",
        ) from error  # fmt: skip
    return place


def _start(kind: str, arguments: dict[str, Any], upload: Path | None = None) -> None:
    try:
        # Drawing and importing need no device: they need not wait for a training to end.
        tasks.start(SLOT, kind, arguments, device="light")
    except LabError as error:
        if upload:
            upload.unlink(missing_ok=True)
        show_error(error)
        return
    st.rerun()


def _help(name: str) -> str | None:
    return Leaves.model_fields[name].description
