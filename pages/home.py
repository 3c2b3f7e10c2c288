"""Home: the idea in a picture, a demo in one click with the guess first, the runs there are."""

import streamlit as st

from lab.runs.index import list_runs
from lab.ui import format as fmt
from lab.ui.demo import ROLES, DemoResult, hero_picture, latest_demo
from lab.ui.launch import guess_inputs, launch_demo
from lab.ui.messages import guard, plain
from lab.ui.run_actions import WATCHED
from lab.ui.run_table import run_table
from lab.ui.state import facts_of, workspace

LEAF = (
    "A diseased leaf at 64, 96 and 128 pixels a side; its spots show rings only in the larger ones"
)
NAMES = {"progressive": "Growing sizes", "fixed": "One size"}


def open_run(run_id: str) -> None:
    """Show a run on the Runs page."""
    st.session_state[WATCHED] = run_id
    st.switch_page("pages/runs.py")


def result_card(demo: DemoResult) -> None:
    """Both error rates beside the guess, both times, the verdict."""
    with st.container(border=True, key="home-result"):
        st.subheader("Your latest demo")
        with st.container(horizontal=True, gap="large"):
            for role in ROLES:
                row, guess = demo.rows[role], demo.guess.get(role)
                words = f"you guessed {fmt.percent(guess)}" if guess is not None else "no guess"
                with st.container(width=300, gap="xsmall"):
                    st.metric(
                        f"{NAMES[role]}, {row.sizes} px: error", fmt.percent(row.error_rate),
                        words, delta_color="off", delta_arrow="off",
                    )  # fmt: skip
                    st.caption(f"trained for {fmt.minutes(row.seconds)}")
        st.markdown(plain(demo.verdict))
        if demo.pixel_share is not None:
            st.caption(
                f"Growing sizes trained on {fmt.percent(demo.pixel_share, 0)} of the pixels of one "
                "size, more epochs of smaller pictures: about the same cost. It is one seed on one "
                "easy set; your own pictures may say otherwise."
            )
        if st.button("See why on Compare", key="home.compare", icon=":material/balance:"):
            st.session_state[WATCHED] = demo.rows["progressive"].id
            st.switch_page("pages/compare.py")


st.title("Does it help to start small?")
left, right = st.columns([5, 6], gap="large", vertical_alignment="center")
with left:
    st.markdown(
        "A network that learns to tell pictures apart need not see them at full size from the "
        "start: small pictures are cheap, and the coarse things are learned from them first. "
        "This lab trains on small pictures first and on larger ones later (*progressive "
        "resizing*), and shows honestly whether that was better, faster, or neither."
    )
right.image(hero_picture(), width=540, alt=LEAF)

with guard():
    runs = list_runs(workspace())
if demo := latest_demo(workspace(), runs):
    result_card(demo)

with st.container(border=True, key="home-demo"):
    st.subheader("Try it: two short runs")
    st.markdown(
        "Ten kinds of leaves, healthy and diseased, drawn by the lab. One network grows from 64 to "
        "128 px; another of the same kind sees 128 px all along, for as many pixels and so about "
        "as long. **Guess first:** which share of new leaves will each get wrong? (Always saying "
        "*healthy* is wrong on four in five. You may skip the guess.)"
    )
    guess = guess_inputs("home")
    if st.button("Run the demo", key="home.demo", type="primary", icon=":material/play_arrow:"):
        with guard():
            started = launch_demo(workspace(), facts_of, guess)
        open_run(started[0].id)

st.subheader("Your runs")
if not runs:
    st.markdown("None yet. Run the demo above, or make a schedule of your own.")
    st.page_link("pages/schedule.py", label="Make a schedule", icon=":material/stairs:")
else:
    st.caption("Click a run to open it.")
    if clicked := run_table(runs, key="home.runs"):
        open_run(clicked)
