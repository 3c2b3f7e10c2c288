"""CSV exports that a spreadsheet opens as text: no cell of ours is ever run as a formula."""

from __future__ import annotations

from typing import Any

import pandas as pd

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: Any) -> Any:
    """Text that a spreadsheet would run gets a leading apostrophe; everything else is unchanged."""
    if isinstance(value, str) and value.startswith(_DANGEROUS):
        return f"'{value}"
    return value


def safe_csv(frame: pd.DataFrame, *, index: bool = False) -> str:
    """The frame as CSV text, with header, index and every text cell made safe."""
    safe = frame.map(safe_cell).rename(columns=safe_cell)
    if index:
        safe = safe.rename(index=safe_cell)
    return safe.to_csv(index=index, lineterminator="\n")
