"""All runs: search, filters and an order; a page of the table at a time; several runs chosen.

shown = offered(rows, wanted)     # rows for a select box: the newest, and those that must be
library.section(rows)
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

import streamlit as st

from lab.runs.index import RunRow
from lab.runs.references import experiment_names
from lab.runs.search import ORDERS, arranged, search
from lab.ui import format as fmt
from lab.ui import library_actions, library_trash, state, watch
from lab.ui.chart_files import csv_button
from lab.ui.run_actions import open_run
from lab.ui.run_list import exported, library_table, shown_columns

PAGE = 50  # rows sent to the browser at once
OFFERED = 200  # runs in a select box
GROUPS = {
    "under way": (*watch.WAITING, *watch.LIVE),
    "finished": ("finished",),
    "can go on": watch.RESUMABLE,
}
FILTERS = ("runs.search", "runs.filter", "runs.by.experiment", "runs.by.tags", "runs.by.owner")
_CELL = "library.cell"  # the cell that opened a run, so that it does so once


def offered(rows: Sequence[RunRow], wanted: Collection[str | None]) -> list[RunRow]:
    """The newest that are not archived, and every wanted one; all, where all are archived."""
    usual = [row for row in rows if not row.archived][:OFFERED] or list(rows[:OFFERED])
    kept = {row.id for row in usual} | set(wanted)
    return [row for row in rows if row.id in kept]


def section(rows: Sequence[RunRow]) -> None:
    """The whole library. `rows`: all runs, newest first."""
    names = experiment_names(state.workspace())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input(
            "Search", key="runs.search", placeholder="name, tag, note, network, data …", width=300,
            persist_state="session",
            help="Every word must fit. A word for one field: `tag:good`, `status:failed`, "
            "`data:leaves`, `experiment:`, `network:`, `preset:`, `owner:`, `note:`, `id:`. "
            'With spaces: `tag:"low light"`.',
        )  # fmt: skip
        group = st.pills("Show", list(GROUPS), key="runs.filter", persist_state="session")
        found = [row for row in rows if not group or row.status in GROUPS[group]]
        found = _filtered(found, rows, names)
        found = search(found, words, names)
    if not found:
        _nothing(rows)
        library_trash.undo_line(library_trash.LIST)
        return
    _count(found, rows, names)
    chosen = _table(found, names, f"{words}|{group}|{st.session_state.get('runs.order')}")
    library_actions.bar(chosen, rows)
    library_trash.undo_line(library_trash.LIST)


def _filtered(
    found: Sequence[RunRow], rows: Sequence[RunRow], names: Mapping[str, str]
) -> list[RunRow]:
    """By what the menu says; in its order."""
    keys = (*FILTERS[2:], "runs.archived")
    active = sum(bool(st.session_state.get(key)) for key in keys)
    label = f"Filter and sort ({active})" if active else "Filter and sort"
    with st.popover(label, icon=":material/tune:", key="runs.more"):
        order = st.selectbox("Sort by", list(ORDERS), key="runs.order", persist_state="session",
                             format_func=str.capitalize)  # fmt: skip
        experiments = list(dict.fromkeys(row.experiment for row in rows if row.experiment))
        experiment = _one("Experiment", experiments, "runs.by.experiment", names)
        known = sorted({tag for row in rows for tag in row.tags}, key=str.casefold)
        tags = known and st.multiselect(
            "Tags (a run has all of them)", known, key="runs.by.tags", persist_state="session"
        )
        owner = _one("Owner", sorted({row.owner for row in rows if row.owner}), "runs.by.owner")
        hidden = sum(row.archived for row in rows)
        old = hidden and st.toggle(
            f"Archived runs, too ({hidden})", key="runs.archived", persist_state="session"
        )
    kept = [
        row
        for row in found
        if (old or not row.archived)
        and (not experiment or row.experiment == experiment)
        and (not owner or row.owner == owner)
        and set(tags or ()) <= set(row.tags)
    ]
    return arranged(kept, order)


def _one(
    label: str, options: Sequence[str], key: str, names: Mapping[str, str] | None = None
) -> str | None:
    """One of the options, or none; nothing is drawn where there is nothing to choose."""
    if not options:
        return None
    return st.selectbox(
        label, options, index=None, placeholder="All", key=key, persist_state="session",
        format_func=lambda one: (names or {}).get(one, one),
    )  # fmt: skip


def _nothing(rows: Sequence[RunRow]) -> None:
    if all(row.archived for row in rows):
        st.caption("All runs are archived. “Filter and sort” shows them.")
        return
    st.caption("No run fits. `tag:` wants a whole tag; all other words may be parts of words.")
    st.button("Show all runs", key="runs.clear", on_click=_clear)


def _clear() -> None:
    for key in FILTERS:
        st.session_state.pop(key, None)


def _count(found: Sequence[RunRow], rows: Sequence[RunRow], names: Mapping[str, str]) -> None:
    of = "" if len(found) == len(rows) else f" of {fmt.count(len(rows))}"
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        st.caption(
            f"{fmt.count(len(found))}{of} run{'' if len(rows) == 1 else 's'}. Click one to open "
            "it; tick the boxes at the left to compare, tag, archive or delete.",
            width="stretch",
        )
        csv_button("runs", lambda: exported(library_table(found, names)), key="runs.csv")


def _table(found: Sequence[RunRow], names: Mapping[str, str], view: str) -> list[RunRow]:
    """A page of the table and the pages' numbers; returns the chosen runs."""
    pages = -(-len(found) // PAGE)
    mark = hashlib.sha1(f"{view}|{len(found)}".encode()).hexdigest()[:8]  # another list: page 1
    mark += f".{library_actions.round_number()}"
    body, below = st.container(), st.container(horizontal=True, vertical_alignment="center")
    number, whole = 1, False
    with below:
        if pages > 1:
            number = st.pagination(pages, key=f"runs.page.{mark}")
            whole = st.checkbox(f"Choose all {fmt.count(len(found))}", key=f"runs.all.{mark}")
    part = found[(number - 1) * PAGE : number * PAGE]
    table, key = library_table(part, names), f"runs.list.{mark}.{number}"
    ids = tuple(row.id for row in part)
    with body:
        event = st.dataframe(
            table[shown_columns(table)],
            hide_index=True,
            key=key,
            on_select=lambda: _open_clicked(key, ids),
            selection_mode=["multi-row", "single-cell"],
            placeholder="–",
            height=min(460, 40 + 35 * len(part)),
            alt=f"{len(part)} of {len(found)} runs",
            column_config={
                "name": st.column_config.TextColumn(width="medium"),
                "error": st.column_config.NumberColumn(format="%.1f %%"),
                "tags": st.column_config.ListColumn(width=150),
                "notes": st.column_config.TextColumn(width="medium"),
                "launched": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
            },
        )
    if whole:
        return list(found)
    return [part[row] for row in event.selection.rows if row < len(part)]


def _open_clicked(key: str, ids: tuple[str, ...]) -> None:
    """Open the run whose cell was clicked. A cell stays selected while boxes are ticked: once."""
    cells = st.session_state[key]["selection"]["cells"]
    clicked = (key, *cells[0]) if cells else None
    if clicked and clicked != st.session_state.get(_CELL) and cells[0][0] < len(ids):
        open_run(ids[cells[0][0]])
    st.session_state[_CELL] = clicked
