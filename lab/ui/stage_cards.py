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
from lab.recipe.augment import Augment
from lab.recipe.stage import Stage, hw
from lab.schedules.budget import StageCost
from lab.schedules.growth import matched_test_px
from lab.ui import editing
from lab.ui import format as fmt
from lab.ui.finder import finder_panel
from lab.ui.forms import field_input, fields_row, optional_number, simple, word_input
from lab.ui.messages import plain
from lab.ui.palette import size_colour

FRONT = ("epochs", "frozen_epochs", "lr", "batch_size", "resize", "trainable")
FOLDED = {
    "Rate": (
        "schedule", "pct_start", "div", "div_final", "cycle_len", "cycle_mult", "max_cycles",
        "cycle_patience", "group_rates", "lr_ratio", "layer_decay", "weight_decay",
    ),
    "Framing": ("min_scale", "pad_mode", "presize_px", "valid_resize", "valid_crop_pct"),
    "Growth within the stage": ("ramp_start", "ramp_end", "ramp_by", "ramp_multiple"),
    "Batches and labels": (
        "sampling", "cached_activations", "cached_views", "label_smoothing", "dropout",
        "augment_off_epochs",
    ),
}  # fmt: skip
# Fields that mean something only where another field says so.
ONLY_WITH: dict[str, Callable[[Stage], bool]] = {
    "pct_start": lambda s: s.schedule in ("one-cycle", "flat-cosine"),
    "div": lambda s: s.schedule == "one-cycle",
    "div_final": lambda s: s.schedule in ("one-cycle", "flat-cosine"),
    "cycle_len": lambda s: s.schedule == "restarts",
    "cycle_mult": lambda s: s.schedule == "restarts",
    "max_cycles": lambda s: s.schedule == "restarts",
    "cycle_patience": lambda s: s.schedule == "restarts" or s.cycle_patience > 0,
    "lr_ratio": lambda s: s.group_rates == "geometric" or s.frozen_epochs > 0,
    "layer_decay": lambda s: s.group_rates == "layer-decay",
    "cached_views": lambda s: s.cached_activations or s.cached_views > 0,
    "ramp_start": lambda s: s.ramp_from is not None,
    "ramp_end": lambda s: s.ramp_from is not None,
    "ramp_by": lambda s: s.ramp_from is not None,
    "ramp_multiple": lambda s: s.ramp_from is not None,
}
MOST_STAGES = 24
_ROW = re.compile(r"stages\.(\d+)(?:\.|$)")


def stage_cards(
    recipe: Recipe, rows: Sequence[str], problems: Sequence[Problem], costs: Sequence[StageCost]
) -> None:
    """A card per stage, then the button that adds one."""
    sides = [stage.size for stage in recipe.stages]
    _edges({row: size_colour(stage.size, sides) for row, stage in zip(rows, recipe.stages)})
    for index, (row, stage) in enumerate(zip(rows, recipe.stages)):
        mine = [problem for problem in problems if row_of(problem) == index]
        with st.container(border=True, key=f"schedule-card-{row}"):
            _head(index, len(rows), row, stage, costs[index])
            _front(row, stage)
            for problem in mine:
                _note(problem)
            _folded(row, stage)
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
    about = [fmt.size(*stage.hw), f"{fmt.pixels(cost.pixels)} of training"]
    if cost.seconds is not None:
        about.append(f"about {fmt.minutes(cost.seconds)}")
    number = f"stage {index + 1}"
    with st.container(
        horizontal=True, vertical_alignment="center", gap="xsmall", key=f"schedule-tools-{row}"
    ):
        st.markdown(f"**{number.capitalize()}** :gray[{' · '.join(about)}]", width="stretch")
        _tool(f"Move {number} up", row, "arrow_upward", editing.move, (row, -1), index == 0)
        _tool(f"Move {number} down", row, "arrow_downward", editing.move, (row, 1), index == n - 1)
        full = n >= MOST_STAGES
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
                    "Epochs", f"{stage.open_epochs} in {len(stage.cycles)} cycles", disabled=True,
                    key=editing.key(f"stages.{row}.cycles"), width=128,
                    help="The cycles say how long the stage is: see More.",
                )  # fmt: skip
                continue
            wide = 176 if name in ("resize", "trainable") else 128
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
        key=editing.key(f"stages.{row}.height"), width=128, on_change=_put_size, args=(row,),
        help=Stage.model_fields["size"].description,
    )  # fmt: skip


def _width(row: str, stage: Stage) -> None:
    height, width = stage.hw
    optional_number(
        "Width, px", None if height == width else width, placeholder="as the height",
        min_value=16, max_value=1024, step=16, key=editing.key(f"stages.{row}.width"), width=190,
        on_change=_put_size, args=(row,), help="Empty: a square.",
    )  # fmt: skip


