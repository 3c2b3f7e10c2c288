"""Inspect: what the network sees, and when another look at a picture helps."""

import streamlit as st

from lab.analysis.tta import tta_report
from lab.ui import choose, look_again, picks, tasks
from lab.ui.evidence import evidence
from lab.ui.messages import guard, plain

st.title("What does it see, and when does another look help?")
with guard():
    run, stage, info = choose.run_and_stage("inspect")
    recipe = run.recipe()
here = f"{run.id}.{stage}"
said = evidence(run, stage)
if said is None:
    st.error(
        "**The predictions of this stage cannot be read.** Choose another stage, or score it "
        f"again: `python -m lab evaluate {plain(run.id)} --stage {stage}`",
        icon=":material/error:",
    )
    st.stop()
if second := info["model"].get("second_target"):
    first = info["model"].get("target") or "the first label"
    st.caption(plain(f"It learnt two labels. Here is {first}; for {second} see the Runs page."))

# Over the whole validation part: look again, and what that changed
st.subheader("Over all validation pictures", anchor=False)
st.write(
    "The network looks at each picture several more times, through the random changes it was "
    "trained with, and its answers are averaged (test-time augmentation)."
)
many, weight, action = st.columns([2, 3, 3], vertical_alignment="bottom", gap="medium")
stored = said.views.shape[1] if said.views is not None else 0
k = many.number_input(
    "Views", 1, 64, stored or max(recipe.evaluation.tta_views, 1), key=f"inspect.views.{here}",
    help="Random views of each picture, besides the plain one. Each costs as much as one look.",
)  # fmt: skip
beta = weight.slider(
    "Weight of the plain picture", 0.0, 1.0, said.beta, 0.05, key=f"inspect.beta.{here}",
    help="The views share the rest. Averaged again from what is stored: nothing is run for it.",
)  # fmt: skip
if action.button(
    f"Look again with {k} view{'s' if k > 1 else ''}", key="inspect.look", width="stretch",
    type="secondary" if stored == k else "primary", disabled=tasks.busy(f"tta.{here}"),
):  # fmt: skip
    arguments = {"run": run.id, "stage": stage, "views": int(k), "beta": recipe.evaluation.tta_beta}
    with guard():
        tasks.start(f"tta.{here}", "tta", arguments)
    st.rerun()
if tasks.watch(f"tta.{here}", ("tta",), {"run": run.id, "stage": stage}):
    st.rerun()
if said.views is None:
    st.info(
        "**Nobody has looked again yet.** Until then: what the plain pictures gave.",
        icon=":material/visibility:",
    )
else:
    report = tta_report(said.plain, said.views, said.target, beta)
    look_again.summary(report)
average = said.average(beta)

# Picture by picture
st.subheader("Picture by picture", anchor=False)
ready = look_again.helper_is_ready()
dataset_id = look_again.dataset_of(run, recipe)


@st.fragment(run_every=None if ready else 1.0)
def picture_by_picture() -> None:
    """Its own fragment: choosing a picture redraws nothing above."""
    if not ready and look_again.helper_is_ready():
        st.rerun()
    rows, places = picks.choose(said, average, beta, here)
    if not len(rows):
        st.write("There are no such pictures.")
        return
    row = st.session_state.get(f"inspect.row.{here}")
    row = row if row in rows else int(rows[0])
    page = look_again.turn_pages(len(rows), f"inspect.page.{here}", places)
    clicked = look_again.choose_picture(said, rows, average, dataset_id, page, row)
    if clicked is not None and clicked != row:
        st.session_state[f"inspect.row.{here}"] = clicked
        st.rerun(scope="fragment")
    look_again.show_looks(run, stage, said, row, beta, int(k))


with guard():
    picture_by_picture()
