"""The folded part of a stage's card: rate and finder, framing, growth, batches, augmentation.

stage_more(row, stage)      # drawn only while it is open

Only inputs that mean something for the stage as it is are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from lab.recipe.augment import Augment
from lab.recipe.base import Part
from lab.recipe.stage import Stage, hw
from lab.ui import editing
from lab.ui.finder import finder_panel
from lab.ui.forms import field_input, optional_number, simple, word_input
from lab.ui.stage_words import cycles_words, matched_words

FRONT = ("epochs", "frozen_epochs", "lr", "batch_size", "resize", "trainable")
FOLDED = {
    "Rate": (
        "schedule", "pct_start", "div", "div_final", "cycle_len", "cycle_mult", "max_cycles",
        "cycle_patience", "group_rates", "lr_ratio", "layer_decay", "weight_decay",
    ),
    "Framing": ("min_scale", "pad_mode", "presize_px", "valid_resize", "valid_crop_pct"),
    "Growth within the stage": ("ramp_start", "ramp_end", "ramp_by", "ramp_multiple"),
    "Batches and labels": ("sampling", "label_smoothing", "dropout"),
    "Cached activations": ("cached_activations", "cached_views"),
}  # fmt: skip
AUGMENT = (
    "flip", "rotate_deg", "zoom_max", "warp", "affine_p", "lighting", "lighting_p",
    "lighting_space", "rand_magnitude", "rand_ops", "mixup", "cutmix",
)  # fmt: skip
BESIDE_AUGMENT = ("augment_off_epochs",)
ABOUT = {
    "Growth within the stage": "Leave empty for one size. Else the stage begins smaller and grows.",
    "Cached activations": "The body looks at each picture once, then only the head trains: quick. "
    "It needs a body that knows something, and “What learns” set to the head only.",
}

# Fields that mean something only where another field says so.
ONLY_WITH: dict[str, Callable[[Stage], bool]] = {
    "pct_start": lambda s: s.schedule in ("one-cycle", "flat-cosine"),
    "div": lambda s: s.schedule == "one-cycle",
    "div_final": lambda s: s.schedule in ("one-cycle", "flat-cosine"),
    "cycle_len": lambda s: s.schedule == "restarts",
    "cycle_mult": lambda s: s.schedule == "restarts",
    "max_cycles": lambda s: s.schedule == "restarts",
    "cycle_patience": lambda s: s.schedule == "restarts" or s.cycle_patience > 0,
    "group_rates": lambda s: s.trainable == "all",
    "lr_ratio": lambda s: (
        s.trainable == "all" and (s.group_rates == "geometric" or s.frozen_epochs > 0)
    ),
    "layer_decay": lambda s: s.trainable == "all" and s.group_rates == "layer-decay",
    "cached_views": lambda s: s.cached_activations or s.cached_views > 0,
    "ramp_start": lambda s: s.ramp_from is not None,
    "ramp_end": lambda s: s.ramp_from is not None,
    "ramp_by": lambda s: s.ramp_from is not None,
    "ramp_multiple": lambda s: s.ramp_from is not None,
}
ONLY_WITH_AUGMENT: dict[str, Callable[[Augment], bool]] = {
    "affine_p": lambda a: a.rotate_deg > 0 or a.zoom_max > 1 or a.warp > 0,
    "lighting_p": lambda a: a.lighting > 0,
    "lighting_space": lambda a: a.lighting > 0,
    "rand_ops": lambda a: a.rand_magnitude > 0,
}


def stage_more(row: str, stage: Stage) -> None:
    """Everything that the card's front does not show."""
    key = f"schedule.more.{row}"
    more = st.expander("More: rate, framing, augmentation", key=key, on_change="rerun")
    if not more.open:
        return
    with more:
        for title, names in FOLDED.items():
            _group(title, row, stage, names)
        _augment(row, stage)
        if rest := other_fields():
            st.markdown("**Other**")
            _fields(Stage, stage, rest, ("stages", row))


