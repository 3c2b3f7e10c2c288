"""One experiment while it runs and after, and the list of all of them.

now = standing_of(workspace, experiment, time.time())     # counts, who trains, when it will end
show_progress(now);  show_grid(grid(now), key, alt);  earlier(workspace, rows)
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import pandas as pd
import streamlit as st

from lab.errors import LabError
from lab.runs.experiments import Experiment, Member, by_cell, list_experiments, members
from lab.runs.index import RunRow
from lab.ui import format as fmt
from lab.ui import watch
from lab.ui.experiment_form import arm_title
from lab.ui.messages import plain
from lab.ui.run_cache import snapshot
from lab.workspace import Workspace

PARAMETER = "experiment"  # in the address: which one is shown
UNDER_WAY = (*watch.WAITING, *watch.LIVE)


@dataclass(frozen=True)
class Now:
    """How an experiment stands."""

    experiment: Experiment
    runs: tuple[Member, ...]
    left_s: float | None  # until the last one ends, one after the other; None: not known

    def having(self, *statuses: str) -> list[Member]:
        """Runs in one of these states."""
        return [one for one in self.runs if one.row.status in statuses]

    @property
    def done(self) -> list[Member]:
        return self.having("finished")

    @property
    def moving(self) -> bool:
        """Whether anything trains or waits."""
        return bool(self.having(*UNDER_WAY))

    @property
    def stamp(self) -> tuple[str, ...]:
        """What makes another page: the states."""
        return tuple(one.row.status for one in self.runs)


def standing_of(workspace: Workspace, experiment: Experiment, now: float) -> Now:
    """Read the runs and estimate the time left: by what each arm's finished runs took, else by
    its forecast."""
    found = members(workspace, experiment)
    took: dict[str, list[float]] = {}
    for one in found:
        if one.row.status == "finished" and one.row.seconds:
            took.setdefault(one.arm, []).append(one.row.seconds)
    left: float | None = 0.0
    for one in found:
        if one.row.status in UNDER_WAY and left is not None:
            more = _left_s(one, took, now)
            left = None if more is None else left + more
    return Now(experiment, tuple(found), left)


def _left_s(one: Member, took: dict[str, list[float]], now: float) -> float | None:
    forecast = fmean(took[one.arm]) if one.arm in took else one.run.meta().get("forecast_s")
    if one.row.status not in watch.LIVE:
        return forecast
    try:
        return watch.progress(snapshot(one.run), one.row.status, now, forecast).left_s
    except LabError:
        return forecast


def show_progress(now: Now) -> None:
    """`4 of 12 runs are done`, which one trains, when the last will end."""
    n, done = len(now.runs), len(now.done)
    st.progress(done / n if n else 0.0, f"{done} of {n} runs are done.")
    lines = []
    for one in now.having(*watch.LIVE):
        lines.append(f"Training now: **{plain(arm_title(one.arm))}**, seed {one.seed}.")
    if now.moving and now.left_s:
        end = time.strftime("%H:%M", time.localtime(time.time() + now.left_s))
        lines.append(f"About {fmt.minutes(now.left_s)} to go: it ends at about {end}.")
    for status, words in (("failed", "failed"), ("lost", "lost"), ("stopped", "stopped"),
                          ("cancelled", "taken out of the queue")):  # fmt: skip
        if found := now.having(status):
            lines.append(f"{len(found)} {words}.")
    if lines:
        st.markdown(" ".join(lines))


def grid(now: Now) -> pd.DataFrame:
    """A row an arm, a column a seed: error rate, or how that run stands."""
    cells = by_cell(list(now.runs))
    arms = dict.fromkeys(
        [*(arm.name for arm in now.experiment.arms), *(one.arm for one in now.runs)]
    )
    seeds = sorted({one.seed for one in now.runs} | set(now.experiment.seeds))
    rows = []
    for arm in arms:
        found = {f"seed {seed}": _cell(cells.get((arm, seed))) for seed in seeds}
        rows.append({"arm": arm_title(arm), **found})
    return pd.DataFrame(rows)


def _cell(one: Member | None) -> str:
    if one is None:
        return fmt.MISSING
    row = one.row
    if row.status == "finished":
        return fmt.percent(row.error_rate)
    if row.status == "running" and row.total_epochs:
        return f"epoch {min(row.epochs + 1, row.total_epochs)} of {row.total_epochs}"
    return watch.look(row.status)[0].lower()


def show_grid(table: pd.DataFrame, key: str, alt: str) -> None:
    """The table of arms and seeds."""
    config = {
        name: st.column_config.TextColumn(alignment="right", width="small")
        for name in table.columns
        if name != "arm"
    }
    config["arm"] = st.column_config.TextColumn("", width="medium", pinned=True)
    st.dataframe(table, hide_index=True, key=key, column_config=config, alt=alt)


def failures(now: Now) -> list[str]:
    """What the failed runs say, each once, as Markdown."""
    said = Counter(one.row.message for one in now.having("failed") if one.row.message)
    return [
        f"{plain(words)}{f' ({count} runs)' if count > 1 else ''}" for words, count in said.items()
    ]


def earlier_table(found: Sequence[Experiment], rows: Sequence[RunRow]) -> pd.DataFrame:
    """A row an experiment: question, how far, when."""
    states: dict[str, list[str]] = {}
    by_id = {row.id: row for row in rows}
    for row in rows:
        if row.experiment:
            states.setdefault(row.experiment, []).append(row.status)
    for one in found:
        lent = [by_id[run].status for run in one.borrowed if run in by_id]
        states.setdefault(one.id, []).extend(lent)
    return pd.DataFrame(
        {
            "experiment": [one.name for one in found],
            "question": [one.question or fmt.MISSING for one in found],
            "runs": [_how_far(states.get(one.id, [])) for one in found],
            "launched": [pd.Timestamp.fromtimestamp(one.created) for one in found],
        }
    )


def _how_far(states: Sequence[str]) -> str:
    done = sum(state == "finished" for state in states)
    if done == len(states):
        return f"all {done} done" if states else "no runs left"
    waiting = any(state in UNDER_WAY for state in states)
    return f"{done} of {len(states)} done{'' if waiting else ', the rest stands still'}"


def earlier(workspace: Workspace, rows: Sequence[RunRow]) -> None:
    """The list of all experiments; a click on a row opens it."""
    found = list_experiments(workspace)
    if not found:
        return
    st.subheader("Earlier questions")
    ids = tuple(one.id for one in found)
    st.dataframe(
        earlier_table(found, rows), hide_index=True, key="experiment.list",
        on_select=lambda: _open_selected(ids), selection_mode="single-cell",
        height=min(420, 40 + 35 * len(found)), alt=f"{len(found)} experiments",
        column_config={
            "question": st.column_config.TextColumn(width="large"),
            "launched": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
        },
    )  # fmt: skip
    st.caption("Click a row to open it.")


def _open_selected(ids: tuple[str, ...]) -> None:
    cells = st.session_state["experiment.list"]["selection"]["cells"]
    if cells and cells[0][0] < len(ids):
        open_experiment(ids[cells[0][0]])


def open_experiment(experiment_id: str) -> None:
    """Let the address say which experiment is shown; '': the form for a new one."""
    if experiment_id:
        st.query_params[PARAMETER] = experiment_id
    else:
        st.query_params.clear()
