"""Experiment: ask a question, launch its arms and seeds as one, see how far they are."""

import time

import streamlit as st

from lab.errors import LabError
from lab.jobs.experiments import launch
from lab.recipe.check import errors_of
from lab.recipe.experiment import plain_name, suggested_question
from lab.runs.experiments import Experiment, read_experiment
from lab.runs.index import list_runs
from lab.schedules.expected import total_seconds
from lab.ui import experiment_form as form
from lab.ui import experiment_view as view
from lab.ui import format as fmt
from lab.ui.experiment_show import show
from lab.ui.launch import device_here, grows, guess_inputs, guess_of
from lab.ui.messages import guard, place, plain, show_error, show_problems
from lab.ui.state import facts_of, workspace


def opened() -> Experiment | None:
    """The experiment of the address; None: a new one is to be asked."""
    wanted = st.query_params.get(view.PARAMETER, "")
    if not wanted:
        return None
    try:
        return read_experiment(workspace(), wanted)
    except LabError as error:
        show_error(error)
        return None


def ask() -> None:
    """The form."""
    st.title("What do you want to find out?")
    st.caption(
        "A question becomes an experiment: one schedule, its fair opponents on the same pictures, "
        "and several seeds, so that luck can be told from method."
    )
    with guard():
        source = form.choose_source(rows, time.time())
    recipe = source.recipe
    st.markdown(f"**The reference.** {plain(form.reference_words(recipe))}")
    device = device_here(workspace()) if source.device == "auto" else source.device
    known = lambda made: facts_of(made, device)  # noqa: E731
    left, right = st.columns([6, 5], gap="large")
    with left, guard():
        design, each = form.compose(source, known)
    with right:
        trained = recipe.seed if source.run and recipe.seed in design.seeds else None
        total = total_seconds(design, each, done=int(trained is not None))
        st.subheader("What it will be")
        st.table(form.outlook(design, each, trained))
        st.metric("Expected time in all", fmt.minutes(total), width=220)
        later = "" if total else " No time is known: measure this network on the Schedule page."
        st.caption(f"{form.outlook_words(design)}, one after the other, seed by seed.{later}")
        launch_box(source, design, each, total, known)


def launch_box(source, design, each, total, known) -> None:
    """Name, question, guess, what is wrong, and the one primary action."""
    recipe = source.recipe
    form.following("experiment.name", plain_name(recipe))
    form.following("experiment.question", suggested_question(design))
    question = st.text_area("The question", key="experiment.question", max_chars=500, height=104,
                            persist_state="session")  # fmt: skip
    name = st.text_input("Name", key="experiment.name", max_chars=100, persist_state="session")
    st.caption("Your guess is kept and shown beside the result. You may skip it.")
    guess = guess_inputs("experiment", grows(recipe))
    found = form.problems_with(design, known)
    errors = errors_of([problem for _, problem in found])
    for arm, problem in found:
        where = ", ".join(filter(None, (form.arm_title(arm) if arm else "", place(problem.where))))
        with_arm = f"{plain(where)}: " if where else ""
        if problem.level == "error":
            st.error(f"{with_arm}**{plain(problem.what)}** {plain(problem.fix)}")
    doubts = [(arm, problem) for arm, problem in found if problem.level != "error"]
    if doubts:
        with st.expander(f"{len(doubts)} things to know before", key="experiment.doubts"):
            show_problems([problem for _, problem in doubts])
    if st.button("Launch the experiment", key="experiment.launch", type="primary",
                 icon=":material/play_arrow:", disabled=bool(errors)):  # fmt: skip
        with guard():
            made, _ = launch(
                workspace(), design, of=source.run, name=name, question=question, seconds=each,
                device=source.device, forecast_s=total, meta={"prediction": guess_of(guess)},
            )  # fmt: skip
        view.open_experiment(made.id)
        st.rerun()


with guard():
    rows = list_runs(workspace())
experiment = opened()
if experiment is not None:
    show(experiment)
else:
    ask()
view.earlier(workspace(), rows)
