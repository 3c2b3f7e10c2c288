"""Pictures at true relative size, framed in their size's colour: 64 px *looks* small beside 224 px.

true_size_row([Crop(image, "stage 1, 64 px", size_colour(64, sides))], key="look.crops")
st.image(hero(leaf), width=620, alt="One leaf at 64, 96 and 128 pixels")
"""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from lab.ui.palette import on_top, size_colour

Picture = Image.Image | np.ndarray | bytes
HERO_PX = (64, 96, 128)


@dataclass(frozen=True)
class Crop:
    """One picture of a row."""

    picture: Picture  # PIL, uint8 array of height x width x 3, or the bytes of a PNG or JPEG
    caption: str = ""
    colour: str = ""  # of the frame; none: no frame
    alt: str = ""  # none: the caption


def true_size_row(crops: Sequence[Crop], key: str, scale: float = 1.0) -> None:
    """Crops side by side, one image pixel = `scale` CSS pixels for all of them.

    The row wraps on narrow screens. Where one crop alone is too wide, all shrink by the same
    factor. Enlarged pixels stay square.
    """
    items = []
    for crop in crops:
        kind, content, width, height = _encoded(crop.picture)
        source = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
        words = {"caption": crop.caption, "alt": crop.alt or crop.caption, "colour": crop.colour}
        items.append({"source": source, "width": width, "height": height, **words})
    _component()(key=key, data={"items": items, "scale": scale})


def hero(leaf: Image.Image, sides_px: Sequence[int] = HERO_PX, unit: int = 4) -> Image.Image:
    """One leaf in growing squares, as the network sees it at each size; RGBA, see-through around.

    Each picture pixel is drawn as unit x unit, so that all sizes are at true relative size.
    """
    edge, gap, tab = 3 * unit, 8 * unit, 17 * unit
    frames = [side * unit + 2 * edge for side in sides_px]
    width, height = sum(frames) + gap * (len(frames) - 1), max(frames) + tab
    canvas = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    left = 0
    for side, frame in zip(sides_px, frames):
        framed = _framed(leaf, side, unit, edge, tab, size_colour(side, sides_px))
        canvas.alpha_composite(framed, (left, height - framed.height))
        left += frame + gap
    return canvas


def _framed(
    leaf: Image.Image, side: int, unit: int, edge: int, tab: int, colour: str
) -> Image.Image:
    """The leaf at one size on a rounded plate of the size's colour, with its number."""
    frame = side * unit + 2 * edge
    plate = Image.new("RGBA", (frame, frame + tab), (0, 0, 0, 0))
    draw = ImageDraw.Draw(plate)
    draw.rounded_rectangle((0, 0, frame - 1, frame + tab - 1), radius=4 * unit, fill=colour)
    small = leaf.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    grown = small.resize((side * unit, side * unit), Image.Resampling.NEAREST)
    plate.paste(grown, (edge, edge))
    font = ImageFont.load_default(11 * unit)
    place = (frame // 2, frame + (tab - edge) // 2)
    draw.text(place, f"{side} px", fill=on_top(colour), font=font, anchor="mm")
    return plate


def _encoded(picture: Picture) -> tuple[str, bytes, int, int]:
    """(format, file content, width, height). PNG, as crops are small and must not blur."""
    if isinstance(picture, bytes):
        with Image.open(io.BytesIO(picture)) as image:
            return (image.format or "png").lower(), picture, image.width, image.height
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    if image.mode not in {"RGB", "RGBA", "L"}:
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return "png", buffer.getvalue(), image.width, image.height


@functools.cache
def _component() -> Callable[..., Any]:
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return st.components.v2.component("lab_true_size_row", js=script, css=_CSS)


_CSS = """
.row { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 16px; }
figure { margin: 0; display: flex; flex-direction: column; align-items: center; }
img { display: block; border-radius: 3px; box-sizing: content-box; }
img.large { image-rendering: pixelated; }
figcaption {
  margin-top: 6px; min-width: 64px; text-align: center; overflow-wrap: anywhere;
  font: 0.8rem/1.3 var(--st-font); font-variant-numeric: tabular-nums; color: var(--st-text-color);
}
"""
