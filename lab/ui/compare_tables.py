"""Compare, Epoch tables: tables as books print them, final scores, and scores stage by stage.

panel(methods, published)
scores_table(found);  stage_table(found)      # a row a run, a row a finished stage
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lab.ui import comparison
from lab.ui import format as fmt
from lab.ui.chart_files import csv_button
from lab.ui.compare_lines import Line, Published, lines_of
from lab.ui.comparison import Entry, Method, in_percent, interval, size_words, swatch
from lab.ui.epoch_table import plain_table
from lab.ui.palette import on_top, run_style, way_colour

TABLES, LINK = "compare.tables", "tables"
HEADS = ("epoch", "size", "train_loss", "valid_loss", "error_rate", "time")
_PERCENT = st.column_config.NumberColumn(format="%.1f %%")
_LOSS = st.column_config.NumberColumn(format="%.3f")
NUMBERS = {
    "error": _PERCENT, "95 % from": _PERCENT, "to": _PERCENT, "error, own size": _PERCENT,
    "error, final size": _PERCENT, "log loss": _LOSS, "log loss at final size": _LOSS,
    "line": st.column_config.ImageColumn(" ", width=56),
    "images/s": st.column_config.NumberColumn(format="%.0f"),
}  # fmt: skip


def panel(methods: Sequence[Method], published: Published) -> None:
    """The tables of the chosen runs side by side; beneath, what all of them were scored."""
    lines = lines_of(methods, published)
    sides = sorted({side for line in lines for side in line.sides})
    for one, column in zip(_chosen(lines), st.columns(2) * len(lines)):
        with column:
            _book(one, sides)
    found = comparison.of_methods(methods)
    if not found:
        return
    _table("Final scores", scores_table(found), "scores")
    st.caption(
        "At the final size, on the validation images; 95 % intervals over these images (Wilson)."
    )
    stages = stage_table(found)
    if len(stages):
        _table("What each stage reached", stages, "stages")
    else:
        st.caption("No stage is finished yet.")


def _table(title: str, table: pd.DataFrame, name: str) -> None:
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        st.subheader(title, anchor=False)
        csv_button(name, lambda: table.drop(columns="line"), key=f"compare.csv.{name}")
    st.dataframe(
        table, hide_index=True, key=f"compare.{name}", placeholder="–", column_config=NUMBERS
    )


def _chosen(lines: Sequence[Line]) -> list[Line]:
    """Which tables to show; at first those of the first two methods. Kept in the address."""
    by_id = {line.id: line for line in lines}
    asked = st.session_state.get(TABLES)
    if asked is None:
        asked = [one for one in st.query_params.get(LINK, "").split(",") if one in by_id]
    first = {line.method: line.id for line in reversed(lines)}
    usual = list(first.values())[::-1][:2]
    st.session_state[TABLES] = [one for one in asked if one in by_id] or usual
    names = {line.id: line.name for line in lines}
    ids = st.multiselect(
        "Tables of", list(by_id), key=TABLES, format_func=lambda one: names.get(one, one),
        placeholder="Choose runs",
    )  # fmt: skip
    if ids in (usual, []):
        st.query_params.pop(LINK, None)
    elif st.query_params.get(LINK, "") != ",".join(ids):
        st.query_params[LINK] = ",".join(ids)
    return [by_id[one] for one in ids]


def _book(line: Line, sides: Sequence[Any]) -> None:
    """One table under its name; the edge of a row is the size's colour."""
    with st.container(horizontal=True, horizontal_alignment="distribute", gap="small"):
        st.html(_name(line), width="stretch")
        csv_button(
            f"{line.id.removeprefix('published:')}-epochs", lambda: plain_table(line.epochs),
            key=f"compare.csv.epochs.{line.id}",
        )  # fmt: skip
    st.html(book_table(line, sides))


