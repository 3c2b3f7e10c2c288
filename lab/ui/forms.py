"""Inputs made from recipe fields: help, bounds, unit, choices and source come from the field.

    field_input(Stage, "epochs", stage.epochs, ("stages", "s3", "epochs"))

Here is only what people call a field, and the steps of its arrows.
"""

from __future__ import annotations

import re
import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo

from lab.recipe.base import Part
from lab.ui import editing
from lab.ui.messages import plain

LABELS = {
    "lr": "Learning rate (peak)",
    "epochs": "Epochs",
    "frozen_epochs": "Frozen epochs first",
    "trainable": "What learns",
    "resize": "Resize by",
    "schedule": "Rate over time",
    "group_rates": "Rates of earlier layers",
    "lr_ratio": "Last rate over first",
    "layer_decay": "Share of the next layer's",
    "cycle_len": "First cycle",
    "cycle_mult": "Each cycle longer by",
    "max_cycles": "Cycles at most",
    "cycle_patience": "Cycles without gain",
    "sampling": "Which images",
    "cached_activations": "Cached activations",
    "cached_views": "Augmented views kept",
    "label_smoothing": "Label smoothing",
    "dropout": "Dropout in this stage",
    "augment_off_epochs": "Plain last epochs",
    "ramp_start": "Grows from (share)",
    "ramp_end": "Grown at (share)",
    "ramp_by": "Grows with every",
    "ramp_multiple": "In multiples of",
    "rand_ops": "RandAugment steps",
    "rand_magnitude": "RandAugment strength",
    "mixup": "MixUp",
    "cutmix": "CutMix",
    "ema_decay": "Average of weights",
    "early_stop_epochs": "Epochs without gain",
    "keep_best": "Keep the best-looking epoch",
    "run": "Weights of run",
    "run_stage": "Its stage",
    "second_target": "Second label",
    "second_weight": "Its weight",
    "pct_start": "Warm-up share",
    "div": "Peak over start",
    "div_final": "Peak over end",
    "min_scale": "Smallest crop (share)",
    "presize_px": "Kept at (presize)",
    "pad_mode": "Fill the space with",
    "valid_resize": "Validation resize",
    "valid_crop_pct": "Validation crop",
    "flip": "Mirror",
    "rotate_deg": "Turn by up to",
    "zoom_max": "Zoom in up to",
    "warp": "Perspective",
    "affine_p": "Share so moved",
    "lighting": "Light",
    "lighting_p": "Share so lit",
    "lighting_space": "Light arithmetic",
    "n": "Leaves",
    "size_px": "Drawn at",
    "form": "Fine traits",
    "fine_scale": "Scale of fine traits",
    "fold": "Which validates",
    "groups": "Parameter groups",
    "normalise": "Normalisation",
    "drop_rate": "Dropout",
    "drop_path_rate": "Stochastic depth",
    "frozen_norms_train": "Frozen norm layers go on learning",
    "weights": "Weights at the start",
    "file": "Weights file",
    "beta1": "Momentum (beta1)",
    "beta2": "beta2",
    "eps": "epsilon",
    "cycle_momentum": "Momentum cycles with the rate",
    "threads": "CPU threads",
    "name": "Name",
    "batch_size": "Batch size",
    "crop_pct": "Centre crop",
    "tta_views": "TTA views",
    "tta_beta": "TTA: weight of plain",
    "test_every_epoch": "Test every epoch",
    "valid_fraction": "Share that validates",
    "test_fraction": "Share locked away",
    "test_seed": "Seed of the locked part",
    "stratified": "Keep the class proportions",
    "folds": "Parts",
    "weight_decay": "Weight decay",
}
STEPS = {
    "lr": 5e-4, "eps": 1e-6, "div": 5.0, "div_final": 1e4, "lr_ratio": 10.0, "rotate_deg": 5.0,
    "weight_decay": 0.005, "fine_scale": 0.005, "beta2": 0.01, "beta1": 0.01,
    "layer_decay": 0.05, "ramp_multiple": 4, "rand_magnitude": 1.0, "ema_decay": 0.001,
    "mixup": 0.1, "cutmix": 0.1, "label_smoothing": 0.05,
    "batch_size": 8, "n": 100, "size_px": 16, "size": 16, "presize_px": 16,
}  # fmt: skip
_NUDGE = 1e-9  # bounds that exclude their end
# What an empty number means, where "auto" would say too little.
EMPTY = {
    "weight_decay": "the optimizer's",
    "dropout": "the network's",
    "presize_px": "by the size",
    "crop_pct": "as the last stage",
    "fine_scale": "by the form",
    "test_seed": "the division's",
}


