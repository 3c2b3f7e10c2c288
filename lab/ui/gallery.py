"""Rows of thumbnails under headings; where asked for, each is a button that says which was taken.

gallery([Group("rust", [Thumb(3, source, alt="rust, leaf 3")])], key="data.samples")
item = gallery(groups, key="inspect.gallery", clickable=True)      # clicked just now, or None
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st


@dataclass(frozen=True)
class Thumb:
    """One picture. `tone` is "good", "bad" or "": the colour of its edge, never the only cue."""

    item: int
    source: str  # a data address; "" shows words instead
    alt: str
    caption: str = ""
    tone: str = ""
    chosen: bool = False


@dataclass(frozen=True)
class Group:
    """Pictures under one heading."""

    title: str
    thumbs: list[Thumb] = field(default_factory=list)
    note: str = ""


def gallery(
    groups: Sequence[Group], key: str, *, side_px: int = 80, clickable: bool = False
) -> int | None:
    """Draw the groups; all their text goes in as text. Returns the item clicked in this run."""
    data = {"groups": [asdict(group) for group in groups], "side": side_px, "clickable": clickable}
    result = _component()(key=key, data=data, on_clicked_change=_nothing)
    return result.clicked if clickable else None


def _nothing() -> None:
    """Streamlit wants a callback for each value that comes back."""


@functools.cache
def _component() -> Callable[..., Any]:
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return st.components.v2.component("lab_gallery", js=script, css=_CSS)


_CSS = """
.group { margin-bottom: 14px; }
.head {
  display: flex; gap: 8px; align-items: baseline; margin-bottom: 4px; overflow-wrap: anywhere;
  font: 600 0.9rem/1.4 var(--st-font); color: var(--st-text-color);
}
.head span { font-weight: 400; opacity: 0.75; font-variant-numeric: tabular-nums; }
.row { display: flex; flex-wrap: wrap; gap: 8px; padding: 4px; }
.thumb {
  margin: 0; padding: 0; border: 0; background: none; display: block; text-align: center;
  color: var(--st-text-color); font: 0.75rem/1.3 var(--st-font);
}
button.thumb { cursor: pointer; }
button.thumb:hover .frame { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
button.thumb:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 3px; }
.frame {
  display: block; box-sizing: border-box; border-radius: 4px; overflow: hidden;
  background: var(--st-secondary-background-color); border: 1px solid var(--st-border-color);
}
.frame.good { border: 3px solid #009e73; }
.frame.bad { border: 3px solid #d55e00; }
.frame.chosen { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
img { display: block; width: 100%; height: 100%; object-fit: cover; }
.gone { display: flex; height: 100%; align-items: center; justify-content: center; padding: 4px; }
.caption { display: block; margin-top: 6px; overflow-wrap: anywhere; }
"""
