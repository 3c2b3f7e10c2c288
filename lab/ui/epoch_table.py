"""The table of epochs as books print it: it grows row by row, rows edged in their size's colour.

    epoch_table(seen.epochs, seen.sides, key="runs.epochs", current=seen.latest)

Text goes in as text. A reader who has scrolled up stays there; one at the end sees new rows come.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lab.recipe.stage import hw
from lab.ui import format as fmt
from lab.ui.palette import Size, on_top, way_colour

HEADS = ("epoch", "stage", "size", "train_loss", "valid_loss", "accuracy", "error_rate", "time")
TITLES = {"train_loss": "train loss", "valid_loss": "valid loss", "error_rate": "error rate"}


def epoch_table(
    epochs: pd.DataFrame,
    sides: list[Size],
    key: str,
    *,
    current: Mapping[str, Any] | None = None,
    height: int = 380,
) -> None:
    """Rows of `epochs` (analysis.curves.epochs_frame), and the epoch under way (a `step` event)."""
    second = second_head(epochs)
    rows = [_row(epoch, sides, bool(second)) for epoch in epochs.to_dict("records")]
    if current:
        rows.append(_under_way(current, sides))
    heads = [TITLES.get(name, name) for name in HEADS]
    if second:
        heads.insert(-1, second)
    _component()(key=key, data={"heads": heads, "rows": rows, "height": height})


def second_head(epochs: pd.DataFrame) -> str:
    """`variety: accuracy`, where a second label is learnt; else ''."""
    return f"{epochs.attrs['second']}: accuracy" if "second_accuracy" in epochs else ""


def plain_table(epochs: pd.DataFrame) -> pd.DataFrame:
    """The same as numbers, for a CSV."""
    columns = {
        "epoch": epochs["global_epoch"] + 1,
        "stage": epochs["stage"] + 1,
        "size": epochs["label"],
        "time": [fmt.minutes(seconds) for seconds in epochs["seconds"]],
    }
    numbers = ("train_loss", "valid_loss", "accuracy", "error_rate", "seconds", "images_per_s")
    more = ("second_accuracy",) if "second_accuracy" in epochs else ()
    names = (*numbers, *more, "lr", "pixels")
    return pd.DataFrame({**columns, **{name: epochs[name] for name in names}})


def _row(epoch: Mapping[str, Any], sides: list[Size], second: bool) -> dict[str, Any]:
    rate = epoch["error_rate"]
    cells = [
        str(int(epoch["global_epoch"]) + 1),
        str(int(epoch["stage"]) + 1),
        str(epoch["label"]),
        fmt.decimal(epoch["train_loss"]),
        fmt.decimal(epoch["valid_loss"]),
        fmt.percent(epoch["accuracy"]),
        fmt.percent(rate),
        *([fmt.percent(epoch["second_accuracy"])] if second else []),
        fmt.minutes(epoch["seconds"]),
    ]
    return {"cells": cells, **_colours((epoch["height"], epoch["width"]), sides)}


def _under_way(step: Mapping[str, Any], sides: list[Size]) -> dict[str, Any]:
    """The epoch that is being trained: what is known of it so far."""
    height, width = hw(step["size"])
    size = str(height) if height == width else f"{height}×{width}"
    numbers = [str(int(step["global_epoch"]) + 1), str(int(step["stage"]) + 1), size]
    loss = fmt.decimal(step.get("train_loss"))
    cells = [*numbers, loss, "…", "", "", ""]
    return {"cells": cells, "open": True, **_colours((height, width), sides)}


def _colours(size: Size, sides: list[Size]) -> dict[str, str]:
    colour = way_colour(size, sides)
    return {"colour": colour, "ink": on_top(colour)}


@functools.cache
def _component() -> Callable[..., Any]:
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return st.components.v2.component("lab_epoch_table", js=script, css=_CSS)


_CSS = """
.frame { overflow: auto; border: 1px solid var(--st-border-color); border-radius: 6px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; color: var(--st-text-color);
  font: 0.875rem/1.5 var(--st-font); font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; z-index: 1; font-weight: 600; white-space: nowrap;
  background: var(--st-secondary-background-color); }
th, td { padding: 5px 12px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--st-border-color); }
tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { border-left: 6px solid var(--edge, transparent); }
td.size span { display: inline-block; min-width: 2.2em; padding: 0 7px; border-radius: 4px;
  text-align: center; background: var(--edge); color: var(--ink); }
@media (max-width: 600px) { th, td { padding: 4px 7px; } }
tr.open td { opacity: 0.65; font-style: italic; }
tr.open td.size { opacity: 1; font-style: normal; }
"""
