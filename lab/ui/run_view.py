"""One run on the screen: how it stands, how far it is, its curves, its table, what was chosen.

now = live_part(run, View("epoch"))       # cheap: this is what a timed fragment draws
quiet_part(run)                           # what changes seldom: draws, choices, log
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from lab.data.csvsafe import safe_csv
from lab.jobs.client import StatusRow, queue, run_status
from lab.runs.folder import STOP, STOP_AFTER_STAGE, RunFolder
from lab.runs.status import supervision
from lab.schedules.plan import Plan, make_plan
from lab.ui import charts, choice_words, state, watch
from lab.ui import format as fmt
from lab.ui.charts.axis import AxisName
from lab.ui.charts.curves import What
from lab.ui.epoch_table import epoch_table, plain_table
from lab.ui.live_chart import live_chart
from lab.ui.messages import plain
from lab.ui.run_cache import Snapshot, snapshot

AXES = {"epoch": "epochs", "time": "time", "pixels": "pixels", "step": "steps"}
SMOOTHING = ["automatic", 0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99]


@dataclass(frozen=True)
class View:
    """How the reader wants the curves."""

    x: AxisName = "epoch"
    smoothing: float | None = None  # None: automatic
    log_y: bool = False


def view_controls() -> View:
    """Which axis, how smooth. The axis is part of the address."""
    x = st.segmented_control(
        "Along", list(AXES), format_func=AXES.get, default="epoch", key="runs.x",
        bind="query-params", required=True, label_visibility="collapsed",
    )  # fmt: skip
    with st.popover("Curves", icon=":material/tune:", key="runs.tune"):
        smoothing = st.select_slider(
            "Smoothing of the training loss", SMOOTHING, key="runs.smoothing",
            persist_state="session",
            help="Share of the past in the running mean. 0 shows every step as it was.",
        )  # fmt: skip
        log_y = st.toggle("Logarithmic scale", key="runs.log_y", persist_state="session")
    return View(x or "epoch", None if smoothing == SMOOTHING[0] else smoothing, log_y)


def live_part(run: RunFolder, view: View) -> StatusRow:
    """Everything that moves. Returns how the run stands, so that the page can react to its end."""
    workspace, now = state.workspace(), time.time()
    status, seen = run_status(workspace, run.id, now), snapshot(run)
    meta = run.meta()
    # A place for each part: what comes and goes above a chart would make the browser build the
    # chart anew, and the reader's zoom would be gone.
    top, curves, table = st.container(), st.container(), st.container()
    with top:
        _headline(status, seen, run, now)
        _numbers(watch.progress(seen, status.status, now, forecast_of(run, meta)), status, seen)
        _expected(seen, forecast_of(run, meta), watch.guess_words(meta))
        _chosen(seen)
    plan = plan_of(seen)
    if plan is None:
        curves.caption("The curves appear as soon as the pictures have been counted.")
        with table:
            _warnings(seen)
        return status
    with curves:
        _curves(seen, plan, view)
    with table:
        _epochs(seen, status.status)
        _warnings(seen)
    return status


def _headline(status: StatusRow, seen: Snapshot, run: RunFolder, now: float) -> None:
    """The status as a word and a sentence; what went wrong, with its remedy."""
    word, colour, icon = watch.look(status.status)
    expected = _expected_s(run.id) if status.status in watch.WAITING else None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(word, icon=icon, color=colour)  # type: ignore[arg-type]
        st.markdown(plain(watch.headline(status, seen, expected)), width="content")
    _trouble(status)
    if status.status in watch.LIVE and (wish := run.wish()):
        words = {STOP: "It saves and stops after this step.",
                 STOP_AFTER_STAGE: "It stops when this stage is done."}  # fmt: skip
        st.caption(words.get(wish, ""))


def _trouble(status: StatusRow) -> None:
    words = f"**{plain(status.message)}** {plain(status.fix)}".strip()
    if status.status == "failed":
        st.error(words, icon=":material/error:")
    elif status.status == "lost":
        reason = f" ({plain(status.message)})" if status.message else ""
        st.error(
            f"**The program that trained this run is gone{reason}.** Continue takes it up from its "
            "last save.",
            icon=":material/link_off:",
        )
    elif status.message and status.status in (*watch.WAITING, *watch.LIVE):
        st.caption(plain(status.message))
    if status.warning:
        st.warning(f"{plain(status.warning)} If it does not come back, stop and continue it.")


def _numbers(done: watch.Progress, status: StatusRow, seen: Snapshot) -> None:
    """The bar, and four numbers in figures of one width; nothing for a run that waits."""
    if status.status in watch.WAITING and not seen.started:
        return
    if status.status in (*watch.WAITING, *watch.LIVE) or done.share < 1:
        st.progress(done.share, text=plain(done.text))
    if not seen.started:
        return
    error = float(seen.epochs["error_rate"].iloc[-1]) if len(seen.epochs) else None
    live = status.status in (*watch.WAITING, *watch.LIVE)
    if status.status == "finished" and seen.stages:  # of the weights that are kept
        error = seen.stages[-1].get("final", {}).get("error_rate", error)
    with st.container(horizontal=True, gap="large", key="runs.numbers"):
        _number("Error rate now" if live else "Error rate", fmt.percent(error))
        _number("Time so far" if live else "Time", fmt.minutes(done.elapsed_s))
        if live:
            _number("Time left, about", fmt.minutes(done.left_s))
        speed = fmt.count(done.images_per_s) if done.images_per_s else fmt.MISSING
        _number("Pictures a second", speed)


def _expected(seen: Snapshot, forecast_s: float | None, guess: str) -> None:
    """What was expected before the launch, beside what came."""
    took = float(seen.epochs["seconds"].sum()) if run_is_whole(seen) else None
    words = [watch.forecast_words(forecast_s, took)]
    if guess:
        final = seen.stages[-1].get("final", {}) if took and seen.stages else {}
        came = f"; it came to {fmt.percent(final['error_rate'])}" if final else ""
        words.append(f"Your guess before the launch: {guess}{came}.")
    if any(words):
        st.caption(plain(" ".join(filter(None, words))))


def _chosen(seen: Snapshot) -> None:
    """What it runs on, once; and what it chose on the way, with reasons."""
    if words := choice_words.start_words(seen):
        st.caption(plain(words))
    if lines := choice_words.chosen_words(seen):
        said = " ".join(plain(line) for line in lines)
        st.markdown(f":material/auto_awesome: **Chosen while it ran.** {said}")


def _number(label: str, value: str) -> None:
    st.metric(label, value, width="content")


def _curves(seen: Snapshot, plan: Plan, view: View) -> None:
    """Over the whole schedule from the start; what has nothing to show yet is left out."""
    axis = charts.Axis.of(plan, view.x, seen.epochs["seconds"].tolist())
    known = seen.epochs[seen.epochs["global_epoch"] < len(plan.epochs)]
    steps = seen.steps[seen.steps["step"] < plan.total_steps]
    rows: list[tuple[What, What]] = [("loss", "error"), ("lr", "size")]
    for pair, height in zip(rows, (300, 190)):
        place = st.container()
        if pair[0] == "loss" and not seen.started:
            continue
        for column, what in zip(place.columns(2), pair):
            log_y = view.log_y and what in ("loss", "error")
            figure = charts.live_curves(
                known, steps, axis, what, smoothing=view.smoothing, log_y=log_y
            )
            with column:
                live_chart(figure, key=f"runs.curve.{what}.{seen.run.id}", height=height)
    if "second_accuracy" in seen.epochs:
        st.caption("Two labels are learnt: the training loss is of both, validation of the first.")
    if not seen.started:
        st.caption("This is the plan. Loss and error rate join it as soon as the training starts.")


def _epochs(seen: Snapshot, status: str) -> None:
    """The table; while an epoch is under way, its row is the last."""
    last = seen.latest if status == "running" else {}
    done = int(seen.epochs["global_epoch"].max()) + 1 if len(seen.epochs) else 0
    current = last if last and int(last["global_epoch"]) >= done else None
    if len(seen.epochs) or current:
        epoch_table(seen.epochs, seen.sides, f"runs.epochs.{seen.run.id}", current=current)
    if lines := choice_words.stage_words(seen):
        st.caption("  \n".join(_begin_bold(line) for line in lines))


def _warnings(seen: Snapshot) -> None:
    """What whoever reads the run should know; below the curves, so that these stay in place."""
    for warning in dict.fromkeys(seen.warnings[:5]):
        st.warning(plain(warning), icon=":material/warning:")
    if len(seen.warnings) > 5:
        st.caption(f"{len(seen.warnings) - 5} more warnings are in the log.")


def _begin_bold(line: str) -> str:
    """`**Stage 1:** 31 % wrong ...`: a line whose beginning up to the colon stands out."""
    begin, colon, rest = line.partition(": ")
    return f"**{plain(begin)}:** {plain(rest)}" if colon else plain(line)


def quiet_part(run: RunFolder) -> None:
    """What seldom changes: draws, choices, log."""
    seen = snapshot(run)
    with st.container(horizontal=True):
        if len(seen.epochs):
            st.download_button(
                "Epochs as CSV", safe_csv(plain_table(seen.epochs)), f"{run.id}-epochs.csv",
                "text/csv", key="runs.csv.epochs", on_click="ignore", icon=":material/download:",
            )  # fmt: skip
    _drawn(seen)
    _choices(seen)
    _log(run)


def _choices(seen: Snapshot) -> None:
    rows = choice_words.choice_rows(seen)
    box = st.expander("What was chosen for this run, and why", on_change="rerun", key="runs.why")
    if not box.open:
        return
    with box:
        if not rows:
            st.caption("Nothing is chosen yet: that happens when the worker has started.")
            return
        columns = ("what", "choice", "reason")
        st.table({name: [plain(row[name]) for row in rows] for name in columns})
        st.caption("Written once, and used again by every continuation of this run.")


def _drawn(seen: Snapshot) -> None:
    """What weighted sampling drew per class, beside how many pictures there are."""
    data = seen.started.get("data", {})
    if not seen.drawn or not data.get("train_counts"):
        return
    box = st.expander(
        "Which pictures weighted sampling drew", on_change="rerun", key="runs.drawn", expanded=True
    )
    if not box.open:
        return
    with box:
        for stage, counts in seen.drawn.items():
            if len(seen.drawn) > 1:
                st.markdown(f"**Stage {stage + 1}**")
            figure = charts.drawn_counts(data["classes"], data["train_counts"], counts)
            height = 90 + 34 * len(data["classes"])
            live_chart(figure, key=f"runs.drawn.{stage}.{seen.run.id}", height=height)
        st.caption(
            "As many draws as there are pictures, rare classes as often as common ones: pictures "
            "of rare classes come several times an epoch, and nothing is thrown away. Read the "
            "balanced error beside the error rate."
        )


def _log(run: RunFolder) -> None:
    box = st.expander("Log", on_change="rerun", key="runs.log")
    if not box.open:
        return
    with box:
        text = watch.log_tail(run.log)
        if text.strip():
            st.code(text, language=None, height=320)
        else:
            st.caption("The log is empty: the worker had nothing to say beyond the above.")


def plan_of(seen: Snapshot) -> Plan | None:
    """The run's plan; before it has started, what the facts of its data promise."""
    if seen.plan is not None:
        return seen.plan
    data = state.facts_of(seen.recipe).data
    return make_plan(seen.recipe, data.n_train, seen.recipe.model.groups) if data else None


def forecast_of(run: RunFolder, meta: dict) -> float | None:
    """Seconds that were forecast at the launch."""
    return meta.get("forecast_s") or supervision(run).get("forecast_s")


def run_is_whole(seen: Snapshot) -> bool:
    """Whether every epoch of the schedule is done."""
    return len(seen.epochs) == seen.total_epochs


def _expected_s(run_id: str) -> float | None:
    rows = queue(state.workspace())
    return next((row.expected_s for row in rows if row.id == run_id), None)
