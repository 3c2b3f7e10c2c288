"""Which run, and which of its stages: the same choice on the pages that look at finished ones.

run, stage, info = run_and_stage("inspect")     # info: scores.json; ends the page without one
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import streamlit as st

from lab.recipe.stage import Size, hw
from lab.runs.folder import RunFolder
from lab.runs.index import RunRow, list_runs
from lab.ui import format as fmt
from lab.ui import state
from lab.ui.messages import plain

WATCHED = "lab.watch"  # the run that this session looked at last
_MOST = 200


def run_and_stage(page: str) -> tuple[RunFolder, int, dict[str, Any]]:
    """Two select boxes. Without a finished stage the page says what to do instead, and ends."""
    rows = {row.id: row for row in list_runs(state.workspace(), limit=_MOST)}
    if not rows:
        _none_yet()
    left, right = st.columns([3, 2])
    now, key = time.time(), f"{page}.run"
    names = told_apart({row.id: run_label(row, now) for row in rows.values()})
    st.session_state[key] = _usual(rows, page)
    chosen = left.selectbox(
        "Run", list(rows), format_func=lambda run_id: names.get(run_id, run_id), key=key,
        on_change=_picked, args=(page,),
    )  # fmt: skip
    run = RunFolder(state.workspace().run(chosen))
    stages = run.finished_stages()
    if not stages:
        _not_finished(rows[chosen])
    scores = {stage: run.scores(stage) for stage in stages}
    stage = right.selectbox(
        "Stage", stages, index=len(stages) - 1,
        format_func=lambda number: stage_label(number, scores.get(number, {})),
        key=f"{page}.stage.{chosen}", persist_state="session",
    )  # fmt: skip
    if not scores[stage].get("model"):
        st.error(
            "**The scores of this stage cannot be read.** Choose another stage or run.",
            icon=":material/error:",
        )
        st.stop()
    return run, stage, scores[stage]


def run_label(row: RunRow, now: float) -> str:
    """`Quick demo, 64 → 128 px, 12.3 % error, 3 min ago`."""
    parts = [row.name or row.id, f"{row.sizes}{fmt.SPACE}px" if row.sizes else ""]
    if row.error_rate is not None:
        parts.append(f"{fmt.percent(row.error_rate)} error")
    elif row.status != "finished":
        parts.append(row.status)
    parts.append(fmt.ago(row.created, now) if row.created else "")
    return ", ".join(part for part in parts if part)


def told_apart(labels: Mapping[str, str]) -> dict[str, str]:
    """id -> label, with (a part of) the id where two labels are the same.

    Streamlit 1.67 finds a choice again by its label: of two equal ones it takes the last.
    """
    often = Counter(labels.values())
    tails = Counter((label, key[-4:]) for key, label in labels.items())
    return {
        key: label if often[label] == 1
        else f"{label} ({key[-4:] if tails[label, key[-4:]] == 1 else key})"
        for key, label in labels.items()
    }  # fmt: skip


def stage_label(number: int, info: dict[str, Any]) -> str:
    """`Stage 2, 96 px: 14.0 % error at 128 px`; its own size is not said twice."""
    if not info.get("final"):
        return f"Stage {number + 1}"
    error = fmt.percent(info["final"]["error_rate"])
    own, final = size_words(info["size"]), size_words(info["final_size"])
    where = "" if own == final else f" at {final}"
    return f"Stage {number + 1}, {own}: {error} error{where}"


def size_words(size: Size) -> str:
    """`128 px` or `256×192 px`."""
    return fmt.size(*hw(tuple(size) if isinstance(size, list) else size))


def _usual(rows: dict[str, RunRow], page: str) -> str:
    """The run picked here, else that of the address, else the one looked at last, else the newest.

    One picked here counts until another page looks at another one.
    """
    picked, watched = st.session_state.get(f"{page}.picked"), st.session_state.get(WATCHED)
    if picked in rows and picked == watched:
        return picked
    for wanted in (st.query_params.get("run"), watched):
        if wanted in rows and RunFolder(state.workspace().run(wanted)).finished_stages():
            return wanted
    finished = [row.id for row in rows.values() if row.status == "finished"]
    return finished[0] if finished else next(iter(rows))


def _picked(page: str) -> None:
    run_id = st.session_state[f"{page}.run"]
    st.session_state[f"{page}.picked"] = st.session_state[WATCHED] = run_id


def _none_yet() -> None:
    st.info(
        "**There is no run yet.** Train one first: the quick demo takes a minute or two.",
        icon=":material/info:",
    )
    if st.button("Go to the schedule", type="primary", key="choose.schedule"):
        st.switch_page("pages/schedule.py")
    st.stop()


def _not_finished(row: RunRow) -> None:
    """Words for a run that has nothing to show yet."""
    name = plain(row.name or row.id)
    progress = f", {row.epochs} of {row.total_epochs} epochs done" if row.total_epochs else ""
    st.warning(
        f"**{name} has no finished stage yet** ({plain(row.status)}{progress}). "
        "Choose another run, or wait until its first stage is done.",
        icon=":material/hourglass_empty:",
    )
    if st.button("Watch this run", type="primary", key="choose.watch"):
        st.session_state[WATCHED] = row.id
        st.switch_page("pages/runs.py")
    st.stop()
