"""Schedule: choose sizes and epochs, see the cost and what the network sees, guess, launch."""

import streamlit as st

from lab.recipe.baselines import fixed_same_epochs
from lab.recipe.check import check, errors_of
from lab.schedules.budget import forecast
from lab.ui import charts, editing, tasks
from lab.ui import format as fmt
from lab.ui.draft_tools import json_tools, link_tools, open_link, presets
from lab.ui.launch import (
    against_key,
    device_here,
    grows,
    guess_inputs,
    launch,
    offered,
    plan_of,
    said_of,
)
from lab.ui.live_chart import live_chart
from lab.ui.messages import guard, plain, show_problems
from lab.ui.run_actions import WATCHED
from lab.ui.setup_forms import (
    data_form,
    network_form,
    rest_form,
    source_words,
    unknown_network,
)
from lab.ui.stage_cards import note, row_of, stage_cards
from lab.ui.stage_tools import stage_tools
from lab.ui.stage_views import stage_views
from lab.ui.state import facts_of, workspace


def cost_line() -> None:
    """Pixels against the fixed size, seconds and where they come from, a way to measure."""
    fixed = plan_of(fixed_same_epochs(recipe), facts)
    share = fmt.percent(plan.total_pixels / fixed.total_pixels, 0)
    size = fmt.size(*recipe.stages[-1].hw)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.metric("Expected time", fmt.minutes(cost.seconds), width=180)
        st.metric("Pixels to train on", fmt.pixels(plan.total_pixels), width=180)
        if st.button("Measure on this machine", key="schedule.measure", icon=":material/speed:",
                     help="Times a few real steps at each size; takes about ten seconds.",
                     disabled=bool(errors) or tasks.busy("schedule")):  # fmt: skip
            with guard():
                tasks.start("schedule", "calibrate", {"recipe": recipe.dump()})
    against = f"{share} of the pixels of the same {recipe.total_epochs} epochs at {size}. "
    basis = plain(cost.basis)
    if cost.seconds is None and not basis.startswith("nothing"):
        basis = "not known, because this network was never timed here. Measure it, or just launch"
    st.caption(f"{against if grows(recipe) else ''}Time: {basis}.")
    if tasks.watch("schedule", ("calibrate",)) is not None:
        st.rerun()


def notes(part: str) -> None:
    """What is doubtful or wrong with a part of the recipe, beside it; '': with the rest."""
    for problem in problems:
        of = problem.where.partition(".")[0]
        if row_of(problem) is None and (of if of in ("dataset", "model") else "") == part:
            note(problem)


st.title("How should the sizes grow?")
st.caption(
    "A schedule is a list of stages. Each stage trains for some epochs at one size; the weights go "
    "on to the next. Start from one that is known to work, and change it."
)
open_link()
with guard():
    recipe, rows = editing.current()
    facts = facts_of(recipe, device_here(workspace()))
presets(recipe)
if recipe.model.weights == "run" and recipe.model.run:
    st.markdown(f"It goes on from the weights of {plain(source_words(recipe.model))}.")

plan = plan_of(recipe, facts)
cost = forecast(recipe, plan, facts)
problems = [*check(recipe, facts), *unknown_network(recipe)]
errors = errors_of(problems)
show_problems(editing.refused())
if plan.epochs:
    found_later = {index for index, stage in enumerate(recipe.stages) if stage.lr == "finder"}
    live_chart(charts.timeline(plan, found_later), key="schedule.timeline", height=300)
    if words := charts.key_words(plan, found_later):
        st.caption(words)
    cost_line()

with st.container(horizontal=True, vertical_alignment="center"):
    st.subheader("The stages", width="stretch")
    stage_tools(recipe)
stage_cards(recipe, rows, problems, cost.stages)

left, right = st.columns(2, gap="large")
with left:
    st.subheader("The pictures")
    data_form(recipe, facts)
    notes("dataset")
with right:
    st.subheader("The network")
    network_form(recipe, facts)
    notes("model")
notes("")
more = st.expander(
    "More: optimizer, seed, division, scores", key="schedule.rest", on_change="rerun"
)
if more.open:
    with more:
        rest_form(recipe)
with st.container(horizontal=True):
    json_tools(recipe)
    link_tools(recipe)

st.subheader("What the network sees")
st.caption("The same picture as each stage gives it to the network, at true relative size.")
if facts.data is None:
    st.info("Choose pictures first: then they are shown here.", icon=":material/info:")
else:
    stage_views(recipe, facts.data.n_train + facts.data.n_valid + facts.data.n_test)

with st.container(border=True, key="schedule-launch"):
    st.subheader("What do you expect?")
    st.caption("Your guess is kept with the run and shown beside the result. You may skip it.")
    guess = guess_inputs("schedule", grows(recipe))
    with st.container(horizontal=True):
        key = editing.key("name")
        st.text_input(
            "Name", recipe.name, key=key, max_chars=120, on_change=editing.put,
            args=(("name",), key), width=300,
        )  # fmt: skip
        tags = st.multiselect(
            "Tags", [], key="schedule.tags", accept_new_options=True, width=300,
            placeholder="for the list of runs", persist_state="session",
        )  # fmt: skip
    key = editing.key("notes")
    st.text_area(
        "Notes", recipe.notes, key=key, max_chars=10_000, height=68, on_change=editing.put,
        args=(("notes",), key), width=620, placeholder="what you want to find out",
    )  # fmt: skip
    others = {name: said_of(name, recipe) for name in offered(recipe)}
    usual = ["fixed-same-epochs"] if grows(recipe) else []
    baselines = st.multiselect(
        "Also run, for a fair comparison", list(others), usual, disabled=not others,
        key=against_key(recipe), format_func=others.get,
        persist_state="session", placeholder="nothing else", width=620,
        help="They start by themselves, one after the other, with the same pictures and seed.",
    )  # fmt: skip
    if errors:
        st.markdown("**Before it can start:**")
        show_problems(errors)
    if st.button("Launch", key="schedule.launch", type="primary", icon=":material/play_arrow:",
                 disabled=bool(errors)):  # fmt: skip
        words = {"prediction": guess, "tags": tags, "notes": recipe.notes}
        with guard():
            runs = launch(workspace(), recipe, facts, baselines=baselines, **words)
        st.session_state[WATCHED] = runs[0].id
        st.switch_page("pages/runs.py")
