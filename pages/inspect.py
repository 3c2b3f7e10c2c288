"""Inspect: what the network sees, and when another look at a picture helps."""

import streamlit as st

from lab.analysis.metrics import confusion
from lab.analysis.tta import tta_report
from lab.errors import LabError
from lab.ui import charts, choose, look_again, tasks
from lab.ui.evidence import FILTERS, NEED_VIEWS, evidence, in_cell, picked
from lab.ui.live_chart import live_chart
from lab.ui.messages import guard, plain, show_error

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
ready = look_again.helper_is_ready()
dataset_id = look_again.dataset_of(run, recipe)


def choose_by_cell() -> None:
    """The confusion matrix; a click on a cell shows its pictures."""
    with st.expander("Which classes are mixed up", on_change="rerun", key="inspect.mixed") as box:
        if not box.open:
            return
        st.caption("Rows: the true class. Columns: the answer. Click a cell to see its pictures.")
        chart = charts.heat_map(list(said.classes), confusion(average, said.target).tolist())
        height = min(24 * len(said.classes) + 150, 760)
        clicked = live_chart(chart, "inspect.confusion", height, clickable=True)
        if clicked and clicked.get("customdata"):
            st.session_state[f"inspect.cell.{here}"] = tuple(clicked["customdata"])
            st.session_state.pop(f"inspect.row.{here}", None)


@st.fragment(run_every=None if ready else 1.0)
def picture_by_picture() -> None:
    if not ready and look_again.helper_is_ready():
        st.rerun()
    choose_by_cell()
    cell = st.session_state.get(f"inspect.cell.{here}")
    if cell:
        rows = in_cell(said, average, *cell)
        true, answer = (plain(said.classes[number]) for number in cell)
        words, back = st.columns([4, 1], vertical_alignment="center")
        words.write(f"True **{true}**, answered **{answer}**:")
        if back.button("All filters", key="inspect.uncell", width="stretch"):
            del st.session_state[f"inspect.cell.{here}"]
            st.rerun(scope="fragment")
    else:
        kinds = [kind for kind in FILTERS if stored or kind not in NEED_VIEWS]
        sizes = {kind: len(picked(said, kind, beta)) for kind in kinds}
        kind = st.segmented_control(
            "Show", kinds, default="corrected" if sizes.get("corrected") else "wrong",
            format_func=lambda kind: look_again.filter_label(kind, sizes[kind]), required=True,
            key=f"inspect.filter.{here}.{bool(stored)}", persist_state="session",
        )  # fmt: skip
        names = dict(enumerate(said.classes))
        of_class = st.selectbox(
            "Of class", [-1, *names], key=f"inspect.class.{here}", persist_state="session",
            format_func=lambda number: names.get(number, "Every class"),
        )  # fmt: skip
        rows = picked(said, kind, beta, of_class)
    if not len(rows):
        st.write("There are no such pictures.")
        return
    row = st.session_state.get(f"inspect.row.{here}")
    row = row if row in rows else int(rows[0])
    page = look_again.turn_pages(len(rows), key=f"inspect.page.{here}")
    clicked = look_again.choose_picture(said, rows, average, dataset_id, page, row)
    if clicked is not None and clicked != row:
        st.session_state[f"inspect.row.{here}"] = clicked
        st.rerun(scope="fragment")
    st.divider()
    look_again.show_looks(run, stage, said, row, beta, int(k))


st.subheader("Picture by picture", anchor=False)
try:
    picture_by_picture()
except LabError as error:
    show_error(error)
