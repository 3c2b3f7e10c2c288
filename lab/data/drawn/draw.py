"""One drawn picture: ground, clutter, the thing itself, light and camera.

pixels, label = draw(DrawnSet(seed=3), 17)      uint8 (side, side, 3), index into CLASSES
"""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageFilter

from lab.data.leaves import scene

from .fractals import fractal_cover
from .outlines import OUTLINES, outline_cover, random_pose
from .spec import CLASSES, DrawnSet, label_of
from .textures import TEXTURES, places

STREAM = 31  # first word of the pictures' seeds; the leaves use 0 to 9
GROUNDS = ("plain", "plain", "clouds", "clouds", "stripes", "wood", "walls", "blobs", "mosaic")
CONTRAST = 70.0  # smallest distance of two colours that must differ, in grey levels
PERIODS = (0.07, 0.22)  # of the textures, in sides: at 64 px the finest is 4.5 px


def draw(spec: DrawnSet, index: int) -> tuple[np.ndarray, int]:
    """Picture `index` of a set and its label: a pure function of seed and index."""
    rng = np.random.default_rng([STREAM, spec.seed, index])
    label, side = label_of(index), spec.size_px
    kind, what = CLASSES[label].split()
    if kind == "surface":
        picture = _surface(what, side, rng)
    else:
        picture = _thing(kind, what, side, rng)
    pixels = scene.photograph(picture, rng)
    if rng.random() < 0.2:
        soft = ImageFilter.GaussianBlur(rng.uniform(0.3, 1.1) * side / 128)
        pixels = np.asarray(Image.fromarray(pixels).filter(soft))
    return pixels, label


def _surface(texture: str, side: int, rng: np.random.Generator) -> np.ndarray:
    """A texture over the whole picture, unevenly lit."""
    one, other = _colours(rng)
    return _textured(texture, one, other, side, rng) * _light(side, rng)


def _thing(kind: str, what: str, side: int, rng: np.random.Generator) -> np.ndarray:
    """An outline with a fill, or a fractal, on a ground."""
    ground, tone = _ground(side, rng)
    for _ in range(rng.integers(0, 3)):
        _clutter(ground, side, rng)
    if kind == "fractal":
        cover, fill = fractal_cover(what, random_pose(rng, 0.32, 0.55), side, rng), "plain"
    else:
        cover, fill = outline_cover(kind, random_pose(rng), side, rng), what
    one, other = _colours(rng, unlike=tone)
    body = _textured(fill, one, other, side, rng) * _light(side, rng)
    if rng.random() < 0.5:
        _shadow(ground, cover, rng)
    return ground + cover * (body - ground)


def _ground(side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What lies behind, and its mean colour."""
    one, other = _colours(rng)
    other = one + (other - one) * np.float32(rng.uniform(0.1, 0.8))
    texture = GROUNDS[rng.integers(len(GROUNDS))]
    ground = _textured(texture, one, other, side, rng) * _light(side, rng)
    return ground, ground.mean(axis=(1, 2))


def _clutter(ground: np.ndarray, side: int, rng: np.random.Generator) -> None:
    """Something small and irrelevant, painted into the ground in place: part of an outline."""
    names = tuple(OUTLINES)
    pose = random_pose(rng, 0.05, 0.16)
    cover = outline_cover(names[rng.integers(len(names))], pose, side, rng)
    colour = _colour(rng)[:, None, None]
    ground += cover * np.float32(rng.uniform(0.3, 0.9)) * (colour - ground)


def _shadow(ground: np.ndarray, cover: np.ndarray, rng: np.random.Generator) -> None:
    """Darken the ground in place, a little beside the thing."""
    soft = Image.fromarray((cover * 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(rng.uniform(0.01, 0.04) * cover.shape[0])
    )
    shift = rng.integers(-6, 7, 2) * cover.shape[0] // 128
    shade = np.roll(np.asarray(soft, np.float32), tuple(shift), (0, 1))
    ground *= 1 - np.float32(rng.uniform(0.2, 0.6) / 255) * shade


def _textured(
    name: str, one: np.ndarray, other: np.ndarray, side: int, rng: np.random.Generator
) -> np.ndarray:
    """Planar float32 (3, side, side) between two colours."""
    period_px = side * np.exp(rng.uniform(*np.log(PERIODS)))
    x, y = places(side, period_px, rng.uniform(0, 2 * np.pi), rng)
    value = TEXTURES[name](x, y, rng)
    return one[:, None, None] + value[None] * (other - one)[:, None, None]


def _light(side: int, rng: np.random.Generator) -> np.ndarray:
    """A slow gradient of brightness about 1, float32 (side, side)."""
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
    ticks = np.linspace(-1, 1, side, dtype=np.float32)
    slope = ticks[None] * np.float32(np.cos(angle)) + ticks[:, None] * np.float32(np.sin(angle))
    return 1 + np.float32(depth) * slope


def _colour(rng: np.random.Generator) -> np.ndarray:
    """Any colour, greyish ones as often as vivid ones: float32 (3,), 0 to 255."""
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.random() ** 1.5, rng.uniform(0.08, 1) ** 0.7)
    return np.array(rgb, np.float32) * 255


def _colours(
    rng: np.random.Generator, unlike: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Two colours that differ from each other, the first also from a third one."""
    one = _colour(rng)
    while unlike is not None and np.linalg.norm(one - unlike) < CONTRAST:
        one = _colour(rng)
    other = _colour(rng)
    while np.linalg.norm(other - one) < CONTRAST:
        other = _colour(rng)
    return one, other
