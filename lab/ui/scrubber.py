"""A slider that moves by itself and can be taken by hand: where a replay stands.

    scrubber(0, 10, at=4.5, bands=axis.bands, words="...", key="replay.place", on_move=moved)

`on_move` gets where it was let go. Streamlit's own slider cannot do this: under a timed fragment
that sets its value, an older value comes back from the browser as if someone had moved it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from lab.ui.charts.axis import Band


def scrubber(
    first: float,
    last: float,
    *,
    at: float,
    bands: Sequence[Band],
    words: str,
    key: str,
    on_move: Callable[[float], None],
) -> None:
    """Draw it. `bands`: what lies where between first and last, each in its size's colour."""

    def moved() -> None:
        value = st.session_state[key].moved
        if isinstance(value, int | float) and math.isfinite(value):
            on_move(float(value))

    shown = [
        {"x0": band.x0, "x1": band.x1, "colour": band.colour}
        for band in bands
        if band.x1 > first and band.x0 < last
    ]
    data = {"first": first, "last": last, "at": at, "words": words, "bands": shown}
    _component()(key=key, data=data, on_moved_change=moved)


@functools.cache
def _component() -> Callable[..., Any]:
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return st.components.v2.component("lab_scrubber", js=script, css=_CSS)


_CSS = """
.scrubber { display: block; color: var(--st-text-color); font: 0.875rem var(--st-font);
  font-variant-numeric: tabular-nums; }
.scrubber input { display: block; width: 100%; margin: 4px 0 0; height: 24px; cursor: pointer;
  accent-color: var(--st-primary-color); }
.scrubber input:focus-visible { outline: 2px solid var(--st-primary-color); }
.bands { position: relative; height: 6px; margin: 2px 8px 4px; }
.bands i { position: absolute; top: 0; bottom: 0; }
"""
