"""One picture: scene, leaf, disease, light and camera put together.

    draw_image(LeafSet(seed=3), 17)   ->   (PIL image, "rust", "sawleaf")

Every part has its own generator, seeded by (part, set's seed, index): what one part draws never
moves another, so the same leaf with another disease differs in the disease alone.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from . import bank, scene
from .lesions import PAINTERS, Leaf
from .shapes import VARIETY_LOOKS, Blade, Pose, Variety, blade, draw_pose, wilted
from .spec import LeafSet, labels

SCENE, LEAF, DISEASE, CAMERA = range(4)
MIN_PERIOD_PX = 3.2  # a finer texture is drawn larger and shrunk, or it would be drawn as noise
MAX_SIDE_PX = 512


def draw_image(spec: LeafSet, index: int) -> tuple[Image.Image, str, str]:
    """Picture `index` (from 0) of a set: RGB image, disease, variety. A pure function."""
    disease, variety = labels(spec)[index]
    return draw_leaf(spec, index, disease, variety), disease, variety


def draw_leaf(spec: LeafSet, index: int, disease: str, variety: str) -> Image.Image:
    """The picture that `index` would be with this disease and variety: same scene, same leaf."""
    times = drawn_times(spec)
    side = spec.size_px * times
    rng = {part: np.random.default_rng([part, spec.seed, index]) for part in range(4)}
    look = VARIETY_LOOKS[variety]
    pose = draw_pose(rng[LEAF], look)
    pose = wilted(pose, rng[DISEASE]) if disease == "blight" else pose
    light = _light_direction(rng[SCENE])
    ground, is_surface = scene.background(side, rng[SCENE])
    leaf = _bare_leaf(side, spec.period * side, pose, look, rng)
    PAINTERS[disease](leaf)
    leaf.mix((160, 172, 104), np.maximum(leaf.blade.stalk * 0.9, _ribs(leaf.blade) * 0.5))
    if is_surface:
        scene.cast_shadow(ground, leaf.blade.cover, light, rng[SCENE].uniform(0.012, 0.035))
    _illuminate(leaf, light, rng[SCENE].uniform(0.2, 1.0))
    ground += leaf.blade.cover * (leaf.rgb - ground)
    image = Image.fromarray(scene.photograph(ground, rng[CAMERA]))
    return image.reduce(times) if times > 1 else image


def drawn_times(spec: LeafSet) -> int:
    """How many times larger than asked a picture is drawn, so that fine textures are resolved."""
    wanted = math.ceil(MIN_PERIOD_PX / (spec.period * spec.size_px))
    return max(1, min(wanted, MAX_SIDE_PX // spec.size_px))


def _light_direction(rng: np.random.Generator) -> tuple[float, float]:
    """Where the light comes from, mostly from above left: unit vector (x, y) in the picture."""
    angle = np.deg2rad(rng.normal(-125, 25))
    return float(np.cos(angle)), float(np.sin(angle))


def _bare_leaf(side: int, period_px: float, pose: Pose, look: Variety, rng: dict) -> Leaf:
    """A healthy leaf: green, uneven, with veins; lit later."""
    own = rng[LEAF]
    fields = blade(side, pose, look, own)
    tint = np.array(look.rgb) * own.uniform(0.86, 1.10) + own.normal(0, 5, 3)
    tone = 1 + 0.055 * bank.crop(bank.cloud(side), side, own)
    tone += 0.05 * bank.crop(bank.patches(side), side, own)
    tone += 0.03 * bank.crop(bank.cloud(side, 1.0, 0.004), side, own)
    rgb = tint.astype(np.float32)[:, None, None] * tone
    leaf = Leaf(rgb, fields, side, period_px, rng[DISEASE], _relief(side, fields, pose, own))
    leaf.mix((176, 178, 74), np.clip(fields.along * 0.5 - own.uniform(-0.02, 0.45), 0, 0.35))
    _veins(leaf, own)
    return leaf


def _veins(leaf: Leaf, rng: np.random.Generator) -> None:
    side, fields = leaf.side, leaf.blade
    net = bank.crop(bank.cells(side, 0.022), side, rng)
    leaf.mix((168, 190, 120), np.clip(0.30 - net, 0, 0.3) * 0.5)
    pale = np.clip(1.2 - fields.side / (0.0042 * side), 0, 1) * 0.42
    leaf.mix((186, 200, 132), np.maximum(pale, _ribs(fields) * 0.75))


def _ribs(fields: Blade) -> np.ndarray:
    """0 to 1: where the main veins are."""
    return np.clip(fields.rib_half - fields.rib + 0.5, 0, 1) * (fields.edge > 0)


def _relief(side: int, fields: Blade, pose: Pose, rng: np.random.Generator) -> np.ndarray:
    """The blade's height over the picture, in pixels."""
    # Rounded over the midrib: a sharp crease would sparkle along it.
    off = np.sqrt(fields.across * fields.across + np.float32(3e-4))
    height = -np.float32(pose.fold * side) * off - np.float32(pose.curl * side * 0.5) * off * off
    height += np.float32(side * 0.016) * (0.25 - fields.phase * fields.phase)
    height += np.float32(side * 0.010) * bank.crop(bank.cloud(side, 2.4, 0.08), side, rng)
    groove = np.clip(1 - fields.rib / (0.02 * side), 0, 1)
    return height - np.float32(side * 0.002) * groove * groove * groove


def _illuminate(leaf: Leaf, light: tuple[float, float], gloss: float) -> None:
    """Shade the colours, in place, by the slope of the relief, and add a soft sheen."""
    height = leaf.relief
    facing = np.zeros_like(height)
    facing[:, 1:] += (height[:, 1:] - height[:, :-1]) * np.float32(-light[0])
    facing[1:] += (height[1:] - height[:-1]) * np.float32(-light[1])
    rim = np.clip(leaf.blade.edge * (90 / leaf.side) + 0.3, 0.55, 1)
    shade = np.clip(1 + 0.8 * facing, 0.55, 1.32) * (0.82 + 0.18 * rim)
    sheen = np.clip(facing - 0.08, 0, 0.3)
    leaf.rgb *= shade
    leaf.rgb += sheen * sheen * np.float32(900 * gloss)
