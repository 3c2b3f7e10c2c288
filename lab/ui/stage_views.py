"""What the network sees at each stage: true pictures through the true transforms, at true size.

    stage_views(recipe, items)         # asks the helper process; says in words while that warms up

The answer is kept in the session: a page that is drawn again does not ask again.
"""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from lab.errors import LabError
from lab.jobs import helper_client
from lab.recipe import Recipe
from lab.ui import format as fmt
from lab.ui.crops import Crop, true_size_row
from lab.ui.messages import plain, show_error
from lab.ui.palette import size_colour
from lab.ui.state import workspace

KEPT, ROLL = "schedule.views", "schedule.roll"
DRAWS, PATIENCE_S = 2, 120.0
_SEEN = ("size", "resize", "min_scale", "pad_mode", "presize_px", "augment", "valid_resize",
         "valid_crop_pct")  # fmt: skip


def stage_views(recipe: Recipe, n_items: int) -> None:
    """A row per stage: what validation shows, then two training draws of the same picture."""
    roll = st.session_state.setdefault(ROLL, 0)
    question = _question(recipe, n_items, roll)
    kept = st.session_state.get(KEPT, {})
    if kept.get("question") != question:
        _ask_soon(recipe, question)
        return
    if kept["error"]:
        show_error(kept["error"])
    for index, pictures in enumerate(kept["answer"]):
        _row(recipe, index, pictures)
    with st.container(horizontal=True):
        st.button("Show another picture", key="schedule.reroll", icon=":material/refresh:",
                  on_click=_reroll)  # fmt: skip


def _reroll() -> None:
    st.session_state[ROLL] += 1


def _question(recipe: Recipe, n_items: int, roll: int) -> str:
    """Everything that the pictures depend on, as one text."""
    stages = [stage.model_dump(mode="json", include=set(_SEEN)) for stage in recipe.stages]
    data = recipe.dataset.model_dump(mode="json", exclude={"split"})
    return json.dumps([data, stages, recipe.seed, n_items, roll], sort_keys=True)


def _ask_soon(recipe: Recipe, question: str) -> None:
    """Say what is going on; ask in a later tick, so that the page itself is there at once."""
    words = st.session_state.get(KEPT, {}).get("waited", 0)

    @st.fragment(run_every=0.6)
    def ticking() -> None:
        first = st.session_state.get("schedule.asking") != question
        st.session_state["schedule.asking"] = question
        warm = helper_client.is_warm(workspace())
        if not warm:
            helper_client.start(workspace())
            st.caption("The process that draws these is warming up; the pictures come by themselves.")
            return
        if first:
            st.caption("Drawing …")
            return
        with st.spinner("Drawing …"):
            st.session_state[KEPT] = {"question": question, **_answer(recipe, question)}
        st.rerun()

    del words
    ticking()


def _answer(recipe: Recipe, question: str) -> dict[str, Any]:
    *_, n_items, roll = json.loads(question)
    item = (roll * 7919 + recipe.seed) % max(n_items, 1)
    found: list[list[dict[str, Any]]] = []
    try:
        for index in range(len(recipe.stages)):
            asked = {"recipe": recipe.dump(), "stage": index, "items": [item], "draws": DRAWS,
                     "roll": roll}  # fmt: skip
            values, pngs = helper_client.call(workspace(), "stage_views", asked, timeout=PATIENCE_S)
            found.append([{**picture, "png": png} for picture, png in zip(values["pictures"], pngs)])
    except LabError as error:
        return {"answer": found, "error": error}
    return {"answer": found, "error": None}


def _row(recipe: Recipe, index: int, pictures: list[dict[str, Any]]) -> None:
    sides = [stage.size for stage in recipe.stages]
    stage = recipe.stages[index]
    colour = size_colour(stage.size, sides)
    names = {"test": "in validation", "train": "in training"}
    crops = [
        Crop(
            picture["png"],
            names.get(picture["kind"], picture["kind"]),
            colour,
            f"{picture['label']}, stage {index + 1}, {names.get(picture['kind'])}",
        )
        for picture in pictures
    ]
    label = pictures[0]["label"] if pictures and index == 0 else ""
    with st.container(key=f"schedule-views-{index}", gap="xsmall"):
        about = f" · a picture of *{plain(label)}*" if label else ""
        st.markdown(f"**Stage {index + 1}** :gray[{fmt.size(*stage.hw)}{about}]")
        true_size_row(crops, key=f"schedule.views.{index}")
