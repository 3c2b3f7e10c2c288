"""What is compared: whole experiments, single runs, published reference runs; kept in the address.

    chosen = choose(workspace, rows)        # ids of runs and of published runs, in order
    table_ids = kept_in_link("tables", ...)

The address says what is chosen (`?runs=`), so it is a link to this comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from lab.analysis.published import PREFIX, published_runs
from lab.runs.experiments import FILE, place
from lab.runs.index import RunRow
from lab.ui import comparison
from lab.ui import format as fmt
from lab.ui.run_actions import PICKED, WATCHED
from lab.workspace import Workspace, read_json

LINK = "runs"
EXPERIMENTS, LAST = "compare.experiments", "compare.last"


@dataclass(frozen=True)
class Shelf:
    """An experiment that has something to show: its name and its runs, oldest first."""

    id: str
    name: str
    runs: tuple[str, ...]


def choose(workspace: Workspace, rows: dict[str, RunRow]) -> list[str]:
    """The widgets; returns the chosen ids. Runs without an epoch are not offered."""
    options = [run_id for run_id, row in rows.items() if row.epochs]
    published = {run.id: run for run in published_runs()}
    picked = st.session_state.get(PICKED)  # set by the page one comes from, or by the widget below
    picked = _wanted(rows) if picked is None else picked
    st.session_state[PICKED] = [one for one in picked if one in options or one in published]
    shelves = experiment_shelves(workspace, rows)
    with st.expander("Choose what is compared", icon=":material/checklist:",
                     expanded=not st.session_state[PICKED]):  # fmt: skip
        if shelves:
            _experiments(shelves)
        names = {run_id: comparison.short_label(rows[run_id], list(rows.values()))
                 for run_id in options}  # fmt: skip
        names |= {run.id: f"Published: {run.name}" for run in published.values()}
        chosen = st.multiselect(
            "Runs", [*options, *published], key=PICKED,
            format_func=lambda one: names.get(one, one),
            max_selections=comparison.MOST, placeholder="Choose two or more runs",
            help="Published runs are epoch tables that others have printed: they can be drawn and "
            "read beside one's own, and take no part in verdicts.",
        )  # fmt: skip
    _remember(chosen)
    return chosen


def experiment_shelves(workspace: Workspace, rows: dict[str, RunRow]) -> list[Shelf]:
    """Experiments with runs that have begun, newest first; a borrowed reference belongs to them."""
    ids = dict.fromkeys(row.experiment for row in rows.values() if row.experiment)
    found = []
    for one in ids:
        about = _about(workspace, one)
        borrowed = about.get("borrowed")
        lent = {str(run) for run in borrowed} if isinstance(borrowed, list) else set()
        mine = [
            row for row in rows.values() if row.epochs and (row.experiment == one or row.id in lent)
        ]
        if mine:
            by_age = sorted(mine, key=lambda row: row.created)
            found.append(Shelf(one, str(about.get("name") or one), tuple(r.id for r in by_age)))
    return found


def _about(workspace: Workspace, experiment: str) -> dict[str, object]:
    """What its file says; {} for an old one, or for an id that is no name of a folder."""
    try:
        values = read_json(place(workspace, experiment) / FILE, {})
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _experiments(shelves: Sequence[Shelf]) -> None:
    """A field of whole experiments: those whose runs are all chosen stand in it."""
    by_id = {shelf.id: shelf for shelf in shelves}
    chosen = set(st.session_state[PICKED])
    st.session_state[EXPERIMENTS] = [
        shelf.id for shelf in shelves if chosen >= set(shelf.runs[-comparison.MOST :])
    ]
    st.multiselect(
        "Experiments", list(by_id), key=EXPERIMENTS,
        format_func=lambda one: f"{by_id[one].name} ({len(by_id[one].runs)} runs)",
        placeholder="Take all runs of an experiment", on_change=_take, args=(by_id,),
    )  # fmt: skip


def _take(by_id: dict[str, Shelf]) -> None:
    """Experiments that were added bring their runs, those that were taken out take them along."""
    wanted = st.session_state[EXPERIMENTS]
    before = list(st.session_state[PICKED])
    whole = {one for one, shelf in by_id.items() if set(before) >= set(shelf.runs)}
    left = {run for one in whole - set(wanted) for run in by_id[one].runs}
    kept = {run for one in wanted for run in by_id[one].runs}
    now = [run for run in before if run not in left - kept]
    now += [run for one in wanted for run in by_id[one].runs if run not in now]
    st.session_state[PICKED] = now[-comparison.MOST :]


def _wanted(rows: dict[str, RunRow]) -> list[str]:
    """The runs of the address; else what was compared last, unless another run was watched since;
    else the experiment watched last, else the newest."""
    asked = [one for one in st.query_params.get(LINK, "").split(",") if one]
    known = [one for one in asked if one in rows or one.startswith(PREFIX)]
    if known:
        return known[: comparison.MOST]
    watched = st.session_state.get(WATCHED)
    last = st.session_state.get(LAST)
    if last and last[0] == watched:
        return [one for one in last[1] if one in rows or one.startswith(PREFIX)]
    usual = comparison.usual_choice(list(rows.values()), watched)
    return [one for one in usual if one in rows]


def _remember(chosen: list[str]) -> None:
    st.session_state[LAST] = (st.session_state.get(WATCHED), list(chosen))
    if st.query_params.get(LINK, "") != ",".join(chosen):
        st.query_params[LINK] = ",".join(chosen)  # the address is a link to this comparison


def many(count: int, one: str, more: str = "") -> str:
    """`1 run`, `3 runs`."""
    return f"{fmt.count(count)} {one if count == 1 else more or one + 's'}"
