"""What a person can do with a run: stop, continue, clone, train on.

actions(run, status, seen, siblings)      # buttons; at most one of them is primary
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from lab.jobs.client import StatusRow, cancel, resume_run, stop_after_stage, stop_run
from lab.recipe import Recipe
from lab.runs.folder import STOP_AFTER_STAGE, RunFolder
from lab.runs.index import RunRow
from lab.ui import state, watch
from lab.ui.messages import guard, plain
from lab.ui.run_cache import Snapshot

WATCHED = "lab.watch"  # the run that this session looked at last
PICKED = "compare.runs"  # the runs that Compare shows, a list of ids


def open_run(run_id: str) -> None:
    """Watch a run, in this session and in the address."""
    st.session_state[WATCHED] = run_id
    if st.query_params.get("run") != run_id:
        st.query_params["run"] = run_id


def actions(
    run: RunFolder, status: StatusRow, seen: Snapshot | None, siblings: Sequence[RunRow]
) -> None:
    """The buttons that fit the status. `siblings`: the other runs of its experiment."""
    workspace = state.workspace()
    fix = status.fix.lower()  # what asks for another recipe would fail again just so
    to_change = status.status == "failed" and ("clone" in fix or fix.startswith("lower"))
    if status.status in watch.LIVE:
        _live_buttons(run, seen)
    elif status.status in watch.WAITING:
        _do("Take out of the queue", "cancel", lambda: cancel(workspace, run.id), "close")
    elif status.status == "finished":
        _finished_buttons(run, siblings)
    elif seen is not None:
        words = "Put it back" if status.status == "cancelled" else "Continue"
        again = lambda: resume_run(workspace, run.id)  # noqa: E731
        _do(words, "resume", again, "play_arrow", primary=not to_change)
    if seen is not None:
        clone_button(run, seen.recipe, primary=to_change)


def _live_buttons(run: RunFolder, seen: Snapshot | None) -> None:
    workspace = state.workspace()
    _do("Stop now", "stop", lambda: stop_run(workspace, run.id), "stop")
    if run.wish() == STOP_AFTER_STAGE:
        _do("Keep going", "keep", lambda: _keep_going(run), "play_arrow")
    elif seen is not None and len(seen.stages) < len(seen.recipe.stages) - 1:
        later = lambda: stop_after_stage(workspace, run.id)  # noqa: E731
        _do("Stop after this stage", "stage", later, "skip_next")


def _keep_going(run: RunFolder) -> str:
    run.clear_wish()
    return "It goes on to the end."


def _finished_buttons(run: RunFolder, siblings: Sequence[RunRow]) -> None:
    """Where to go from here: to its opponent while that trains, then to the comparison."""
    to_come = [row for row in siblings if row.status in (*watch.LIVE, *watch.WAITING)]
    if to_come:
        row = min(to_come, key=lambda row: (row.status not in watch.LIVE, row.id))
        words = f"Watch {row.name or row.id}"[:60]
        if st.button(plain(words), key="runs.next", icon=":material/monitoring:", type="primary"):
            open_run(row.id)
            st.rerun()
    go = {"compare": ("Compare", "balance"), "inspect": ("Look inside", "search"),
          "export": ("Take it home", "download")}  # fmt: skip
    for page, (words, icon) in go.items():
        ready = page == "compare" and siblings and not to_come
        kind = "primary" if ready else "secondary"
        if st.button(words, key=f"runs.{page}", icon=f":material/{icon}:", type=kind):
            st.session_state[WATCHED] = run.id
            st.switch_page(f"pages/{page}.py")
    train_on_button(run)


def train_on_button(run: RunFolder) -> None:
    """A draft that goes on from this run's weights, and the page where it is launched."""
    words = "A new schedule that begins with these weights, at a quarter of the last rate."
    if st.button("Train on", key="runs.train_on", icon=":material/forward:", help=words):
        with guard():
            state.set_draft(trained_on(run))
            st.switch_page("pages/schedule.py")


def trained_on(run: RunFolder) -> Recipe:
    """One stage like the run's last, from its weights, at a quarter of its rate (the finder's,
    where that chose it), nothing frozen: the head knows its classes already."""
    recipe = run.recipe()
    number = (run.finished_stages() or [len(recipe.stages) - 1])[-1]
    last = recipe.stages[number]
    chosen = run.resolved().get("resolved", {}).get("stages", {}).get(str(number), {}).get("lr")
    lr = chosen if last.lr == "finder" else last.lr
    stage = last.but(
        frozen_epochs=0,
        ramp_from=None,
        epochs=last.epochs or max(1, last.total_epochs),
        lr="finder" if lr is None else float(f"{lr / 4:.2g}"),
    )
    model = recipe.model.but(weights="run", run=run.id, run_stage=None, file="")
    name = f"{recipe.name or run.id}, trained on"[:120]
    changes = {"stages": (stage.model_dump(),), "model": model.model_dump()}
    return recipe.but(**changes, name=name, preset="")


def _do(words: str, key: str, work: Callable[[], str], icon: str, primary: bool = False) -> None:
    """A button that does something and says what it did."""
    kind = "primary" if primary else "secondary"
    if st.button(words, key=f"runs.{key}", icon=f":material/{icon}:", type=kind):
        with guard():
            st.toast(plain(work()))
        st.rerun()


def clone_button(run: RunFolder, recipe: Recipe, primary: bool) -> None:
    """Make its recipe the draft, and go to the Schedule page."""
    kind = "primary" if primary else "secondary"
    if st.button("Clone and change", key="runs.clone", icon=":material/content_copy:", type=kind):
        name = f"{recipe.name or run.id} (copy)"[:120]
        state.set_draft(recipe.but(name=name))
        st.switch_page("pages/schedule.py")


def siblings_of(row: RunRow, rows: Sequence[RunRow]) -> list[RunRow]:
    """The other runs of its experiment."""
    if not row.experiment:
        return []
    return [other for other in rows if other.experiment == row.experiment and other.id != row.id]
