"""The queue as a table, and the rows of the list of runs as they are shown and exported.

queue_table(jobs, rows)
library_table(rows, names)        # a row a run, newest first or as they come
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from lab.jobs.client import QueueRow, cancel
from lab.runs.index import RunRow
from lab.ui import format as fmt
from lab.ui import state, watch
from lab.ui.messages import guard, plain


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


def epochs_words(row: RunRow) -> str:
    """`3 of 8`; of a finished run those it ran: a rule may have ended a stage early."""
    return str(row.epochs) if row.status == "finished" else f"{row.epochs} of {row.total_epochs}"


def library_table(rows: Sequence[RunRow], names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A row a run. `names` says what experiments are called."""
    called = names or {}
    return pd.DataFrame(
        {
            "run": [row.id for row in rows],
            "name": [row.name or row.id for row in rows],
            "tags": [list(row.tags) for row in rows],
            "status": [watch.look(row.status)[0] for row in rows],
            "error": [None if row.error_rate is None else 100 * row.error_rate for row in rows],
            "time": [fmt.minutes(row.seconds) if row.seconds else fmt.MISSING for row in rows],
            "sizes": [row.sizes for row in rows],
            "epochs": [epochs_words(row) for row in rows],
            "network": [row.model for row in rows],
            "data": [row.dataset for row in rows],
            "experiment": [called.get(row.experiment, row.experiment) for row in rows],
            "owner": [row.owner for row in rows],
            "notes": [" ".join(row.notes.split()) for row in rows],
            "archived": [row.archived for row in rows],
            "launched": [pd.Timestamp.fromtimestamp(row.created or 0.0) for row in rows],
        }
    ).astype({"error": "float64"})


def shown_columns(table: pd.DataFrame) -> list[str]:
    """Columns in which some run has something to say; the id is for the export."""
    bare = {name for name in ("tags", "experiment", "owner", "notes", "archived")
            if not table[name].map(bool).any()}  # fmt: skip
    return [name for name in table.columns if name not in bare | {"run"}]


def exported(table: pd.DataFrame) -> pd.DataFrame:
    """The table with tags as text, for a CSV."""
    return table.assign(tags=["; ".join(tags) for tags in table["tags"]])
