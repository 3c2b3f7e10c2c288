"""The leaf's geometry: for every pixel, where on the blade it lies.

A variety is an outline and a net of veins. `blade()` turns a pose into fields over the picture
(height x width, float32); painting and lighting then need no geometry of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

TABLE = 1024  # samples of an outline, along the midrib or around the star's centre


@dataclass(frozen=True)
class Variety:
    """Look of one plant variety. Lengths are fractions of the leaf's length."""

    rgb: tuple[int, int, int]
    half_width: float
    veins: int  # secondary veins on one side
    slope: float  # how far a secondary vein climbs along the midrib per unit it goes outwards
    teeth: int
    tooth: float
    stretch: float = 1.0  # leaf length relative to the others, so that blades fill similar areas
    star: bool = False


VARIETY_LOOKS = {
    "lanceleaf": Variety((104, 142, 88), 0.20, 13, 0.75, 0, 0.0, stretch=1.14),
    "sawleaf": Variety((70, 134, 54), 0.285, 9, 0.62, 23, 0.020),
    "starleaf": Variety((112, 150, 50), 0.42, 6, 0.80, 17, 0.022, stretch=0.84, star=True),
}
STAR_HUB = 0.26  # where the star's five ribs meet, from the base
STAR_LOBES = np.deg2rad([-118, -57, 0, 57, 118])
STAR_LENGTHS = np.array([0.48, 0.68, 0.74, 0.68, 0.48])


@dataclass(frozen=True)
class Pose:
    """Where and how a leaf lies: centre and length in sides, angles in radians."""

    x: float
    y: float
    length: float
    angle: float
    squash: float  # foreshortening across the midrib
    tilt: tuple[float, float]  # perspective along and across
    bend: float
    sway: float
    fold: float
    curl: float


@dataclass
class Blade:
    """Fields over the picture. Distances are in pixels, `along` and `across` in leaf lengths."""

    cover: np.ndarray  # 0 to 1, the blade's and the stalk's pixels
    edge: np.ndarray  # distance inwards from the margin, negative outside
    rib: np.ndarray  # distance to the nearest main vein
    rib_half: np.ndarray  # half that vein's width
    side: np.ndarray  # distance to the nearest secondary vein
    phase: np.ndarray  # -0.5 to 0.5 between secondary veins, 0 on a vein
    along: np.ndarray
    across: np.ndarray  # signed
    stalk: np.ndarray  # 0 to 1


def draw_pose(rng: np.random.Generator, look: Variety) -> Pose:
    length = rng.uniform(0.84, 1.0) * look.stretch
    wander = 0.05 if length > 0.95 else 0.07
    return Pose(
        x=0.5 + rng.uniform(-wander, wander),
        y=0.5 + rng.uniform(-wander, wander),
        length=length,
        angle=rng.uniform(0, 2 * np.pi),
        squash=rng.uniform(0.82, 1.0),
        tilt=(rng.uniform(-0.22, 0.22), rng.uniform(-0.16, 0.16)),
        bend=rng.normal(0, 0.16),
        sway=rng.normal(0, 0.03),
        fold=rng.uniform(0.06, 0.22),
        curl=rng.uniform(-0.5, 0.9),
    )


def wilted(pose: Pose, rng: np.random.Generator) -> Pose:
    """The same leaf gone limp: narrower, bent and rolled in at the margins."""
    bend = pose.bend + np.copysign(rng.uniform(0.18, 0.40), pose.bend)
    return replace(
        pose, squash=pose.squash * rng.uniform(0.74, 0.88), bend=bend, fold=0.26, curl=1.5
    )


def blade(side: int, pose: Pose, look: Variety, rng: np.random.Generator) -> Blade:
    """Fields of one leaf on a side x side picture."""
    along, across, scale = _leaf_coordinates(side, pose)
    stalk_px = _stalk(along, across, pose, side)
    field = (
        _star(along, across, scale, look, rng)
        if look.star
        else _plain(along, across, scale, look, rng)
    )
    edge, out, off, rib_scale = field
    phase = (out - look.slope * off * (1 + 0.5 * off)) * look.veins
    phase = phase + np.where(across > 0, np.float32(rng.uniform(0.1, 0.5)), np.float32(0))
    phase -= np.rint(phase)
    stalk = np.clip(stalk_px + 0.5, 0, 1)
    return Blade(
        cover=np.maximum(np.clip(edge + 0.5, 0, 1), stalk),
        edge=edge,
        rib=off * scale,
        rib_half=np.maximum((0.0085 * (1.12 - out) * rib_scale) * scale, side * 0.0024),
        side=np.abs(phase) * (scale / (look.veins * np.hypot(1, look.slope))),
        phase=phase,
        along=along,
        across=across,
        stalk=stalk * (edge < 0),
    )


