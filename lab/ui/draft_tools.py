"""Where a draft comes from and goes to: presets, undo, JSON, files, lesson links.

presets(recipe);  json_tools(recipe);  link_tools(recipe);  open_link()
"""

from __future__ import annotations

import json
import zlib

import streamlit as st

from lab.errors import LabError
from lab.recipe import Recipe, recipe_from
from lab.recipe.presets import PRESETS, preset_recipe
from lab.ui import editing
from lab.ui.lesson_link import PARAMETER, pack, unpack
from lab.ui.messages import plain, show_error

LINK, FILE = "schedule.link", "schedule.file"


def presets(recipe: Recipe) -> None:
    """Choose a preset, read its story, take an edit back."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        known = recipe.preset if recipe.preset in PRESETS else None
        names, key = list(PRESETS), editing.key("preset")
        st.selectbox(
            "Start from", names, names.index(known) if known else None, key=key,
            format_func=lambda name: PRESETS[name].title, placeholder="a preset",
            on_change=_load, args=(key,), width=460,
        )  # fmt: skip
        st.button(
            "Undo", key="schedule.undo", icon=":material/undo:", on_click=editing.undo,
            disabled=not editing.can_undo(), help="Take the last change back, a preset too.",
        )  # fmt: skip
        if known and recipe.dump() != {**preset_recipe(known).dump(), "name": recipe.name}:
            st.button("Start over", key="schedule.over", icon=":material/restart_alt:",
                      on_click=_load, args=(key,), help="The preset as it was.")  # fmt: skip
    if known:
        _story(known)


def _load(key: str) -> None:
    if name := st.session_state.get(key):
        editing.load(preset_recipe(name))


def _story(name: str) -> None:
    found = PRESETS[name]
    st.markdown(plain(found.story))
    if not (found.source or found.published or found.departures or found.caution):
        return
    with st.expander("Where it comes from, and what was published", key=f"schedule.story.{name}"):
        if found.source:
            st.markdown(f"**Source.** {plain(found.source)}")
        lists = {"Published": found.published, "What is different here": found.departures}
        for title, lines in lists.items():
            if lines:
                st.markdown(f"**{title}**\n" + "".join(f"\n- {plain(line)}" for line in lines))
        if found.caution:
            st.markdown(f"**Caution.** {plain(found.caution)}")


def json_tools(recipe: Recipe) -> None:
    """See and edit the recipe as JSON; take it home; bring one."""
    box = st.popover(
        "As JSON", icon=":material/data_object:", key="schedule.json", on_change="rerun"
    )
    with box:
        if not box.open:
            return
        text = json.dumps(recipe.dump(), indent=1, ensure_ascii=False)
        st.download_button("Download recipe.json", text, "recipe.json", "application/json",
                           key="schedule.download", icon=":material/download:",
                           on_click="ignore")  # fmt: skip
        st.file_uploader("Bring a recipe.json", "json", key=FILE, on_change=_upload)
        # Another text, another widget: what was edited in the cards meanwhile is shown.
        key = editing.key(f"json.{zlib.crc32(text.encode())}")
        st.text_area("The recipe", text, key=key, height=360)
        st.button("Take it over", key="schedule.json.apply", on_click=_apply, args=(key,))
        if error := st.session_state.get("schedule.json.error"):
            show_error(error)


def _apply(key: str) -> None:
    _take(st.session_state.get(key) or "")


def _upload() -> None:
    file = st.session_state.get(FILE)
    if file is not None:
        _take(file.getvalue().decode("utf-8-sig", errors="replace"))


def _take(text: str) -> None:
    """What is wrong is said; the text stays as it was written."""
    st.session_state["schedule.json.error"] = None
    try:
        recipe = recipe_from(json.loads(text))
        if recipe.dump() != st.session_state.get(editing.OURS):
            editing.load(recipe)
    except (ValueError, RecursionError) as error:
        words = f"This is not JSON: {error}."
        st.session_state["schedule.json.error"] = LabError(words, "Mend it.")
    except LabError as error:
        st.session_state["schedule.json.error"] = error


def link_tools(recipe: Recipe) -> None:
    """A link that opens this schedule, to hand out."""
    box = st.popover(
        "Lesson link", icon=":material/link:", key="schedule.lesson", on_change="rerun"
    )
    with box:
        if not box.open:
            return
        try:
            text = pack(recipe)
        except LabError as error:
            show_error(error)
            return
        address = (st.context.url or "").partition("?")[0]
        st.markdown("Whoever opens this link finds just this schedule. Copy it by its button.")
        st.code(f"{address}?{PARAMETER}={text}", language=None, wrap_lines=True, height=160)


def open_link() -> None:
    """Take over the schedule that came in the address, once."""
    text = st.query_params.get(PARAMETER, "")
    if not text or st.session_state.get(LINK) == text:
        return
    st.session_state[LINK] = text
    try:
        editing.load(unpack(text))
    except LabError as error:
        show_error(error)
        return
    st.toast("This schedule came with the link.", icon=":material/link:")
