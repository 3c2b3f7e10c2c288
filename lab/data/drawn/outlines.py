"""Outlines: polygons in the square from -1 to 1, bent a little, turned, and filled softly.

cover = outline_cover("star", pose, side, rng)      float32 (side, side), 0 outside to 1 inside
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

OVERSAMPLED = 2  # the polygon is drawn this many times larger: soft edges


@dataclass(frozen=True)
class Pose:
    """Centre and half-width in sides, turn in radians, stretch across, shear."""

    x: float
    y: float
    half: float
    angle: float
    stretch: float
    shear: float

    def matrix(self) -> np.ndarray:
        """2 x 2: from the outline's square to sides."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        turn = np.array([[c, -s], [s, c]])
        return turn @ np.array([[1, self.shear], [0, self.stretch]]) * self.half


def random_pose(rng: np.random.Generator, small: float = 0.27, large: float = 0.52) -> Pose:
    """Anywhere, so that most of it is in the picture; upright more often than not."""
    half = rng.uniform(small, large)
    wander = 0.5 - 0.75 * half
    upright = rng.random() < 0.6
    return Pose(
        x=0.5 + rng.uniform(-wander, wander),
        y=0.5 + rng.uniform(-wander, wander),
        half=half,
        angle=rng.normal(0, 0.2) if upright else rng.uniform(0, 2 * np.pi),
        stretch=rng.uniform(0.7, 1.15),
        shear=rng.normal(0, 0.12),
    )


def outline_cover(name: str, pose: Pose, side: int, rng: np.random.Generator) -> np.ndarray:
    """How much of each pixel the outline covers."""
    large = side * OVERSAMPLED
    picture = Image.new("L", (large, large), 0)
    pen = ImageDraw.Draw(picture)
    bend = rng.normal(0, 0.06, (2, 2, 3))
    for number, loop in enumerate(OUTLINES[name]):
        points = _bent(_dense(loop), bend) @ pose.matrix().T + (pose.x, pose.y)
        pen.polygon([tuple(p) for p in (points * large).tolist()], fill=0 if number else 255)
    return np.asarray(picture.reduce(OVERSAMPLED), np.float32) / np.float32(255)


def _bent(points: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """Every point moved by slow waves of the place, so that no two outlines are congruent."""
    moved = points.copy()
    for axis in (0, 1):
        for k in range(3):
            wave = np.sin((k + 1) * 1.7 * points[:, 1 - axis] + 40 * bend[axis, 1, k])
            moved[:, axis] += bend[axis, 0, k] * wave
    return moved


def _dense(loop: np.ndarray) -> np.ndarray:
    """Points added along the edges, or straight edges could not bend."""
    steps = (
        np.linspace(0, 1, 6, endpoint=False)[None, :, None]
        if len(loop) < 24
        else np.zeros((1, 1, 1))
    )
    ahead = np.roll(loop, -1, axis=0)
    return (loop[:, None] + (ahead - loop)[:, None] * steps).reshape(-1, 2)


def _round(radius: np.ndarray | float, n: int = 48) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([radius * np.sin(angle), -radius * np.cos(angle)], axis=1)


def _star(points: int, inner: float) -> np.ndarray:
    return _round(np.where(np.arange(2 * points) % 2, inner, 1.0), 2 * points)


def _crescent() -> np.ndarray:
    turn = np.linspace(-2.2, 2.2, 30)
    outer = np.stack([-np.cos(turn), np.sin(turn)], axis=1)
    inner = np.stack([0.35 - 0.95 * np.cos(turn[::-1]), 0.85 * np.sin(turn[::-1])], axis=1)
    return np.concatenate([outer, inner]) + np.array([0.2, 0.0])


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y], axis=1) / 16.5


def _loop(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, float)


_BAR = 0.36
OUTLINES: dict[str, tuple[np.ndarray, ...]] = {  # further loops of an outline are holes
    "disc": (_round(0.95),),
    "ring": (_round(1.0), _round(0.55)),
    "triangle": (_loop((0, -1), (0.95, 0.8), (-0.95, 0.8)),),
    "square": (_loop((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),),
    "cross": (
        _loop(
            (-_BAR, -1), (_BAR, -1), (_BAR, -_BAR), (1, -_BAR), (1, _BAR), (_BAR, _BAR),
            (_BAR, 1), (-_BAR, 1), (-_BAR, _BAR), (-1, _BAR), (-1, -_BAR), (-_BAR, -_BAR),
        ),
    ),
    "star": (_star(5, 0.45),),
    "crescent": (_crescent(),),
    "heart": (_heart(),),
    "arrow": (
        _loop((0, -1), (0.8, -0.1), (0.3, -0.1), (0.3, 1), (-0.3, 1), (-0.3, -0.1), (-0.8, -0.1)),
    ),
    "flower": (_round(0.72 + 0.28 * np.cos(6 * np.linspace(0, 2 * np.pi, 48, endpoint=False))),),
}  # fmt: skip