def _leaf_coordinates(side: int, pose: Pose) -> tuple[np.ndarray, np.ndarray, np.float32]:
    """Each pixel's place along the midrib (0 base, 1 tip) and across it; pixels per leaf length."""
    ticks = (np.arange(side, dtype=np.float32) + 0.5) / side
    dx, dy = ticks[None] - np.float32(pose.x), ticks[:, None] - np.float32(pose.y)
    cos, sin = np.float32(np.cos(pose.angle)), np.float32(np.sin(pose.angle))
    a, b = dx * cos + dy * sin, dy * cos - dx * sin
    depth = 1 / (pose.length * (1 + np.float32(pose.tilt[0]) * a + np.float32(pose.tilt[1]) * b))
    along = a * depth
    across = b * depth * np.float32(1 / pose.squash)
    across -= np.float32(pose.bend) * (along * along - 0.08) + np.float32(pose.sway * 4) * along * (
        0.25 - along * along
    )
    along += 0.5
    return along, across, np.float32(side * pose.length)


def _plain(along, across, scale, look: Variety, rng):
    """A blade with one midrib: margin from a table of half-widths along it."""
    u = np.linspace(0, 1, TABLE)
    if look.teeth:
        body = np.sin(np.pi * u**0.74) ** 0.92 * (1 - 0.22 * u**3)
        tip_taper = np.clip((1 - u) * 9, 0.25, 1)
        saw = (
            look.tooth
            * (1 - (u * look.teeth + rng.random()) % 1)
            * tip_taper
            * np.clip(u * 12, 0, 1)
        )
    else:
        body = (4 * u * (1 - u)) ** 0.86 * (1.12 - 0.30 * u)
        saw = 0.004 * np.sin(u * rng.uniform(18, 30) + rng.uniform(0, 6))
    width = look.half_width * rng.uniform(0.9, 1.1) * body + saw * (body > 0)
    index = np.clip((along * (TABLE - 1)).astype(np.int32), 0, TABLE - 1)
    off = np.abs(across)
    edge = _edge(width, 1 / (TABLE - 1), index, off, scale)
    outside = np.maximum(-along, along - 1)
    return np.minimum(edge, -outside * scale), along, off, np.float32(1)


def _star(along, across, scale, look: Variety, rng):
    """A blade of five pointed lobes: margin from a table of radii around the hub."""
    turn = np.linspace(-np.pi, np.pi, TABLE)
    lengths = STAR_LENGTHS * rng.uniform(0.92, 1.06, 5)
    gap = np.abs(turn[None] - STAR_LOBES[:, None])
    gap = np.minimum(gap, 2 * np.pi - gap)
    half = np.deg2rad(rng.uniform(21, 28))
    reach = lengths[:, None] * np.sin(half) / np.sin(np.minimum(half + gap, np.pi / 2))
    nearest = np.argmin(gap, axis=0)
    width = reach.max(axis=0)
    width = width * (0.90 + 0.10 * np.cos(gap.min(axis=0) * 3.2))
    width += (
        look.tooth
        * 2
        * ((gap.min(axis=0) * look.teeth / 2.2) % 1)
        * np.clip(gap.min(axis=0) * 5, 0, 1)
    )
    a, b = along - np.float32(STAR_HUB), across
    index = ((np.arctan2(b, a) + np.float32(np.pi)) * np.float32((TABLE - 1) / (2 * np.pi))).astype(
        np.int32
    )
    radius = np.sqrt(a * a + b * b)
    edge = _edge(width, 2 * np.pi / (TABLE - 1), index, radius, scale, polar=True)
    cos = np.cos(STAR_LOBES[nearest]).astype(np.float32)[index]
    sin = np.sin(STAR_LOBES[nearest]).astype(np.float32)[index]
    out, off = a * cos + b * sin, np.abs(b * cos - a * sin)
    return edge, out, off, np.float32(0.9)


def _edge(width, step, index, radius, scale, polar: bool = False) -> np.ndarray:
    """Distance to a margin given as a table: the gap along one axis times the margin's cosine."""
    slope = np.gradient(width, step) / (np.maximum(width, 0.05) if polar else 1)
    steep = 1 / np.sqrt(1 + np.minimum(slope**2, 40))
    table = width.astype(np.float32), (steep * scale).astype(np.float32)
    return (table[0][index] - radius) * table[1][index]


def _stalk(along, across, pose: Pose, side: int) -> np.ndarray:
    """Distance inwards from the stalk's outline, in pixels."""
    swing = np.float32(pose.bend * 0.8) * along * along
    half = 0.011 * side * (1 - 0.5 * np.clip(along + 0.2, 0, 1))
    inside = half - np.abs(across + swing) * np.float32(pose.length * side)
    return np.where((along < 0.30) & (along > -0.22), inside, np.float32(-9))
