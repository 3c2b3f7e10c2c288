"""What surrounds the leaf: the ground it lies on, its shadow, and the camera that took it.

Nothing here knows the leaf's disease; that is what keeps the background from giving it away.
Pictures are planar float32, 3 x side x side, 0 to 255.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from . import bank

COARSE_PX = 56  # blurred backgrounds are painted this small and enlarged


def background(side: int, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """A random scene, and whether it is a surface that the leaf casts a shadow on."""
    paint, is_surface = GROUNDS[rng.integers(len(GROUNDS))]
    return paint(side, rng), is_surface


def soil(side: int, rng: np.random.Generator) -> np.ndarray:
    tone = 1 + 0.13 * bank.crop(bank.cloud(side, 1.2, 0.004), side, rng)
    stones = np.clip(bank.crop(bank.cells(side), side, rng) * 3.2, 0.15, 1)
    tone *= 0.62 + 0.38 * stones
    tone += 0.05 * bank.crop(bank.grain(side), side, rng)
    return _tinted(rng, (112, 84, 62), (92, 76, 64), tone)


def slate(side: int, rng: np.random.Generator) -> np.ndarray:
    tone = 1 + 0.07 * bank.crop(bank.cloud(side, 1.1, 0.004), side, rng)
    tone += 0.03 * bank.crop(bank.grain(side), side, rng)
    return _tinted(rng, (118, 124, 132), (150, 146, 138), tone)


def paper(side: int, rng: np.random.Generator) -> np.ndarray:
    tone = 1 + 0.012 * bank.crop(bank.cloud(side, 1.3, 0.004), side, rng)
    tone += np.float32(rng.uniform(-0.1, 0.1)) * _ramp(side, rng)
    if rng.random() < 0.4:  # a page of an exercise book
        step = rng.uniform(0.07, 0.11) * side
        line = np.abs((np.arange(side) + rng.uniform(0, step)) % step - step / 2)
        tone -= 0.16 * np.clip(1 - line * 1.2 * 128 / side, 0, 1).astype(np.float32)[:, None]
    return _tinted(rng, (228, 222, 208), (214, 218, 220), tone)


def table(side: int, rng: np.random.Generator) -> np.ndarray:
    tone = 1 + 0.13 * bank.crop_along(bank.wood(side), side, rng)
    rows = np.arange(side, dtype=np.float32) / side
    plank = rng.uniform(0.28, 0.5)
    seam = np.abs((rows + rng.uniform(0, plank)) % plank - plank / 2)
    board = np.floor((rows + 10) / plank) % 3
    tone *= (1 - 0.6 * np.clip(1 - seam * 110, 0, 1) + 0.05 * (board - 1))[:, None].astype(
        np.float32
    )
    wood = _tinted(rng, (162, 112, 68), (116, 84, 60), tone)
    return wood.swapaxes(1, 2) if rng.random() < 0.5 else wood


def foliage(side: int, rng: np.random.Generator) -> np.ndarray:
    """Other leaves, far behind the plane of focus."""
    picture = Image.new("RGB", (COARSE_PX, COARSE_PX), (34, 52, 30))
    pen = ImageDraw.Draw(picture)
    for x, y, width, height, light in rng.random((34, 5)):
        w, h = 4 + 16 * width, 3 + 8 * height
        if rng.random() < 0.5:
            w, h = h, w
        green = tuple(int(c * (0.45 + 0.75 * light)) for c in (78, 112, 52))
        cx, cy = x * COARSE_PX, y * COARSE_PX
        pen.ellipse((cx - w, cy - h, cx + w, cy + h), fill=green)
    return _enlarged(picture, side, blur=rng.uniform(1.6, 3.2))


def bokeh(side: int, rng: np.random.Generator) -> np.ndarray:
    """Sky and hedge out of focus, with discs of light."""
    top, bottom = (
        _between(rng, (158, 190, 214), (196, 206, 190)),
        _between(rng, (62, 92, 50), (104, 120, 72)),
    )
    mix = np.clip(np.linspace(rng.uniform(-0.4, 0.1), rng.uniform(0.8, 1.5), COARSE_PX), 0, 1)[
        :, None, None
    ]
    canvas = np.broadcast_to(top * (1 - mix) + bottom * mix, (COARSE_PX, COARSE_PX, 3)).copy()
    rows, cols = np.ogrid[:COARSE_PX, :COARSE_PX]
    for x, y, size, light in rng.random((13, 4)):
        distance = np.hypot(rows - y * COARSE_PX, cols - x * COARSE_PX)
        disc = np.clip(2.5 + 6 * size - distance, 0, 1)[..., None]
        canvas += disc * light * np.array([34, 36, 22])
    picture = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    return _enlarged(picture, side, blur=rng.uniform(0.5, 1.3))


GROUNDS: tuple[tuple[Callable, bool], ...] = (
    (soil, True),
    (slate, True),
    (paper, True),
    (table, True),
    (foliage, False),
    (bokeh, False),
)


def cast_shadow(
    ground: np.ndarray, cover: np.ndarray, light: tuple[float, float], height: float
) -> None:
    """Darken the ground, in place, beside a leaf that lies `height` (in sides) above it."""
    side = cover.shape[0]
    small = Image.fromarray((cover * 255).astype(np.uint8)).resize(
        (side // 2, side // 2), Image.Resampling.BOX
    )
    for reach, strength in ((0.35, 0.30), (1.0, 0.42)):  # a contact shadow and a wide one
        blurred = small.filter(ImageFilter.GaussianBlur(side / 2 * height * reach * 0.55))
        shade = np.asarray(blurred.resize((side, side), Image.Resampling.BILINEAR), np.float32)
        shift = [round(-component * height * reach * side) for component in (light[1], light[0])]
        ground *= 1 - strength / 255 * _shifted(shade, *shift)


def photograph(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, white balance, vignette and noise; uint8, side x side x 3."""
    side = picture.shape[1]
    ticks = np.linspace(-1, 1, side, dtype=np.float32) ** 2
    gains = rng.uniform(0.90, 1.08) * rng.uniform(0.965, 1.035, 3)
    vignette = 1 - np.float32(rng.uniform(0.02, 0.12)) * (ticks[None] + ticks[:, None])
    picture = picture * (vignette * gains[:, None, None].astype(np.float32))
    picture += np.float32(rng.uniform(1.0, 3.2)) * bank.crop(bank.grain(side), side, rng)
    return np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _shifted(field: np.ndarray, down: int, right: int) -> np.ndarray:
    """The field moved; what comes in repeats the edge."""
    side = field.shape[0]
    rows = np.clip(np.arange(side) - down, 0, side - 1)
    cols = np.clip(np.arange(side) - right, 0, side - 1)
    return field[rows][:, cols]


def _between(rng: np.random.Generator, one, other) -> np.ndarray:
    mix = rng.random()
    return (np.array(one) * mix + np.array(other) * (1 - mix)).astype(np.float32)


def _tinted(rng: np.random.Generator, one, other, tone: np.ndarray) -> np.ndarray:
    colour = _between(rng, one, other) * np.float32(rng.uniform(0.8, 1.08))
    return colour[:, None, None] * tone.astype(np.float32, copy=False)


def _ramp(side: int, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    ticks = np.linspace(-1, 1, side, dtype=np.float32)
    return ticks[None] * np.float32(np.cos(angle)) + ticks[:, None] * np.float32(np.sin(angle))


def _enlarged(picture: Image.Image, side: int, blur: float) -> np.ndarray:
    picture = picture.filter(ImageFilter.GaussianBlur(blur))
    large = picture.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(large, np.float32).transpose(2, 0, 1).copy()
