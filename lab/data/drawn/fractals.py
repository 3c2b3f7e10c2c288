"""Fractals: attractors of iterated affine maps, drawn by the chaos game (Barnsley 1988).

cover = fractal_cover("fern", pose, side, rng)      float32 (side, side), 0 to 1
"""

from __future__ import annotations

import numpy as np

from .outlines import Pose

WALKERS, SETTLING, KEPT = 2500, 14, 10  # points walk together; so many steps are thrown, kept
JITTER = 0.025  # of the maps' coefficients, so that no two pictures of a fractal are congruent


def fractal_cover(name: str, pose: Pose, side: int, rng: np.random.Generator) -> np.ndarray:
    """Where the attractor is, denser parts brighter."""
    maps, chances = SYSTEMS[name]
    maps = maps + rng.normal(0, JITTER, maps.shape) * (maps != 0)
    points = _walk(maps, chances, rng)
    low, high = np.quantile(points, 0.01, axis=0), np.quantile(points, 0.99, axis=0)
    points = (points - (low + high) / 2) / max((high - low).max() / 2, 1e-6)
    placed = (points @ pose.matrix().T + (pose.x, pose.y)) * side
    cells = np.floor(placed).astype(np.int32)
    inside = ((cells >= 0) & (cells < side)).all(axis=1)
    flat = cells[inside, 1] * side + cells[inside, 0]
    density = np.bincount(flat, minlength=side * side).reshape(side, side).astype(np.float32)
    return 1 - np.exp(-density * np.float32(1.1))


def _walk(maps: np.ndarray, chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points of the attractor, (KEPT * WALKERS, 2)."""
    points = rng.uniform(-0.5, 0.5, (WALKERS, 2))
    picks = rng.choice(len(maps), (SETTLING + KEPT, WALKERS), p=chances)
    kept = []
    for step, pick in enumerate(picks):
        a, b, c, d, e, f = maps[pick].T
        points = np.stack(
            [a * points[:, 0] + b * points[:, 1] + e, c * points[:, 0] + d * points[:, 1] + f], 1
        )
        if step >= SETTLING:
            kept.append(points)
    return np.concatenate(kept)


def _system(*maps: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Maps (a, b, c, d, e, f): x' = a x + b y + e, y' = c x + d y + f; chosen by their areas."""
    table = np.array(maps, float)
    areas = np.abs(table[:, 0] * table[:, 3] - table[:, 1] * table[:, 2])
    chances = np.maximum(areas, 0.02)
    return table, chances / chances.sum()


def _copies(scale: float, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _system(*((scale, 0, 0, scale, x, y) for x, y in places))


def _turned(scale: float, degrees: float, x: float, y: float) -> tuple[float, ...]:
    c, s = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    return (c, -s, s, c, x, y)


def _polygon(n: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.sin(angle), -np.cos(angle)], axis=1)


def _grid(keep) -> np.ndarray:
    return np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if keep(x, y)], float)


_HALF = 1 / np.sqrt(2)
SYSTEMS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "triangles": _copies(0.5, _polygon(3) * 0.5),
    "carpet": _copies(1 / 3, _grid(lambda x, y: x or y) * (2 / 3)),
    "fern": _system(
        (0, 0, 0, 0.16, 0, 0),
        (0.85, 0.04, -0.04, 0.85, 0, -1.6),
        (0.20, -0.26, 0.23, 0.22, 0, -1.6),
        (-0.15, 0.28, 0.26, 0.24, 0, -0.44),
    ),
    "dragon": _system(_turned(_HALF, 45, 0, 0), _turned(_HALF, 135, 1, 0)),
    "levy": _system(_turned(_HALF, 45, 0, 0), _turned(_HALF, -45, 0.5, 0.5)),
    "coast": _system(
        _turned(1 / 3, 0, 0, 0),
        _turned(1 / 3, 60, 1 / 3, 0),
        _turned(1 / 3, -60, 0.5, np.sqrt(3) / 6),
        _turned(1 / 3, 0, 2 / 3, 0),
    ),
    "tree": _system(
        (0.05, 0, 0, 0.5, 0, 0),
        _turned(0.62, 38, 0, -0.5),
        _turned(0.62, -38, 0, -0.5),
        _turned(0.45, 5, 0, -0.4),
    ),
    "pentagons": _copies(0.382, _polygon(5) * 0.618),
    "vicsek": _copies(1 / 3, _grid(lambda x, y: x == 0 or y == 0) * (2 / 3)),
    "snail": _system(_turned(0.9, 24, 0.05, 0.1), _turned(0.28, -50, 0.8, -0.5)),
}
