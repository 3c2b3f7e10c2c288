"""What the network sees at each stage: true pictures through the true transforms, at true size.

    stage_views(recipe, n_items)       # asks the helper process; says in words while that warms up

Answers are kept in the session, stage by stage: an edit asks again only for what it changed. The
helper is asked in ticks, one stage at a time, so that the page never waits long for it.
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
from lab.ui.frame import start
from lab.ui.messages import guard, plain, show_error
from lab.ui.palette import recipe_sides, size_colour
from lab.ui.state import workspace

KEPT, ROLL, ASKED = "schedule.kept", "schedule.roll", "schedule.asked"
DRAWS, PATIENCE_S, TICK_S, MOST_KEPT = 2, 60.0, 0.7, 48
TITLES = ("In validation", "In training, at random", "In training, again")
_SEEN = ("size", "resize", "min_scale", "pad_mode", "presize_px", "augment", "valid_resize",
         "valid_crop_pct")  # fmt: skip
Answer = list[dict[str, Any]] | LabError


def stage_views(recipe: Recipe, n_items: int) -> None:
    """The same picture at every stage, side by side: as validated, then two training draws."""
    roll = st.session_state.setdefault(ROLL, 0)
    item = (roll * 7919 + recipe.seed) % max(n_items, 1)
    questions = [_question(recipe, stage, item, roll) for stage in range(len(recipe.stages))]
    kept: dict[str, Answer] = st.session_state.setdefault(KEPT, {})
    answers = [kept.get(question) for question in questions]
    for row, title in enumerate(TITLES):
        _row(recipe, answers, row, title)
    failed = next((answer for answer in answers if isinstance(answer, LabError)), None)
    if failed:
        show_error(failed)
        st.button("Try again", key="schedule.again", on_click=kept.clear)
    elif None in answers:
        _ask_soon(questions)
    else:
        st.button(
            "Show another picture", key="schedule.reroll", icon=":material/refresh:",
            on_click=_reroll,
        )  # fmt: skip


def _reroll() -> None:
    st.session_state[ROLL] += 1


def _question(recipe: Recipe, stage: int, item: int, roll: int) -> str:
    """All that a stage's pictures depend on: a recipe of that stage alone, as one text."""
    values = recipe.dump()
    seen = {name: values["stages"][stage][name] for name in _SEEN}
    asked = {"dataset": values["dataset"], "seed": recipe.seed, "stages": [seen]}
    return json.dumps([asked, item, roll], sort_keys=True)


def _ask_soon(questions: list[str]) -> None:
    """Say what is going on; ask in later ticks, so that the page itself is there at once."""

    @st.fragment(run_every=TICK_S)
    def waiting() -> None:
        first = st.session_state.get(ASKED) != questions
        st.session_state[ASKED] = questions
        missing = [question for question in questions if question not in st.session_state[KEPT]]
        if not helper_client.is_warm(workspace()):
            start(workspace())
            st.caption("The process that draws these warms up; the pictures come by themselves.")
            return
        st.caption("Drawing …")
        if missing and not first:
            _keep(missing[0], _answer(missing[0]))
        if len(missing) <= 1 and not first:
            st.rerun()

    with guard():
        waiting()


def _keep(question: str, answer: Answer) -> None:
    kept = st.session_state[KEPT]
    while len(kept) >= MOST_KEPT:
        del kept[next(iter(kept))]
    kept[question] = answer


def _answer(question: str) -> Answer:
    """Pictures [{item, kind, height, width, label, png}], or the words of what went wrong."""
    recipe, item, roll = json.loads(question)
    asked = {"recipe": recipe, "stage": 0, "items": [item], "draws": DRAWS, "roll": roll}
    try:
        values, pngs = helper_client.call(workspace(), "stage_views", asked, timeout=PATIENCE_S)
    except LabError as error:
        return error
    return [{**found, "png": png} for found, png in zip(values["pictures"], pngs, strict=True)]


def _row(recipe: Recipe, answers: list[Answer | None], row: int, title: str) -> None:
    sides = recipe_sides(recipe)
    crops, label = [], ""
    for index, pictures in enumerate(answers):
        if isinstance(pictures, list) and row < len(pictures):
            found, size, label = pictures[row], sides[index], pictures[row]["label"]
            words = f"stage {index + 1}, {fmt.size(found['height'], found['width'])}"
            alt = f"{label}, {found['kind']} picture of {words}"
            crops.append(Crop(found["png"], words, size_colour(size, sides), alt))
    if crops:
        st.markdown(f"**{title}**" + (f" :gray[{plain(label)}]" if row == 0 and label else ""))
        true_size_row(crops, key=f"schedule.views.{row}")