def field_input(
    part: type[Part],
    name: str,
    value: Any,
    path: tuple[str, ...],
    *,
    label: str = "",
    width: Any = "stretch",
) -> None:
    """An input for one field; its edits go to `path` of the draft."""
    info = part.model_fields[name]
    kind, optional = _kind(info)
    key = editing.key(".".join(path))
    if word_of(info) is not None and value == word_of(info):
        st.text_input(
            label or label_of(name, info), words_of(value), disabled=True, help=help_of(info),
            key=f"{key}.word", width=width,
        )  # fmt: skip
        return
    common = {
        "key": key,
        "help": help_of(info),
        "on_change": editing.put,
        "args": (path, key),
        "width": width,
    }
    label = label or label_of(name, info)
    choices = get_args(kind) if get_origin(kind) is Literal else None
    if choices:
        said = {choice: words_of(choice, name) for choice in choices}
        st.selectbox(label, choices, choices.index(value), format_func=said.get, **common)
    elif kind is bool:
        st.toggle(label, value, **{**common, "width": "content"})
    elif kind in (int, float) and optional:
        empty = EMPTY.get(name, "auto")
        optional_number(label, value, placeholder=empty, **_limits(name, info, kind), **common)
    elif kind in (int, float):
        st.number_input(label, value=value, **_limits(name, info, kind), **common)
    elif kind is str:
        st.text_input(label, value, **common)


def optional_number(
    label: str, value: float | None, *, key: str, placeholder: str = "auto", **options: Any
) -> None:
    """A number that may be left empty: Streamlit lets only an input that began empty be emptied."""
    # Set in every run: a value that is set once is lost where a second run follows at once.
    st.session_state[key] = value
    st.number_input(label, value=None, key=key, placeholder=placeholder, **options)


def fields_row(
    part: type[Part], values: Part, names: Sequence[str], path: tuple[str, ...], width: int = 190
) -> None:
    """Several fields side by side; they wrap where the screen is narrow."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for name in names:
            field_input(part, name, getattr(values, name), (*path, name), width=width)


def label_of(name: str, info: FieldInfo) -> str:
    """What people call a field, with its unit."""
    words = LABELS.get(name) or name.replace("_", " ").capitalize()
    unit = _extra(info).get("unit", "")
    plain_unit = unit and unit not in words.lower() and unit != "epochs"
    return f"{words}, {unit}" if plain_unit else words


def help_of(info: FieldInfo) -> str:
    """The field's help, its bounds and its source, as Markdown."""
    low, high = _bounds(info)
    parts = [plain(info.description or "")]
    if low is not None and high is not None:
        parts.append(f"From {low:g} to {high:g}.")
    if source := _extra(info).get("source"):
        parts.append(f"Source: {plain(source)}.")
    return " ".join(parts)


def simple(info: FieldInfo) -> bool:
    """Whether `field_input` can draw this field: one number, choice, switch or text."""
    kind, _ = _kind(info)
    return get_origin(kind) is Literal or kind in (bool, int, float, str)


def word_input(part: type[Part], name: str, value: Any, path: tuple[str, ...], says: str) -> None:
    """A switch between a number and the word that stands for a choice made later."""
    info = part.model_fields[name]
    word, key = word_of(info), editing.key(".".join(path)) + ".chosen"
    number = info.default if value == word else value
    st.toggle(
        says, value == word, key=key, on_change=_put_word, args=(path, key, word, number),
        help=help_of(info),
    )  # fmt: skip


def _put_word(path: tuple[str, ...], key: str, word: str, number: float) -> None:
    editing.put_value(path, word if st.session_state.get(key) else number, anew=True)


def word_of(info: FieldInfo) -> str | None:
    """The word that a number may be replaced by (`finder`, `auto`); None where there is none."""
    if get_origin(info.annotation) not in (Union, types.UnionType):
        return None
    literals = [arg for arg in get_args(info.annotation) if get_origin(arg) is Literal]
    return get_args(literals[0])[0] if literals else None


