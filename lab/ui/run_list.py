"""The queue and the library of runs: tables to search, to open from, to write tags and notes in."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from lab.data.csvsafe import safe_csv
from lab.jobs.client import QueueRow, cancel
from lab.runs.folder import RunFolder
from lab.runs.index import RunRow
from lab.ui import format as fmt
from lab.ui import state, watch
from lab.ui.messages import guard, plain
from lab.ui.run_actions import open_run

GROUPS = {
    "under way": (*watch.WAITING, *watch.LIVE),
    "finished": ("finished",),
    "can go on": watch.RESUMABLE,
}


def queue_table(jobs: Sequence[QueueRow], rows: Sequence[RunRow]) -> None:
    """Who runs, who waits, from when on; a button to leave the queue."""
    names = {row.id: row.name or row.id for row in rows}
    table = pd.DataFrame(
        {
            "position": [str(job.position) if job.position else "now" for job in jobs],
            "name": [names.get(job.id, job.id) for job in jobs],
            "owner": [job.owner or fmt.MISSING for job in jobs],
            "device": [job.device for job in jobs],
            "starts in": [_starts(job) for job in jobs],
        }
    )
    st.dataframe(table, hide_index=True, key="runs.queue")
    waiting = [job.id for job in jobs if job.position]
    if not waiting:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Waiting", waiting, format_func=lambda job_id: names.get(job_id, job_id),
            key="runs.queue.pick", width=320,
        )  # fmt: skip
        if st.button("Take out of the queue", key="runs.queue.cancel"):
            with guard():
                st.toast(plain(cancel(state.workspace(), chosen)))
            st.rerun()


def _starts(job: QueueRow) -> str:
    if not job.position:
        return "runs"
    if job.status == "blocked" and job.message:
        return job.message
    if job.expected_s is None:
        return "not known yet"
    return fmt.minutes(job.expected_s) if job.expected_s >= 1 else "as soon as it can"


def library(rows: Sequence[RunRow]) -> None:
    """All runs: search, filter, open one by its row, take the table home."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input(
            "Search", key="runs.search", placeholder="name, tag, owner, network", width=300,
            persist_state="session",
        )  # fmt: skip
        group = st.pills("Show", list(GROUPS), key="runs.filter", persist_state="session")
        found = [row for row in rows if _fits(row, words, group)]
        table = library_table(found)
        st.download_button(
            "CSV", safe_csv(table), "runs.csv", "text/csv", key="runs.csv", on_click="ignore",
            icon=":material/download:",
        )  # fmt: skip
    if not found:
        st.caption("No run fits. Empty the search box, or press the chosen filter again.")
        return
    ids = tuple(row.id for row in found)
    st.dataframe(
        table.drop(columns="run"),
        hide_index=True,
        key="runs.list",
        on_select=lambda: _open_selected(ids),
        selection_mode="single-row",
        placeholder="–",
        height=min(420, 40 + 35 * len(found)),
        column_config={
            "error": st.column_config.NumberColumn(format="%.1f %%"),
            "tags": st.column_config.ListColumn(),
            "launched": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
        },
    )
    st.caption("Click the box at the left of a row to open that run.")


def epochs_words(row: RunRow) -> str:
    """`3 of 8`; of a finished run those it ran: a rule may have ended a stage early."""
    return str(row.epochs) if row.status == "finished" else f"{row.epochs} of {row.total_epochs}"


def library_table(rows: Sequence[RunRow]) -> pd.DataFrame:
    """A row a run, as shown and as exported."""
    return pd.DataFrame(
        {
            "run": [row.id for row in rows],
            "name": [row.name or row.id for row in rows],
            "status": [watch.look(row.status)[0] for row in rows],
            "sizes": [row.sizes for row in rows],
            "error": [None if row.error_rate is None else 100 * row.error_rate for row in rows],
            "time": [fmt.minutes(row.seconds) if row.seconds else fmt.MISSING for row in rows],
            "epochs": [epochs_words(row) for row in rows],
            "network": [row.model for row in rows],
            "data": [row.dataset for row in rows],
            "owner": [row.owner for row in rows],
            "tags": [list(row.tags) for row in rows],
            "launched": [pd.Timestamp.fromtimestamp(row.created or 0.0) for row in rows],
        }
    ).astype({"error": "float64"})


def _fits(row: RunRow, words: str, group: str | None) -> bool:
    if group and row.status not in GROUPS[group]:
        return False
    where = " ".join((row.id, row.name, row.owner, row.model, row.dataset, row.sizes, *row.tags))
    return all(word in where.lower() for word in words.lower().split())


def _open_selected(ids: tuple[str, ...]) -> None:
    chosen = st.session_state["runs.list"]["selection"]["rows"]
    if chosen and chosen[0] < len(ids):
        open_run(ids[chosen[0]])


def words_form(run: RunFolder, rows: Sequence[RunRow]) -> None:
    """Tags and notes of one run; they belong to no recipe and change no result."""
    box = st.expander("Tags and notes", on_change="rerun", key="runs.words")
    if not box.open:
        return
    meta = run.meta()
    tags = [str(tag) for tag in meta.get("tags", ())]
    known = sorted({tag for row in rows for tag in row.tags} | set(tags))
    with box, st.form(f"runs.words.{run.id}", border=False):
        new = st.multiselect(
            "Tags", known, default=tags, accept_new_options=True, key=f"runs.tags.{run.id}"
        )
        notes = st.text_area(
            "Notes", str(meta.get("notes", "")), key=f"runs.notes.{run.id}",
            placeholder="What you wanted to find out, and what came of it.", max_chars=10_000,
        )  # fmt: skip
        if st.form_submit_button("Save"):
            run.set_meta(tags=[tag.strip()[:60] for tag in new if tag.strip()], notes=notes)
            st.toast(f"Saved {fmt.ago(time.time(), time.time())}.")
            st.rerun()
