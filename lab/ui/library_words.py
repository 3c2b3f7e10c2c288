"""Tags and notes of the run that is open: shown as chips and text, edited in place.

    shown(run)
    editor(run, rows)

They lie in meta.json, belong to no recipe and change no result.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from lab.runs.folder import RunFolder
from lab.runs.index import RunRow
from lab.runs.library import MOST_NOTES, cleaned_tags, set_notes, set_tags
from lab.ui.messages import plain

_LINES = 400  # characters of the notes that are shown unfolded


def shown(run: RunFolder) -> None:
    """Chips and notes, where there are any."""
    meta, (tags, notes) = run.meta(), _known(run)
    _chips(tags, bool(meta.get("archived")))
    if notes.strip():
        more = "…" if len(notes) > _LINES else ""
        lines = notes[:_LINES].splitlines()
        st.markdown("  \n".join(plain(line) for line in lines) + more)


def editor(run: RunFolder, rows: Sequence[RunRow]) -> None:
    """Both can be changed here, folded away at first."""
    box = st.expander("Tags and notes", icon=":material/sell:", on_change="rerun", key="runs.words")
    if box.open:
        with box:
            _fields(run, rows, *_known(run))


def _known(run: RunFolder) -> tuple[list[str], str]:
    meta = run.meta()
    tags = cleaned_tags(meta["tags"]) if isinstance(meta.get("tags"), list) else []
    return tags, str(meta.get("notes") or "")


def _chips(tags: Sequence[str], archived: bool) -> None:
    if not (tags or archived):
        return
    with st.container(horizontal=True, gap="xsmall", key="runs.chips"):
        if archived:
            st.badge("Archived", icon=":material/archive:", color="gray")
        for tag in tags:
            st.badge(plain(tag), color="blue")


def _fields(run: RunFolder, rows: Sequence[RunRow], tags: list[str], notes: str) -> None:
    """Each is saved when it is left."""
    known = sorted({tag for row in rows for tag in row.tags} | set(tags), key=str.casefold)
    tags_key, notes_key = f"runs.tags.{run.id}", f"runs.notes.{run.id}"
    st.multiselect(
        "Tags", known, default=tags, accept_new_options=True, key=tags_key,
        placeholder="Choose tags or write new ones", on_change=_save_tags, args=(run, tags_key),
    )  # fmt: skip
    st.text_area(
        "Notes", notes, key=notes_key, on_change=_save_notes, args=(run, notes_key),
        placeholder="What you wanted to find out, and what came of it.", max_chars=MOST_NOTES,
    )  # fmt: skip
    st.caption("Saved as you leave a field.")


def _save_tags(run: RunFolder, key: str) -> None:
    set_tags(run, st.session_state[key])


def _save_notes(run: RunFolder, key: str) -> None:
    set_notes(run, st.session_state[key])
    st.toast("Notes saved.")
