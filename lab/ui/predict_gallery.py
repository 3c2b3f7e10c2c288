"""New pictures with what the network says of them: the likeliest classes as bars.

    cards([Card("leaf.jpg", thumb, bars(probs, classes, before=plain))], key="predict.cards")

A bar is the answer that counts; a tick on it, where there is one, the answer without views.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from lab.ui.palette import NEUTRAL

SHOWN = 3  # classes with a bar of their own


@dataclass(frozen=True)
class Bar:
    """One class: its probability, and `before`, what it was without views."""

    name: str
    share: float
    before: float | None = None


@dataclass(frozen=True)
class Card:
    """One picture. `change`: what the views made of the answer, in words; "" for nothing."""

    name: str
    thumb: bytes
    bars: list[Bar]
    change: str = ""
    note: str = ""
    second: str = ""  # the second target's name
    second_bars: list[Bar] = field(default_factory=list)


def bars(
    probs: np.ndarray, classes: Sequence[str], before: np.ndarray | None = None, most: int = SHOWN
) -> list[Bar]:
    """The likeliest classes, the answer first; also the answer without views, if it is another."""
    order = [int(at) for at in np.argsort(-probs, kind="stable")[:most]]
    if before is not None and (was := int(before.argmax())) not in order:
        order[-1] = was
    return [
        Bar(classes[at], float(probs[at]), None if before is None else float(before[at]))
        for at in order
    ]


def cards(shown: Sequence[Card], key: str) -> None:
    """Draw them; all their text goes in as text."""
    data = {"cards": [{**asdict(card), "thumb": _address(card.thumb)} for card in shown]}
    _component()(key=key, data={**data, "other": NEUTRAL})


def _address(thumb: bytes) -> str:
    if not thumb:
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(thumb).decode('ascii')}"


@functools.cache
def _component() -> Callable[..., Any]:
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return st.components.v2.component("lab_predict_gallery", js=script, css=_CSS)


_CSS = """
.cards { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(258px, 1fr));
  color: var(--st-text-color); font: 0.85rem/1.4 var(--st-font);
  font-variant-numeric: tabular-nums; }
.card { display: grid; grid-template-columns: 92px 1fr; gap: 4px 12px; min-width: 0; margin: 0;
  padding: 12px; border: 1px solid var(--st-border-color); border-radius: 6px;
  align-content: start; }
.card img, .card .none { width: 92px; height: 92px; object-fit: contain; border-radius: 3px;
  background: var(--st-secondary-background-color); }
.card .none { display: flex; align-items: center; justify-content: center; opacity: 0.7; }
.said { min-width: 0; }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; opacity: 0.8;
  margin-bottom: 4px; }
.bar { display: grid; grid-template-columns: 1fr auto; gap: 0 8px; margin-bottom: 4px; }
.bar b, .bar i { font-style: normal; font-weight: 400; overflow-wrap: anywhere; }
.bar.top b, .bar.top i { font-weight: 650; }
.track { position: relative; grid-column: 1 / 3; height: 7px; border-radius: 3px;
  background: var(--st-secondary-background-color); }
.fill { position: absolute; inset: 0 auto 0 0; border-radius: 3px;
  background: var(--st-primary-color); }
.tick { position: absolute; top: -1px; bottom: -3px; width: 2px; margin-left: -1px;
  background: var(--st-text-color); }
.more { grid-column: 1 / 3; margin: 2px 0 0; overflow-wrap: anywhere; }
.more.note { opacity: 0.75; }
.head { margin: 6px 0 2px; font-weight: 600; }
"""
