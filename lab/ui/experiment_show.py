"""An experiment on the screen: how far it is, and what a person can do with it.

show(experiment)
"""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from lab.jobs.experiments import cancel_rest, continue_rest
from lab.recipe.experiment import REFERENCE
from lab.runs.experiments import Experiment
from lab.ui import experiment_form as form
from lab.ui import experiment_view as view
from lab.ui import format as fmt
from lab.ui.experiment_more import repeat
from lab.ui.messages import guard, plain
from lab.ui.report_button import report_button
from lab.ui.run_actions import PICKED, WATCHED
from lab.ui.state import workspace

TICK_S = 2.0


def show(experiment: Experiment) -> None:
    """How far it is; what can be done with it."""
    st.title(plain(experiment.question or experiment.name))
    about = [experiment.name, f"launched {fmt.ago(experiment.created, time.time())}"]
    if experiment.forecast_s:
        about.append(f"expected to take {fmt.minutes(experiment.forecast_s)}")
    st.caption(plain(", ".join(about)) + ".")
    with guard():
        first = view.standing_of(workspace(), experiment, time.time())
    _buttons(first)

    @st.fragment(run_every=TICK_S if first.moving else None)
    def live() -> None:
        """Only this is drawn anew at each tick; another state of a run redraws the page."""
        now = view.standing_of(workspace(), experiment, time.time())
        view.show_progress(now)
        words = f"{len(now.done)} of {len(now.runs)} runs are done"
        view.show_grid(view.grid(now), "experiment.grid_now", words)
        if now.stamp != first.stamp:
            st.rerun()

    with guard():
        live()
    for line in view.failures(first):
        st.error(line, icon=":material/error:")
    st.caption(
        "Error rates at the final size, on the validation part. Whether a difference is more than "
        "luck is said on Compare."
    )
    with st.expander("What each arm is", key="experiment.words"):
        for arm in experiment.arms:
            st.markdown(f"**{plain(form.arm_title(arm.name))}.** {plain(arm.words)}")


def _buttons(now: view.Now) -> None:
    """Compare what there is, watch, take out what waits, put back what stopped, more seeds."""
    experiment = now.experiment
    begun = [one for one in now.runs if one.row.epochs]
    with st.container(horizontal=True, gap="small"):
        if len(begun) > 1 and st.button(
            "Compare", key="experiment.compare", icon=":material/balance:", type="primary"
        ):
            _compare(now)
        live = now.having("starting", "running")
        if live and st.button(
            "Watch it train", key="experiment.watch", icon=":material/monitoring:"
        ):
            st.session_state[WATCHED] = live[0].run.id
            st.switch_page("pages/runs.py")
        if now.having("queued", "blocked"):
            _act("Cancel the rest", "cancel", "close", lambda: cancel_rest(workspace(), experiment))
        if now.having("stopped", "failed", "lost", "cancelled"):
            again = lambda: continue_rest(workspace(), experiment)  # noqa: E731
            _act("Go on with the rest", "again", "play_arrow", again)
        done = [one for one in now.done if one.arm == REFERENCE]
        if done and not now.moving and experiment.design is not None:
            with st.popover("More seeds", icon=":material/casino:", key="experiment.more"):
                more = st.number_input("More seeds", 1, 20, 2, key="experiment.more.count")
                if st.button("Repeat with them", key="experiment.more.go"):
                    with guard():
                        repeat(experiment, int(more))
                    st.rerun()
        if now.done:
            names = [experiment.id]
            report_button(workspace(), names, key="experiment.report", title=experiment.name)
        if st.button("Ask another question", key="experiment.new", icon=":material/science:"):
            view.open_experiment("")
            st.rerun()


def _compare(now: view.Now) -> None:
    """Go to the comparison of its runs that have begun."""
    ids = [one.run.id for one in now.runs if one.row.epochs]
    st.session_state.pop(PICKED, None)
    st.session_state[WATCHED] = ids[0]
    st.switch_page("pages/compare.py", query_params={"runs": ",".join(ids)})


def _act(words: str, key: str, icon: str, work: Callable[[], str]) -> None:
    """A button that does something and says what it did."""
    if st.button(words, key=f"experiment.{key}", icon=f":material/{icon}:"):
        with guard():
            st.toast(plain(work()))
        st.rerun()
