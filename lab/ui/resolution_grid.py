"""What each stage's weights say of one picture at each test size: a table, colour = the truth's
share.

grid([Column("96 px", colour, png, 96)], [Row("Stage 1", "trained at 64 px", colour, cells)], "key")
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from lab.ui import format as fmt
from lab.ui.palette import GOOD


@dataclass(frozen=True)
class Column:
    """A test size. `picture`: the picture as every stage sees it there, None where they differ."""

    label: str
    colour: str
    width: int  # px
    height: int
    picture: bytes | None = None


@dataclass(frozen=True)
class Cell:
    """One stage at one size; `share`: the truth's probability. Only `note`: no answer, and why."""

    answer: str = ""
    sure: float = 0.0  # the answer's probability
    share: float = 0.0
    right: bool = False
    own: bool = False  # the size that the stage was trained at
    picture: bytes | None = None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A stage."""

    title: str
    words: str
    colour: str
    cells: Sequence[Cell]


def grid(columns: Sequence[Column], rows: Sequence[Row], truth: str, key: str) -> None:
    """Draw the table; all its text goes in as text."""
    data = {
        "columns": [
            {
                "label": column.label, "colour": column.colour, "width": column.width,
                "height": column.height, "source": _source(column.picture),
                "alt": f"The picture at {column.label}",
            }
            for column in columns
        ],
        "rows": [
            {
                "title": row.title, "words": row.words, "colour": row.colour,
                "cells": [_cell(row, column, cell) for column, cell in zip(columns, row.cells)],
            }
            for row in rows
        ],
        "truth": truth,
        "tone": GOOD,
    }  # fmt: skip
    _component()(key=key, data=data)


def cell_words(row: Row, column: Column, cell: Cell) -> str:
    """`Stage 1, trained at 64 px, tested at 96 px: rust (87 %), right. The truth gets 87 %.`"""
    place = f"{row.title}, {row.words}, tested at {column.label}"
    if not cell.answer:
        return f"{place}: {cell.note}"
    outcome = "right" if cell.right else "wrong"
    said = f"{cell.answer} ({fmt.percent(cell.sure, 0)}), {outcome}"
    note = f" {cell.note}" if cell.note else ""
    return f"{place}: {said}. The truth gets {fmt.percent(cell.share, 0)}.{note}"


def _cell(row: Row, column: Column, cell: Cell) -> dict[str, Any]:
    return {
        "answer": cell.answer,
        "mark": "✓" if cell.right else "✗",
        "share": cell.share,
        "shown": fmt.percent(cell.share, 0),
        "own": cell.own,
        "source": _source(cell.picture),
        "note": cell.note,
        "words": cell_words(row, column, cell),
    }


def _source(picture: bytes | None) -> str:
    if not picture:
        return ""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


@functools.cache
def _component() -> Callable[..., Any]:
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return st.components.v2.component("lab_resolution_grid", js=script, css=_CSS)


_CSS = """
.scroll { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 6px; font: 0.85rem/1.35 var(--st-font);
  color: var(--st-text-color); font-variant-numeric: tabular-nums; }
th { font-weight: 600; text-align: left; vertical-align: bottom; padding: 4px 6px; }
thead th { text-align: center; }
tbody th { vertical-align: middle; border-left: 6px solid transparent; min-width: 84px; }
th small { display: block; font-weight: 400; opacity: 0.8; }
td { text-align: center; vertical-align: middle; padding: 8px 6px; border-radius: 6px;
  border: 1px solid var(--st-border-color); min-width: 76px; overflow-wrap: anywhere; }
td.own { border-width: 3px; }
td b { display: block; font-weight: 600; }
td small { display: block; opacity: 0.85; }
td.none { opacity: 0.75; font-size: 0.75rem; }
img { display: block; margin: 0 auto 6px; border-radius: 3px; box-sizing: content-box; }
thead img { border: 4px solid transparent; }
.key { font: 0.8rem/1.4 var(--st-font); color: var(--st-text-color); opacity: 0.8; }
.bar { display: inline-block; width: 90px; height: 10px; border-radius: 3px; margin: 0 6px;
  border: 1px solid var(--st-border-color); vertical-align: middle; }
"""
