"""The stages as cards, each with an edge in its size's colour: edit, add, duplicate, move, remove.

stage_cards(recipe, rows, problems, costs)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from lab.errors import Problem
from lab.recipe import Recipe
from lab.recipe.stage import Stage, hw
from lab.schedules.budget import StageCost
from lab.ui import editing
from lab.ui import format as fmt
from lab.ui.forms import field_input, in_form_words
from lab.ui.messages import plain
from lab.ui.palette import recipe_sides, size_colour
from lab.ui.stage_more import FRONT, put_size, stage_more
from lab.ui.stage_words import epochs_words, specials

MOST_STAGES = 24
_ROW = re.compile(r"stages\.(\d+)(?:\.|$)")


def stage_cards(
    recipe: Recipe, rows: Sequence[str], problems: Sequence[Problem], costs: Sequence[StageCost]
) -> None:
    """A card per stage, then the button that adds one."""
    sides = recipe_sides(recipe)
    _edges({row: size_colour(stage.size, sides) for row, stage in zip(rows, recipe.stages)})
    for index, (row, stage) in enumerate(zip(rows, recipe.stages)):
        mine = [problem for problem in problems if row_of(problem) == index]
        with st.container(border=True, key=f"schedule-card-{row}"):
            _head(index, len(rows), row, stage, costs[index])
            _front(row, stage)
            if also := specials(stage):
                words = "; ".join(also)
                st.caption(plain(f"{words[:1].upper()}{words[1:]}."))
            for problem in mine:
                note(problem)
            stage_more(row, stage)
    st.button(
        "Add a stage",
        key="schedule.add",
        icon=":material/add:",
        on_click=editing.add,
        disabled=len(rows) >= MOST_STAGES,
    )


def row_of(problem: Problem) -> int | None:
    """Which stage a problem is about; None for the rest of the recipe."""
    found = _ROW.match(problem.where)
    return int(found.group(1)) if found else None


def _edges(colours: dict[str, str]) -> None:
    rules = (
        f".st-key-schedule-card-{row} {{ border-left: 8px solid {colour}; }}"
        for row, colour in colours.items()
    )
    st.html(f"<style>{_TOOLS}{' '.join(rules)}</style>")


def _head(index: int, n: int, row: str, stage: Stage, cost: StageCost) -> None:
    size = fmt.size(*stage.hw)
    if stage.ramp_from is not None:
        size = f"{fmt.size(*hw(stage.ramp_from))} to {size}"
    about = [size, f"{fmt.pixels(cost.pixels)} of training"]
    if cost.seconds is not None:
        about.append(f"about {fmt.minutes(cost.seconds)}")
    number = f"stage {index + 1}"
    with st.container(
        horizontal=True, vertical_alignment="center", gap="xsmall", key=f"schedule-tools-{row}"
    ):
        st.markdown(f"**{number.capitalize()}** :gray[{' · '.join(about)}]", width="stretch")
        full, last = n >= MOST_STAGES, index == n - 1
        with st.container(horizontal=True, gap="xsmall", width="content"):
            _tool(f"Move {number} up", row, "arrow_upward", editing.move, (row, -1), index == 0)
            _tool(f"Move {number} down", row, "arrow_downward", editing.move, (row, 1), last)
            _tool(f"Duplicate {number}", row, "content_copy", editing.duplicate, (row,), full)
            _tool(f"Remove {number}", row, "delete", editing.remove, (row,), n == 1)


def _tool(
    what: str, row: str, icon: str, act: Callable[..., None], args: tuple[Any, ...], off: bool
) -> None:
    """An icon whose name is there for screen readers and as a tooltip (see _TOOLS)."""
    st.button(
        what, key=f"schedule.{icon}.{row}", icon=f":material/{icon}:", help=what, on_click=act,
        args=args, disabled=off, type="tertiary",
    )  # fmt: skip


_TOOLS = """
[class*="st-key-schedule-tools-"] button [data-testid="stMarkdownContainer"] {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
}
"""


def _front(row: str, stage: Stage) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _size(row, stage)
        for name in FRONT:
            if name == "epochs" and stage.schedule == "restarts":
                st.text_input(
                    "Epochs", epochs_words(stage), disabled=True,
                    key=editing.key(f"stages.{row}.cycles"), width=128,
                    help="The cycles say how long the stage is: see More.",
                )  # fmt: skip
                continue
            wide = {"resize": 176, "trainable": 176, "lr": 144}.get(name, 128)
            path = ("stages", row, name)
            field_input(Stage, name, getattr(stage, name), path, label=_SHORT[name], width=wide)


_SHORT = {
    "epochs": "Epochs",
    "frozen_epochs": "Frozen first",
    "lr": "Rate (lr)",
    "batch_size": "Batch size",
    "resize": "Resize by",
    "trainable": "What learns",
}


def _size(row: str, stage: Stage) -> None:
    height, width = stage.hw
    st.number_input(
        "Size, px" if height == width else "Height, px", 16, 1024, height, 16,
        key=editing.key(f"stages.{row}.height"), width=128, on_change=put_size, args=(row,),
        help=Stage.model_fields["size"].description,
    )  # fmt: skip


def note(problem: Problem) -> None:
    """A problem as a line, beside what it is about."""
    icon, colour = ("error", "red") if problem.level == "error" else ("warning", "orange")
    words = f"**{plain(problem.what)}** {plain(in_form_words(problem.fix))}"
    st.markdown(f":{colour}[:material/{icon}:] {words}")
