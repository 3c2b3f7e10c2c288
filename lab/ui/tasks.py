"""A task on its page: started there, watched, stopped; its value, or the words it failed with.

    if st.button("Draw them"):
        tasks.start("data", "draw", {"dataset": spec})
    value = tasks.watch("data", ("draw", "import"))      # a dict once it has ended, else None

`slot` names the place on the page. A task that another tab or an earlier visit started is found
again on disk, as long as it has not ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from lab.errors import LabError, Problem
from lab.jobs.order import LIVE, WAITING
from lab.jobs.tasks import TaskStatus, stop_task, submit_task, task_status
from lab.ui import format as fmt
from lab.ui import state
from lab.ui.messages import plain, show_problems
from lab.workspace import read_json

TICK_S = 0.7
_UNDER_WAY = (*WAITING, *LIVE, "lost")  # a lost task is started again
_RECENT = 20  # task folders looked at to find one that an earlier visit started


def start(slot: str, kind: str, arguments: Mapping[str, Any], *, device: str | None = None) -> None:
    """Queue a task and watch it in this place. Raises LabError where it is refused."""
    task_id = submit_task(state.workspace(), kind, dict(arguments), device=device)
    st.session_state[_key(slot)] = task_id


def watch(
    slot: str, kinds: Sequence[str], about: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Show the place's task, if there is one; its value, once, in the run after it has ended.

    `about`: arguments that a task found on disk must have been started with.
    """
    task_id = st.session_state.get(_key(slot)) or _found(kinds, about or {})
    if not task_id:
        return None
    st.session_state[_key(slot)] = task_id
    now = _status(task_id)
    if now.status in _UNDER_WAY:
        _progress(task_id)
        return None
    if now.result and now.result.get("status") == "finished":
        del st.session_state[_key(slot)]
        return now.result.get("value") or {}
    _forget_upload(task_id)
    _ended_badly(slot, now)
    return None


def busy(slot: str) -> bool:
    """Whether a task of this place is under way, so that a second one is not offered."""
    task_id = st.session_state.get(_key(slot))
    return bool(task_id) and _status(task_id).status in _UNDER_WAY


@st.fragment(run_every=TICK_S)
def _progress(task_id: str) -> None:
    now = _status(task_id)
    if now.status not in _UNDER_WAY:
        st.rerun()
    bar, button = st.columns([5, 1], vertical_alignment="bottom")
    done, total = now.progress.get("done") or 0, now.progress.get("total") or 0
    bar.progress(min(done / total, 1.0) if total else 0.0, text=_words(now))
    if button.button("Stop", key=f"task.stop.{task_id}", width="stretch"):
        stop_task(state.workspace(), task_id)
        st.toast("It stops at the next safe point.")


def _words(now: TaskStatus) -> str:
    if now.status in WAITING:
        return "Waiting for its turn: the machine is busy with another job."
    what, done, total = (now.progress.get(key) for key in ("what", "done", "total"))
    if not what:
        return "Starting …"
    if not total or total == 1:
        return f"{plain(what)} …"
    return f"{plain(what)}: {fmt.count(done)} of {fmt.count(total)}"


def _ended_badly(slot: str, now: TaskStatus) -> None:
    """Its words stay until they are read."""
    problems = [Problem(**problem) for problem in (now.result or {}).get("problems", ())]
    if problems:
        show_problems(problems)
    else:
        st.info("It was stopped. Nothing half-done is left.", icon=":material/info:")
    if st.button("Close", key=f"task.seen.{slot}"):
        del st.session_state[_key(slot)]
        st.rerun()


def _forget_upload(task_id: str) -> None:
    """An import that was taken back before it began leaves its file: nobody else removes that."""
    request = read_json(state.workspace().tasks / task_id / "request.json", {})
    if request.get("upload") and (name := Path(request.get("path", "")).name):
        (state.workspace().uploads / name).unlink(missing_ok=True)


def _status(task_id: str) -> TaskStatus:
    try:
        return task_status(state.workspace(), task_id)
    except LabError as error:
        gone = {"status": "failed", "problems": [error.problems[0].as_dict()]}
        return TaskStatus("failed", {}, gone)


def _found(kinds: Sequence[str], about: Mapping[str, Any]) -> str:
    """The newest task of these kinds that is under way; '' where there is none."""
    place = state.workspace().tasks
    folders = sorted(place.iterdir(), reverse=True)[:_RECENT] if place.is_dir() else []
    for folder in folders:
        request = read_json(folder / "request.json", {})
        same = request.get("kind") in kinds and all(request.get(k) == v for k, v in about.items())
        if same and _status(folder.name).status in _UNDER_WAY:
            return folder.name
    return ""


def _key(slot: str) -> str:
    return f"lab.task.{slot}"