def _name(line: Line) -> str:
    colour = run_style(line.style)[0]
    bar = f'<span style="border-left:4px solid {colour};padding-left:8px">'
    kind = " <small>(published)</small>" if line.published else ""
    return f"{bar}<strong>{html.escape(line.name)}</strong>{kind}</span>"


def book_table(line: Line, sides: Sequence[Any]) -> str:
    """The epoch table as HTML, all of it made here. `sides`: of all runs on the screen."""
    heads = "".join(f"<th scope='col'>{head}</th>" for head in HEADS)
    rows = "".join(_row(epoch, sides) for epoch in line.epochs.to_dict("records"))
    return f"{_CSS}<div class='lab-book'><table><tr>{heads}</tr>{rows}</table></div>"


def _row(epoch: dict[str, Any], sides: Sequence[Any]) -> str:
    colour = way_colour((int(epoch["height"]), int(epoch["width"])), sides)
    size = f"<span style='background:{colour};color:{on_top(colour)}'>"
    size += f"{html.escape(str(epoch['label']))}</span>"
    cells = [
        str(int(epoch["global_epoch"])), size, fmt.decimal(epoch["train_loss"], 6),
        fmt.decimal(epoch["valid_loss"], 6), fmt.decimal(epoch["error_rate"], 6),
        fmt.minutes(epoch["seconds"]),
    ]  # fmt: skip
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


_CSS = """<style>
.lab-book { overflow-x: auto; max-height: 30rem; }
.lab-book table { border-collapse: collapse; width: 100%; font-size: 0.8rem; margin: 0; }
.lab-book th, .lab-book td { text-align: right; padding: 3px 5px; white-space: nowrap;
  border: 0; border-bottom: 1px solid rgba(125, 133, 143, 0.35); }
.lab-book span { display: inline-block; min-width: 2.2em; padding: 0 6px; border-radius: 4px;
  text-align: center; }
@media (max-width: 600px) { .lab-book th, .lab-book td { padding: 3px 3px; font-size: 0.75rem; } }
</style>"""


def scores_table(found: Sequence[Entry]) -> pd.DataFrame:
    """A row a run: final scores with the error's interval, and what they cost."""
    rows = []
    for entry in found:
        final, own = entry.final.get("final", {}), entry.final.get("own", {})
        low, high = interval(final)
        epochs = entry.seen.epochs
        begun = len(epochs) > 0
        rows.append({
            "line": swatch(entry.style),
            "run": entry.label,
            "error": in_percent(final.get("error_rate")),
            "95 % from": in_percent(low),
            "to": in_percent(high),
            "log loss": final.get("log_loss"),
            "time": fmt.minutes(entry.seconds) if begun else fmt.MISSING,
            "pixels": fmt.pixels(entry.pixels) if begun else fmt.MISSING,
            "images/s": float(epochs["images_per_s"].mean()) if begun else None,
            "sizes": entry.row.sizes,
            "scored at": size_words(entry.final.get("final_size")),
            "error, own size": in_percent(own.get("error_rate")),
            "epochs": f"{len(epochs)} of {entry.seen.total_epochs}",
            "seed": entry.seen.recipe.seed,
        })  # fmt: skip
    numbers = ("error", "95 % from", "to", "error, own size", "log loss", "images/s")
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, "float64"))


def stage_table(found: Sequence[Entry]) -> pd.DataFrame:
    """A row a finished stage: its errors at its own and at the final size; `line` is its swatch."""
    rows = [
        {
            "line": swatch(entry.style),
            "run": entry.label,
            "stage": event["stage"] + 1,
            "size": size_words(event["size"]),
            "error, own size": in_percent(event.get("own", {}).get("error_rate")),
            "error, final size": in_percent(event.get("final", {}).get("error_rate")),
            "final size": size_words(event["final_size"]),
            "log loss at final size": event.get("final", {}).get("log_loss"),
        }
        for entry in found
        for event in entry.seen.stages
    ]
    return pd.DataFrame(rows)
