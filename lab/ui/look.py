"""What the theme file cannot say: tabular figures everywhere, sizes in their colour in tables.

look.apply()                                               # once, in app.py
st.dataframe(look.sizes_coloured(table, "size", sides))
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from lab.ui.palette import Size, on_top, size_colour

_CSS = "<style>.stApp { font-variant-numeric: tabular-nums; }</style>"


def apply() -> None:
    """Figures of one width, so that columns of numbers and ticking values stand still."""
    st.html(_CSS)


def sizes_coloured(table: pd.DataFrame, column: str, sides: Sequence[Size]) -> Styler:
    """The table with the cells of `column` (sides, or [height, width]) in their size's colour."""

    def cell(size: Size) -> str:
        colour = size_colour(size, sides)
        return f"background-color: {colour}; color: {on_top(colour)}"

    return table.style.map(cell, subset=[column])
