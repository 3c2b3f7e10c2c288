"""The diseases: what each one paints on a blade.

A painter gets a Leaf and changes its colours in place. The two members of a fine pair run the same
painter with the same random draws; only the texture differs. Its contrast is added, never blended,
and has mean zero over any patch wider than its period, so that a shrunk picture shows neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import bank
from .shapes import Blade

STEPS, TRIES = 80, 5  # of a leaf miner's walk


@dataclass
class Leaf:
    """A blade being painted: its colours (3 x side x side, 0 to 255) and what painters need."""

    rgb: np.ndarray
    blade: Blade
    side: int
    period_px: float  # of the fine textures
    rng: np.random.Generator
    relief: np.ndarray  # height in pixels, for the light

    def cloud(self, finest: float = 0.02, power: float = 1.9) -> np.ndarray:
        return bank.crop(bank.cloud(self.side, power, finest), self.side, self.rng)

    def patches(self) -> np.ndarray:
        return bank.crop(bank.patches(self.side), self.side, self.rng)

    def mix(self, colour: tuple[float, float, float], amount: np.ndarray) -> None:
        """Move the colours towards one, by 0 to 1 per pixel."""
        for plane, value in zip(self.rgb, colour, strict=True):
            plane += amount * (np.float32(value) - plane)

    def add(self, colour: tuple[float, float, float], amount: np.ndarray) -> None:
        for plane, value in zip(self.rgb, colour, strict=True):
            plane += amount * np.float32(value)


def healthy(leaf: Leaf) -> None:
    """Nothing to see, on purpose."""


def blight(leaf: Leaf) -> None:
    """Dead brown tissue that eats its way in from the tip and the margin."""
    reach = leaf.rng.uniform(0.25, 0.6)
    front = leaf.blade.along - (1 - reach) + 0.06 * leaf.patches()
    margin = leaf.rng.uniform(0.03, 0.08) - leaf.blade.edge / leaf.side
    front = np.maximum(front, margin + 0.035 * leaf.patches())
    dust = leaf.cloud(0.004, 1.0)
    leaf.mix((184, 164, 66), _step(front, -0.13, 0.02) * 0.75)
    leaf.mix((118, 82, 50), _step(front, -0.02, 0.03) * np.clip(0.9 + 0.08 * dust, 0, 1))
    leaf.mix((62, 44, 34), _step(front + 0.07 * leaf.patches(), 0.06, 0.16) * 0.6)
    leaf.relief += _step(front, -0.02, 0.04) * (0.0010 * leaf.side) * dust  # dead tissue crumples


def powdery_mildew(leaf: Leaf) -> None:
    """White felt in round-edged patches, as if dusted with flour."""
    felt = leaf.patches() + leaf.rng.uniform(0.0, 0.7)
    dust = leaf.cloud(0.004, 1.0)
    amount = _step(felt + 0.3 * dust, -0.6, 1.3) * np.clip(0.84 + 0.10 * dust, 0, 0.95)
    bare = 0.35 + 0.65 * np.clip(leaf.blade.rib / (0.01 * leaf.side), 0, 1)
    leaf.mix((228, 230, 222), amount * bare)


def leaf_miner(leaf: Leaf) -> None:
    """Pale tunnels that a larva left, winding and growing wider."""
    tunnel = np.full(leaf.rgb.shape[1:], 9, np.float32)
    for x, y, half in _walks(leaf):
        _stamp_min(tunnel, x, y, half, reach=1.6)
    leaf.mix((218, 216, 172), np.clip((1.15 - tunnel) * 3, 0, 1) * 0.92)
    leaf.mix((98, 92, 52), np.clip((0.30 - tunnel) * 4, 0, 1) * 0.6)  # droppings along the middle
    leaf.relief += 0.3 * np.clip(1.1 - tunnel, 0, 1)


def rust(leaf: Leaf) -> None:
    """Bright orange, raised pustules."""
    _pustules(leaf, (40, 22, -12))


def scab(leaf: Leaf) -> None:
    """Black pits with pale rims."""
    _pustules(leaf, (-36, -25, -13))


def leaf_spot(leaf: Leaf) -> None:
    _spots(leaf, rings=False)


def target_spot(leaf: Leaf) -> None:
    _spots(leaf, rings=True)


def mosaic(leaf: Leaf) -> None:
    _chlorosis(leaf, streaks=False)


def streak(leaf: Leaf) -> None:
    _chlorosis(leaf, streaks=True)


PAINTERS: dict[str, Callable[[Leaf], None]] = {
    painter.__name__: painter
    for painter in (
        healthy,
        blight,
        powdery_mildew,
        leaf_miner,
        rust,
        scab,
        leaf_spot,
        target_spot,
        mosaic,
        streak,
    )
}


def _pustules(leaf: Leaf, colour: tuple[float, float, float]) -> None:
    """Clusters of specks: their middles differ from the tissue by `colour`, their rims oppositely.

    A colour of its own for each disease is what lets a small network learn the pair within ten
    short epochs; one colour with two signs took it twenty.
    """
    where = _step(leaf.patches() + leaf.rng.uniform(-0.1, 0.5), -0.45, 0.65)
    period = _jittered(leaf, 1.0)
    specks = bank.crop_along(bank.bumps(leaf.side, period, lit=True), leaf.side, leaf.rng)
    leaf.mix((120, 83, 44), where * 0.86)
    leaf.add(colour, specks * where)


def _spots(leaf: Leaf, rings: bool) -> None:
    """A few large brown spots, full of rings (target spot) or of black fruiting bodies."""
    radius = np.full(leaf.rgb.shape[1:], 99 * leaf.side, np.float32)
    share = np.full_like(radius, 9)
    for x, y, size in _centres(leaf, leaf.rng.integers(6, 10), (0.060, 0.090)):
        _stamp_min(share, x, y, np.array([size]), reach=1.7)
        _stamp_min(radius, x, y, np.array([1.0]), reach=1.7 * size)
    ragged = leaf.cloud(0.015, 1.2)
    share += 0.07 * ragged
    radius += np.float32(0.004 * leaf.side) * leaf.patches()
    period, turn = _jittered(leaf, 1.0), leaf.rng.uniform(0, 2 * np.pi)
    dots = bank.crop(bank.bumps(leaf.side, period), leaf.side, leaf.rng)
    leaf.mix((196, 178, 70), np.clip((1.45 - share) * 2.2, 0, 1) * 0.7)
    inside = np.clip((1.0 - share) * 9, 0, 1)
    leaf.mix((136, 98, 62), inside * 0.95)
    leaf.mix((92, 60, 40), inside * np.clip((share - 0.82) * 9, 0, 1) * 0.7)
    inside *= np.clip((0.95 - share) * 9, 0, 1)
    waves = np.cos(radius * np.float32(2 * np.pi / period) + np.float32(turn)) * np.float32(1.3)
    if rings:
        leaf.add((40, 39, 32), waves * inside)
    else:
        leaf.add((-42, -30, -19), dots * inside)


def _chlorosis(leaf: Leaf, streaks: bool) -> None:
    """A yellowed blade, mottled in patches (mosaic) or in lines along the leaf (streak)."""
    yellow = 0.62 + 0.14 * leaf.cloud(0.06)
    leaf.mix((182, 180, 70), np.clip(yellow, 0.2, 0.9))
    period, shift = _jittered(leaf, 0.8), leaf.rng.integers(4096)
    patches = bank.crop(bank.blobs(leaf.side, period), leaf.side, leaf.rng)
    warp = leaf.cloud(0.06)
    if streaks:
        row = bank.stripes(period)
        wide = leaf.blade.across * np.float32(4 * leaf.side) + 4 * 0.5 * period * warp
        patches = row[(wide.astype(np.int32) + shift) % len(row)]
    leaf.add((36, 34, 16), np.clip(patches, -1.7, 1.7))


def _jittered(leaf: Leaf, factor: float) -> float:
    """The fine period in pixels, one of three near each other: each is a tile kept in memory."""
    return round(leaf.period_px * factor * (0.94, 1.0, 1.06)[leaf.rng.integers(3)], 3)


def _step(field: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((field - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def _centres(leaf: Leaf, count: int, sizes: tuple[float, float]):
    """Places on the blade (x, y, radius in pixels) that keep off the margin and each other."""
    inside = np.flatnonzero(leaf.blade.edge > 0.035 * leaf.side)
    kept: list[tuple[float, float, float]] = []
    for pick, grow in leaf.rng.random((8 * count, 2)):
        if len(kept) == count or not len(inside):
            break
        y, x = divmod(int(inside[int(pick * len(inside))]), leaf.side)
        size = (sizes[0] + (sizes[1] - sizes[0]) * grow) * leaf.side
        if all(np.hypot(x - a, y - b) > 1.05 * (size + r) for a, b, r in kept):
            kept.append((x, y, size))
    return kept


def _walks(leaf: Leaf):
    """A few winding paths that stay on the blade: arrays x, y and half-width, in pixels."""
    for x, y, _ in _centres(leaf, leaf.rng.integers(3, 6), (0.05, 0.05)):
        turns = np.cumsum(leaf.rng.normal(0, 0.26, (TRIES, STEPS)), axis=1)
        turns += leaf.rng.uniform(0, 2 * np.pi, (TRIES, 1))
        step = 0.0075 * leaf.side
        xs = x + step * np.cumsum(np.cos(turns), axis=1)
        ys = y + step * np.cumsum(np.sin(turns), axis=1)
        cells = np.clip(np.stack([ys, xs]).astype(int), 0, leaf.side - 1)
        off = leaf.blade.edge[cells[0], cells[1]] < 0.01 * leaf.side
        ends = np.where(off.any(axis=1), off.argmax(axis=1), STEPS)
        best = int(ends.argmax())  # of several tries, the one that stays on the blade longest
        half = np.linspace(0.006, 0.016, STEPS) * leaf.side
        yield xs[best, : ends[best]], ys[best, : ends[best]], half[: ends[best]]


def _stamp_min(field: np.ndarray, x, y, size: np.ndarray, reach: float) -> None:
    """Lower the field, in place, to the distance from each point, in units of its size."""
    x, y, size = np.broadcast_arrays(np.float32(x), np.float32(y), size.astype(np.float32))
    if not size.size:
        return
    span = int(np.ceil(reach * size.max())) + 1
    offsets = np.arange(-span, span + 1)
    rows, cols = (
        (np.floor(y)[:, None] + offsets).astype(int),
        (np.floor(x)[:, None] + offsets).astype(int),
    )
    dy, dx = (rows + 0.5 - y[:, None])[:, :, None], (cols + 0.5 - x[:, None])[:, None]
    distance = (np.sqrt(dy * dy + dx * dx) / size[:, None, None]).astype(np.float32)
    side = field.shape[0]
    ok = ((rows >= 0) & (rows < side))[:, :, None] & ((cols >= 0) & (cols < side))[:, None]
    place = rows[:, :, None] * side + cols[:, None]
    np.minimum.at(field.reshape(-1), place[ok], distance[ok])
