"""Data: which pictures it learns from, what is in them, how they are divided."""

import json
import time

import streamlit as st

from lab.data.catalog import delete_dataset, list_datasets
from lab.errors import LabError
from lab.recipe.dataset import Split
from lab.ui import data_sources, data_views, pictures, state, tasks
from lab.ui import format as fmt
from lab.ui.messages import guard, plain, show_error

CHOSEN = "data.chosen"

st.title("What should it learn from?")
made = tasks.watch(data_sources.SLOT, data_sources.KINDS)
if made:
    st.session_state[CHOSEN] = made["dataset"]

# Choose one that is there, or add another
lines = {line.id: line for line in list_datasets(state.workspace())}
if not lines:
    st.info(
        "**There are no pictures here yet.** The quickest start is to draw leaves; your own "
        "pictures come as a zip or from a folder.",
        icon=":material/info:",
    )
    data_sources.offer(primary=True)
    st.stop()

if st.session_state.get(CHOSEN) not in lines:
    in_draft = state.dataset_of(state.draft())
    st.session_state[CHOSEN] = (
        in_draft.id if in_draft and in_draft.id in lines else next(iter(lines))
    )
now = time.time()
names = data_views.names_of(lines.values())
with st.container(height=340 if len(lines) > 5 else "content", border=len(lines) > 5):
    chosen = st.radio(
        "Data sets", list(lines), key=CHOSEN, persist_state="session",
        format_func=lambda dataset_id: names.get(dataset_id, dataset_id),
        captions=[plain(data_views.line_words(line, now)) for line in lines.values()],
    )  # fmt: skip
with st.expander("Add another data set", icon=":material/add:"):
    data_sources.offer(primary=False)


def offer_delete() -> None:
    """Asks once more, as nothing brings it back."""
    with st.popover("Delete", icon=":material/delete:"):
        st.write(
            "Runs trained on it keep their results, but cannot go on or be looked into picture by "
            "picture. Pictures in a folder of the server stay there."
        )
        if st.button("Delete this data set", key="data.delete"):
            with guard():
                delete_dataset(state.workspace(), chosen)
            del st.session_state[CHOSEN]
            st.rerun()


stamp = pictures.stamp_of(chosen)
try:
    dataset = state.opened(chosen, stamp)
except LabError as error:
    show_error(error)
    offer_delete()
    st.stop()

# The chosen one: what it is, and the next step
st.divider()
title, action = st.columns([3, 2], vertical_alignment="bottom")
title.subheader(plain(dataset.name))
facts = st.container(horizontal=True, gap="large")
facts.metric("Pictures", fmt.count(len(dataset)), width="content")
facts.metric("On disk", fmt.bytes_of(lines[chosen].bytes), width="content")
short = dataset.audit.short_px[1]
facts.metric("Short side (median)", fmt.size(short, short), width="content")
findings = st.container()

# How it is divided, and how many of each class that gives
st.subheader("Classes and parts", anchor=False)
chart, form = st.columns([3, 2], gap="large")
kept = st.session_state.setdefault("lab.splits", {})  # widgets forget; this does not
drafted = state.dataset_of(state.draft())
current = state.draft().dataset.split if drafted and drafted.id == chosen else Split()
usual = kept.get(chosen) or {"split": current.model_dump(), "target": ""}
with form:
    targets = list(dataset.targets)
    target = usual["target"] if usual["target"] in targets else targets[0]
    if len(targets) > 1:
        target = st.selectbox(
            "What to learn", targets, targets.index(target), key=f"data.target.{chosen}"
        )
    split = data_views.split_form(dataset, Split(**usual["split"]), f"data.split.{chosen}")
    kept[chosen] = {"split": split, "target": target}
    with guard():
        found = data_views.divided(chosen, stamp, json.dumps(split), target)
    n = {part: fmt.count(len(getattr(found.parts, part))) for part in ("train", "valid", "test")}
    st.write(f"**{n['train']}** to train on, **{n['valid']}** to validate, **{n['test']}** locked.")
    st.caption(
        "The test part is locked: no curve, no choice and no comparison ever looks at it, so "
        "that a last score on it is honest."
    )
with chart:
    data_views.class_chart(found.table, key="data.classes")
    st.caption(data_views.uneven_words(found.table))
facts.metric("Classes", fmt.count(len(found.table)), width="content")

with findings:
    data_views.findings([*dataset.audit.problems, *found.problems])
if action.button(
    "Use this data set in the schedule", type="primary", key="data.use", width="stretch",
    disabled=dataset.audit.too_many_unreadable,
):  # fmt: skip
    state.use_dataset(chosen)
    recipe = state.draft()
    chosen_data = recipe.dataset.but(split=split, target=target)
    state.set_draft(recipe.but(dataset=chosen_data.model_dump()))
    st.switch_page("pages/schedule.py")


# What the pictures look like
@st.fragment
def show_samples() -> None:
    classes = list(found.parts.classes)
    head, more, again = st.columns([4, 2, 1], vertical_alignment="bottom")
    head.subheader("Pictures", anchor=False)
    starts = list(range(0, len(classes), data_views.CLASSES_SHOWN))
    first = 0
    if len(starts) > 1:
        last = data_views.CLASSES_SHOWN
        first = more.selectbox(
            "Classes", starts, key=f"data.page.{chosen}", label_visibility="collapsed",
            format_func=lambda at: f"Classes {at + 1} to {min(at + last, len(classes))}",
        )  # fmt: skip
    roll = st.session_state.setdefault("data.roll", 0)
    if again.button("Others", icon=":material/casino:", key="data.reroll", width="stretch"):
        roll = st.session_state["data.roll"] = roll + 1
    data_views.samples(dataset, stamp, found.parts.labels, classes, roll, first)


show_samples()
st.subheader("What sizes make sense", anchor=False)
st.write(data_views.size_words(dataset))
data_views.size_chart(dataset, key="data.sizes")
data_views.one_at_sizes(dataset, st.session_state["data.roll"], key="data.crops")
files = st.expander("Files", on_change="rerun", key="data.files")
if files.open:
    with files:
        data_views.files_table(dataset)
offer_delete()
