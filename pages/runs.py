"""Runs: how is it going? The queue, one run live, and the library of all, with its trash."""

import time

import streamlit as st

from lab.errors import LabError
from lab.jobs.client import queue, run_status
from lab.runs.folder import RunFolder
from lab.runs.index import list_runs
from lab.ui import (
    experiment_more,
    library,
    library_actions,
    library_diff,
    library_trash,
    library_words,
    reference_runs,
    replay,
    run_actions,
    run_list,
    run_view,
    state,
    watch,
)
from lab.ui.choose import run_label, told_apart
from lab.ui.messages import guard, show_error
from lab.ui.run_actions import WATCHED
from lab.ui.run_cache import snapshot

TICK_S = 1.2  # the live part is at most this old, and a little for the way


def chosen_run(ids: list[str]) -> str:
    """The run in the address; else the one watched last, a running one, the newest."""
    running = [row.id for row in rows if row.status in watch.LIVE]
    wanted = [st.query_params.get("run"), st.session_state.get(WATCHED), *running]
    return next((run_id for run_id in wanted if run_id in ids), ids[0])


def remember() -> None:
    run_actions.open_run(st.session_state["runs.run"])


st.title("How is it going?")
if reference_runs.shown():
    st.stop()
with guard():
    rows = list_runs(state.workspace())
library_trash.undo_line(library_trash.TOP)
if not rows:
    library_trash.undo_line(library_trash.LIST)
    st.info(
        "**No run yet.** Start the demo: it trains a small network on growing pictures, and the "
        "first curve moves within seconds.",
        icon=":material/info:",
    )
    with st.container(horizontal=True):
        if st.button("Go to the demo", type="primary", key="runs.demo"):
            st.switch_page("pages/home.py")
        if st.button("Plan a schedule of your own", key="runs.plan"):
            st.switch_page("pages/schedule.py")
    library_trash.trash_box()
    reference_runs.listing()
    st.stop()

by_id = {row.id: row for row in rows}
wanted = (st.query_params.get("run"), st.session_state.get(WATCHED))
ids = [line.id for line in library.offered(rows, wanted)]
run_id = chosen_run(ids)
st.session_state["runs.run"] = run_id
now = time.time()
labels = told_apart({key: run_label(by_id[key], now) for key in ids})
st.selectbox(
    "Run", ids, key="runs.run", on_change=remember, width="stretch",
    format_func=lambda run: labels.get(run, run),
)  # fmt: skip
run_actions.open_run(run_id)  # from here on the address is a link to this run
run, row = RunFolder(state.workspace().run(run_id)), by_id[run_id]
with guard():
    status = run_status(state.workspace(), run_id)
try:
    seen = snapshot(run)
except LabError as error:
    seen = None
    show_error(error)

siblings = run_actions.siblings_of(row, rows)
moving = seen is not None and status.status in (*watch.WAITING, *watch.LIVE)
view, paused, again = run_view.View(), False, False
with st.container(horizontal=True, gap="small"):
    run_actions.actions(run, status, seen, siblings)
    library_actions.tidy(row, rows, status.status)
library_words.shown(run)
if seen is not None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        view = run_view.view_controls()
        again = replay.offered(run_id, can=seen.plan is not None and len(seen.epochs) > 0)
        if moving and not again:
            paused = st.toggle("Pause", key="runs.pause", help="Hold the picture still.")

if seen is not None:

    @st.fragment(run_every=TICK_S if moving and not paused else None)
    def live() -> None:
        """Only this is drawn anew at each tick; the end of the run redraws the page."""
        if run_view.live_part(run, view).status != status.status:
            st.rerun()

    with guard():
        if again:
            replay.screen(replay.of_run(seen), view)
        else:
            live()
    if status.status == "finished":
        experiment_more.offer_baseline(run, seen, primary=not siblings)
    run_view.quiet_part(run)
    library_words.editor(run, rows)
    library_diff.panel(run, rows)

with guard():
    jobs = queue(state.workspace())
if jobs:
    st.subheader("The queue")
    run_list.queue_table(jobs, rows)
st.subheader("All runs")
library.section(rows)
library_trash.trash_box()
reference_runs.listing()