def _kind(info: FieldInfo) -> tuple[Any, bool]:
    """(type without None and without a word beside a number, whether None is allowed)."""
    members = [info.annotation]
    if get_origin(info.annotation) in (Union, types.UnionType):
        members = list(get_args(info.annotation))
    kinds = [kind for kind in members if kind is not types.NoneType]
    if len(kinds) > 1:
        kinds = [kind for kind in kinds if get_origin(kind) is not Literal]
    kinds = [get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds]
    return kinds[0] if len(kinds) == 1 else None, types.NoneType in members


def _rules(info: FieldInfo) -> list[Any]:
    """The bounds of a field, or of the number in its union."""
    found = list(info.metadata)
    for member in get_args(info.annotation):
        if get_origin(member) is Annotated:
            inner = get_args(member)[1]
            found += inner.metadata if isinstance(inner, FieldInfo) else [inner]
    return found


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _bounds(info: FieldInfo) -> tuple[float | None, float | None]:
    found = {key: getattr(rule, key) for rule in _rules(info) for key in ("ge", "gt", "le", "lt")
             if hasattr(rule, key)}  # fmt: skip
    return found.get("ge", found.get("gt")), found.get("le", found.get("lt"))


def _limits(name: str, info: FieldInfo, kind: type) -> dict[str, Any]:
    """min_value, max_value, step and format of a number input."""
    low, high = _bounds(info)
    open_low = any(hasattr(rule, "gt") for rule in _rules(info))
    open_high = any(hasattr(rule, "lt") for rule in _rules(info))
    if kind is int:
        low, high = (None if low is None else int(low) + open_low,
                     None if high is None else int(high) - open_high)  # fmt: skip
        return {"min_value": low, "max_value": high, "step": STEPS.get(name, 1)}
    low = None if low is None else float(low) + _NUDGE * open_low
    high = None if high is None else float(high) - _NUDGE * open_high
    step = STEPS.get(name, 0.05)
    return {"min_value": low, "max_value": high, "step": step, "format": "%g"}


_SAID = {
    "all": "everything",
    "head": "the head only",
    "last-norm+head": "last norm + head (FixRes)",
    "one-cycle": "one-cycle",
    "as-test": "as in validation",
    "random-resized-crop": "random resized crop",
    "hub": "pretrained (timm hub)",
    "last-norm-statistics+head": "last norm's statistics + head",
    "finder": "the finder's",
    "auto": "automatic",
    "flat-cosine": "flat, then cosine",
    "layer-decay": "layer by layer",
    "small-body": "the lab's own small body",
    "run": "a stage of another run",
    "sgd": "SGD",
    "tenth": "a tenth",
    "geometric": "spread in ratio",
    "adamw": "AdamW",
    "adam": "Adam",
    "kfold": "k-th of n parts",
    "folders": "as the folders say",
    "column": "as a column says",
    "imagenet": "ImageNet's",
    "half": "-1 to 1",
    "zeros": "black (zeros)",
    "dihedral": "any of 8 (dihedral)",
    "horizontal": "left-right",
}


_SAID_IN = {
    ("sampling", "all"): "every image once",
    ("sampling", "weighted"): "rare classes as often",
    ("weights", "none"): "none: random",
    ("flip", "none"): "never",
    ("schedule", "restarts"): "cycles with restarts",
}


def words_of(choice: str, field: str = "") -> str:
    """What people read for a choice (of a field, where it says something else there)."""
    return _SAID_IN.get((field, choice), _SAID.get(choice, choice))


_NAMED = re.compile(r"\b(?:[a-z]+\.)?[a-z]+(?:_[a-z]+)+\b|\b(?:model|optimizer|rules)\.[a-z]+\b")


def in_form_words(text: str) -> str:
    """The words of a check as the form says them: `Set frozen_epochs to 0.` names its input."""

    def said(found: re.Match[str]) -> str:
        if found.group() == "model.name":
            return "“Network”"
        name = found.group().rpartition(".")[2]
        return f"“{LABELS[name]}”" if name in LABELS else found.group()

    return _NAMED.sub(said, text)