def _group(title: str, row: str, stage: Stage, names: Sequence[str]) -> None:
    about = f"  \n:small[:gray[{ABOUT[title]}]]" if title in ABOUT else ""
    st.markdown(f"**{title}**{about}")
    shown = [name for name in names if ONLY_WITH.get(name, _always)(stage)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if title.startswith("Growth"):
            _ramp_from(row, stage)
        for name in shown:
            field_input(Stage, name, getattr(stage, name), ("stages", row, name), width=_WIDE)
        if title == "Framing":
            _width(row, stage)
    _below(title, row, stage)


_WIDE = 190


def _always(stage: Stage) -> bool:
    return True


def _below(title: str, row: str, stage: Stage) -> None:
    """What stands below a group of fields."""
    if title == "Rate":
        if words := cycles_words(stage):
            st.caption(f"{words.capitalize()}: at most {stage.total_epochs} in all.")
        path = ("stages", row, "lr")
        word_input(
            Stage, "lr", stage.lr, path, "Let the finder choose the rate when the stage begins"
        )
        _find_rate(row)
    elif title == "Framing" and (words := matched_words(stage)):
        st.caption(words)
    elif title.startswith("Batches"):
        path = ("stages", row, "batch_size")
        word_input(Stage, "batch_size", stage.batch_size, path, "Choose the batch size by memory")


def _find_rate(row: str) -> None:
    """The learning-rate finder, drawn only while it is open."""
    box = st.expander("Find a rate", key=f"schedule.find.{row}", on_change="rerun")
    if box.open:
        with box:
            recipe, rows = editing.current()
            finder_panel(recipe, rows.index(row), key=f"schedule.finder.{row}")


def _fields(part: type[Part], values: Part, names: Sequence[str], path: tuple[str, ...]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for name in names:
            field_input(part, name, getattr(values, name), (*path, name), width=_WIDE)


def _width(row: str, stage: Stage) -> None:
    height, width = stage.hw
    optional_number(
        "Width, px", None if height == width else width, placeholder="as the height",
        min_value=16, max_value=1024, step=16, key=editing.key(f"stages.{row}.width"), width=_WIDE,
        on_change=put_size, args=(row,), help="Empty: a square.",
    )  # fmt: skip


def put_size(row: str) -> None:
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


def _ramp_from(row: str, stage: Stage) -> None:
    height = stage.hw[0]
    start = None if stage.ramp_from is None else hw(stage.ramp_from)[0]
    optional_number(
        "Begins at, px", start, placeholder="one size", min_value=16, max_value=height, step=16,
        key=editing.key(f"stages.{row}.ramp"), width=_WIDE, on_change=_put_ramp, args=(row,),
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
    editing.put_value(("stages", row, "ramp_from"), size, anew=True)


def _augment(row: str, stage: Stage) -> None:
    path = ("stages", row, "augment")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            "**Augmentation**  \n:small[:gray[Random changes to training pictures.]]",
            width="stretch",
        )
        st.button(
            "Switch it off", key=f"schedule.still.{row}", type="tertiary", on_click=_still,
            args=(row,), disabled=stage.augment.is_off, help="No random change at all.",
        )  # fmt: skip
    if stage.cached_activations and not stage.cached_views:
        st.caption("It has no effect while activations are cached without augmented views.")
        return
    shown = [name for name in AUGMENT if ONLY_WITH_AUGMENT.get(name, _always)(stage.augment)]
    _fields(Augment, stage.augment, shown, path)
    if not stage.augment.is_off:
        _fields(Stage, stage, BESIDE_AUGMENT, ("stages", row))


def _still(row: str) -> None:
    off: dict[str, Any] = Augment.off().model_dump()
    editing.put_value(("stages", row, "augment"), off, anew=True)


def other_fields() -> list[str]:
    """Fields of a stage that no group names: a new one appears here by itself."""
    named = {
        "size", "augment", "ramp_from", *FRONT, *BESIDE_AUGMENT,
        *(name for names in FOLDED.values() for name in names),
    }  # fmt: skip
    return [name for name, info in Stage.model_fields.items()
            if name not in named and simple(info)]  # fmt: skip