def _put_size(row: str) -> None:
    """Callback: height and width together are the size. The width's input may be folded away."""
    recipe, rows = editing.current()
    if not editing.has(row):
        return
    height, width = recipe.stages[rows.index(row)].hw
    wide = st.session_state.get(
        editing.key(f"stages.{row}.width"), None if height == width else width
    )
    high = st.session_state.get(editing.key(f"stages.{row}.height"), height)
    editing.put_value(("stages", row, "size"), high if wide in (None, high) else [high, wide])


def _note(problem: Problem) -> None:
    icon, colour = ("error", "red") if problem.level == "error" else ("warning", "orange")
    words = f"**{plain(problem.what)}** {plain(problem.fix)}"
    st.markdown(f":{colour}[:material/{icon}:] {words}")


def _folded(row: str, stage: Stage) -> None:
    """Everything else, drawn only while it is open."""
    key = f"schedule.more.{row}"
    more = st.expander("More: rate, framing, augmentation", key=key, on_change="rerun")
    if not more.open:
        return
    with more:
        for title, names in FOLDED.items():
            st.caption(title)
            with st.container(horizontal=True, vertical_alignment="bottom"):
                if title.startswith("Growth"):
                    _ramp_from(row, stage)
                for name in names:
                    if ONLY_WITH.get(name, _always)(stage):
                        path = ("stages", row, name)
                        field_input(Stage, name, getattr(stage, name), path, width=190)
                if title == "Framing":
                    _width(row, stage)
            _beside(title, row, stage)
        _augment(row, stage)
        _find_rate(row)
        if rest := other_fields():
            st.caption("Other")
            fields_row(Stage, stage, rest, ("stages", row))


def _find_rate(row: str) -> None:
    """The learning-rate finder, drawn only while it is open."""
    box = st.expander("Find a rate", key=f"schedule.find.{row}", on_change="rerun")
    if box.open:
        with box:
            recipe, rows = editing.current()
            finder_panel(recipe, rows.index(row), key=f"schedule.finder.{row}")


def _always(stage: Stage) -> bool:
    return True


def _beside(title: str, row: str, stage: Stage) -> None:
    """What stands below a group of fields."""
    if title == "Framing" and (words := matched_words(stage)):
        st.caption(words)
    elif title.startswith("Batches"):
        path = ("stages", row, "batch_size")
        word_input(Stage, "batch_size", stage.batch_size, path, "Choose the batch size by memory")


def matched_words(stage: Stage) -> str:
    """At which test size things look as large as in training; '' where nothing is cropped."""
    if stage.resize != "random-resized-crop" or stage.min_scale >= 1:
        return ""
    side = matched_test_px(max(stage.hw), stage.min_scale, stage.valid_crop_pct)
    return (
        f"Random crops make things look larger: a test at about {side:.0f} px shows them as large "
        f"as training at {stage.label} px does (FixRes)."
    )


def _ramp_from(row: str, stage: Stage) -> None:
    height = stage.hw[0]
    start = None if stage.ramp_from is None else hw(stage.ramp_from)[0]
    optional_number(
        "Begins at, px", start, placeholder="one size", min_value=16, max_value=height, step=16,
        key=editing.key(f"stages.{row}.ramp"), width=190, on_change=_put_ramp, args=(row,),
        help=Stage.model_fields["ramp_from"].description,
    )  # fmt: skip


def _put_ramp(row: str) -> None:
    """Callback: a rectangle keeps its shape while it grows."""
    recipe, rows = editing.current()
    if not editing.has(row):
        return
    height, width = recipe.stages[rows.index(row)].hw
    first = st.session_state.get(editing.key(f"stages.{row}.ramp"))
    wide = first and max(16, round(first * width / height))
    size = first if first is None or height == width else [first, wide]
    editing.put_value(("stages", row, "ramp_from"), size)


def _augment(row: str, stage: Stage) -> None:
    path = ("stages", row, "augment")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Augmentation: random changes to training pictures", width="stretch")
        st.button(
            "Switch it off", key=f"schedule.still.{row}", type="tertiary", on_click=_still,
            args=(row,), disabled=stage.augment.is_off, help="No random change at all.",
        )  # fmt: skip
    fields_row(Augment, stage.augment, list(Augment.model_fields), path)


def _still(row: str) -> None:
    off = Augment.off().model_dump()
    editing.put_value(("stages", row, "augment"), off, anew=True)


def other_fields() -> list[str]:
    """Fields of a stage that no group names: a new one appears here by itself."""
    named = {
        "size",
        "augment",
        "ramp_from",
        *FRONT,
        *(name for names in FOLDED.values() for name in names),
    }
    return [name for name, info in Stage.model_fields.items()
            if name not in named and simple(info)]  # fmt: skip
