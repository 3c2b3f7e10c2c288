"""What training and test show of a picture, drawn on it to scale, one drawing a stage.

overlays(jpeg, 400, 300, [Overlay("Stage 1, 64 px", colour, test, train, larger, words)], "key")
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st

Quad = Sequence[Sequence[float]]  # four corners x, y, as shares of the picture's width and height


@dataclass(frozen=True)
class Overlay:
    """One stage. `larger`: per training draw, how many times larger than at test things look."""

    title: str
    colour: str
    test: Quad
    train: Sequence[Quad]
    larger: Sequence[float]
    words: str


def overlays(picture: bytes, width: int, height: int, stages: Sequence[Overlay], key: str) -> None:
    """Draw them. `picture`: a JPEG; width, height: any two numbers in its aspect."""
    source = f"data:image/jpeg;base64,{base64.b64encode(picture).decode('ascii')}"
    items = [asdict(stage) for stage in stages]
    _component()(key=key, data={"source": source, "aspect": width / height, "items": items})


@functools.cache
def _component() -> Callable[..., Any]:
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return st.components.v2.component("lab_resolution_overlay", js=script, css=_CSS)


_CSS = """
.all { display: flex; flex-wrap: wrap; gap: 20px; align-items: flex-start; }
figure { margin: 0; flex: 1 1 220px; max-width: 340px; min-width: 0; }
svg { display: block; width: 100%; height: auto; }
svg.frames { border-radius: 4px; background: var(--st-secondary-background-color); }
figcaption { font: 0.85rem/1.4 var(--st-font); color: var(--st-text-color); margin: 6px 0 2px; }
figcaption b { display: block; font-weight: 600; }
figcaption i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; }
svg text { font: 10px var(--st-font); fill: var(--st-text-color); }
.axis { stroke: var(--st-text-color); stroke-opacity: 0.35; }
.test { stroke: var(--st-text-color); stroke-width: 2; }
.key {
  flex-basis: 100%; opacity: 0.8; font: 0.8rem/1.4 var(--st-font); color: var(--st-text-color);
}
"""
