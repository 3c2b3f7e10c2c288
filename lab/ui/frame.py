"""What is around every page: background processes, and the sidebar's word on what is running.

frame.start(workspace())           # cheap; once a page load
frame.sidebar()
"""

from __future__ import annotations

import os
import time

import streamlit as st

from lab.errors import LabError
from lab.jobs import helper_client
from lab.jobs.client import QueueRow, queue, task_status
from lab.jobs.launch import ensure_supervisor
from lab.recipe.stage import hw
from lab.runs.folder import RunFolder
from lab.ui import format as fmt
from lab.ui import watch
from lab.ui.messages import plain, show_error
from lab.ui.run_actions import WATCHED
from lab.ui.run_cache import Snapshot, snapshot
from lab.ui.state import workspace
from lab.workspace import Workspace, read_json

BUSY_S, IDLE_S = 2.0, 10.0
_TASKS = {
    "import": "Importing pictures", "draw": "Drawing leaves", "calibrate": "Measuring this machine",
    "tta": "Test-time augmentation", "export": "Writing an export",
    "test_sizes": "Scoring at several sizes", "score_test": "Scoring the locked test part",
    "lr-find": "Finding a rate",
}  # fmt: skip


def start(place: Workspace) -> None:
    """See that the supervisor is at work and that the helper warms up. Waits for neither."""
    if os.environ.get("LAB_NO_PROCESSES"):  # for tests of the pages alone
        return
    try:
        ensure_supervisor(place)
        helper_client.start(place)
    except LabError as error:
        show_error(error)


def sidebar() -> None:
    """What runs, how long it still takes, how many wait."""
    jobs = _jobs()
    ticking = st.fragment(_status, run_every=BUSY_S if jobs else IDLE_S)
    with st.sidebar:
        ticking()


def _jobs() -> list[QueueRow]:
    try:
        return queue(workspace())
    except LabError:
        return []  # the page itself says what is wrong with the workspace


def _status() -> None:
    jobs = _jobs()
    running = [job for job in jobs if job.position == 0]
    with st.container(key="frame-status", gap="small"):
        if not jobs:
            st.caption("Nothing is running.")
            return
        for job in running:
            try:
                _running(job)
            except LabError:
                st.caption(plain(job.id))  # its page says what is wrong with it
        waiting = len(jobs) - len(running)
        if waiting:
            st.caption(f"{waiting} waiting in the queue.")
        runs = [job.id for job in jobs if job.kind == "run"]
        if runs and st.button(
            "Watch it", key="frame.watch", icon=":material/monitoring:", type="tertiary"
        ):
            st.session_state[WATCHED] = runs[0]
            st.switch_page("pages/runs.py")


def _running(job: QueueRow) -> None:
    if job.kind == "run":
        seen = snapshot(RunFolder(workspace().run(job.id)))
        about = read_json(seen.run.meta_file, {})
        now = watch.progress(seen, job.status, time.time(), about.get("forecast_s"))
        st.markdown(f"**{plain(seen.recipe.name or job.id)}**")
        st.progress(now.share, _words(seen, now.left_s))
    else:
        kind = read_json(workspace().task(job.id) / "request.json", {}).get("kind", "")
        done = task_status(workspace(), job.id).progress
        share = (done.get("done") or 0) / (done.get("total") or 1)
        st.progress(min(share, 1.0), _TASKS.get(kind, "A task"))


def _words(seen: Snapshot, left_s: float | None) -> str:
    """`Stage 2 of 3, 96 px, 0:23 left`."""
    if not seen.latest and not len(seen.epochs):
        return "Getting ready"
    at = seen.latest or seen.epochs.iloc[-1].to_dict()
    stage = f"Stage {int(at['stage']) + 1} of {len(seen.recipe.stages)}"
    parts = [stage, fmt.size(*hw(at["size"]))]
    return ", ".join([*parts, *([f"{fmt.minutes(left_s)} left"] if left_s is not None else [])])
