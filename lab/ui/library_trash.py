"""Deleting with a way back: the line that offers Undo, and the trash.

throw_away(ids)       # in a button's callback
undo_line()           # at the top of the page
trash_box()           # under the list of runs
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from lab.errors import LabError
from lab.runs.library import (
    KEEP_DAYS,
    Deleted,
    delete_run,
    deleted_runs,
    empty_trash,
    restore_run,
    trash_of,
)
from lab.ui import format as fmt
from lab.ui import state
from lab.ui.messages import plain, show_error
from lab.ui.run_actions import WATCHED, open_run

TOP, LIST = "top", "list"  # where on the page the button was
_UNDO, _SAID = "library.undo", "library.said"
_SHOWN = 100  # deleted runs in the select box


def throw_away(ids: Sequence[str], where: str) -> None:
    """Move runs to the trash and remember them for Undo; those that cannot go stay, with words."""
    gone, refused = [], []
    for run_id in ids:
        try:
            delete_run(state.workspace(), run_id)
            gone.append(run_id)
        except LabError as error:
            refused.append(error)
    if gone:
        st.session_state[_UNDO] = (where, gone)
    if st.session_state.get(WATCHED) in gone:
        del st.session_state[WATCHED]
    if st.query_params.get("run") in gone:
        del st.query_params["run"]
    say(refused, where)


def say(errors: Sequence[LabError], where: str) -> None:
    """Keep what went wrong for the next drawing of the page."""
    st.session_state[_SAID] = (where, list(errors))


def undo_line(*places: str) -> None:
    """What was just deleted, with Undo; what could not be done, with the reason."""
    where, errors = st.session_state.get(_SAID, ("", []))
    if where in places:
        del st.session_state[_SAID]
        for error in errors:
            show_error(error)
    where, gone = st.session_state.get(_UNDO, ("", []))
    trash = trash_of(state.workspace())
    ids = [one for one in gone if (trash / one).is_dir()]
    if not ids or where not in places:
        return
    key, what = f"library.undo.{where}", f"{fmt.count(len(ids))} runs are"
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=key):
        what = "The run is" if len(ids) == 1 else what
        st.markdown(f":material/delete: {what} in the trash, for {KEEP_DAYS} days.",
                    width="content")  # fmt: skip
        st.button("Undo", key="library.undo.go", icon=":material/undo:", on_click=_undo)
        st.button("All right", key="library.undo.ok", type="tertiary", on_click=_forget)


def _undo() -> None:
    where, ids = st.session_state.pop(_UNDO, (LIST, []))
    _restore(ids, where)


def _forget() -> None:
    st.session_state.pop(_UNDO, None)


def _restore(ids: Sequence[str], where: str = LIST) -> None:
    refused = []
    for run_id in ids:
        try:
            restore_run(state.workspace(), run_id)
        except LabError as error:
            refused.append(error)
    say(refused, where)
    if where == TOP and len(ids) == 1 and not refused:
        open_run(ids[0])


def trash_box() -> None:
    """What was deleted: take it back, or remove it for good. Nothing while there is nothing."""
    found = deleted_runs(state.workspace())
    if not found:
        return
    box = st.expander(
        f"Trash ({fmt.count(len(found))})", icon=":material/delete:", on_change="rerun",
        key="library.trash.box",
    )  # fmt: skip
    if not box.open:
        return
    with box:
        st.caption(
            f"Deleted runs stay here for {KEEP_DAYS} days; after that the next start of the lab "
            "removes them for good."
        )
        _take_back(found)
        _empty(found)


def _take_back(found: Sequence[Deleted]) -> None:
    labels = {one.id: _label(one) for one in found[:_SHOWN]}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.multiselect(
            "Deleted runs", list(labels), format_func=lambda one: labels.get(one, one),
            key="library.trash.pick", placeholder="Choose those to take back", width=480,
        )  # fmt: skip
        st.button(
            "Restore", key="library.trash.restore", icon=":material/restore_from_trash:",
            on_click=_restore, args=(chosen,), disabled=not chosen,
        )  # fmt: skip
    if len(found) > _SHOWN:
        st.caption(f"The {_SHOWN} deleted last are offered here; the command line lists all.")


def _label(one: Deleted) -> str:
    """With the end of its id: names of runs are often the same."""
    when = f", deleted {fmt.ago(one.deleted, time.time())}" if one.deleted else ""
    return f"{one.name} ({one.id[-4:]}){when}"


def _empty(found: Sequence[Deleted]) -> None:
    size = sum(
        file.stat().st_size for one in found for file in one.path.rglob("*") if file.is_file()
    )
    with st.popover("Empty the trash", icon=":material/delete_forever:", key="library.empty"):
        many = f"{fmt.count(len(found))} run{'' if len(found) == 1 else 's'}"
        st.markdown(plain(f"This removes {many} for good ({fmt.bytes_of(size)} of disk)."))
        st.button("Remove for good", key="library.empty.go", on_click=_empty_now)


def _empty_now() -> None:
    st.session_state.pop(_UNDO, None)
    try:
        count = empty_trash(state.workspace())
    except LabError as error:
        say([error], LIST)
        return
    st.toast(f"{fmt.count(count)} run{'' if count == 1 else 's'} removed.")
