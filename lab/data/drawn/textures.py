"""Textures as functions of the place: how far from one colour to the other each pixel is.

value = TEXTURES["checks"](x, y, rng)     x, y: float32 (side, side) in periods; value: 0 to 1
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from lab.data.leaves import bank

TILE_SIDE = 256  # tiles are twice as wide
TILE_PERIODS = 2 / 0.06  # across a tile: cells, blobs and dots are made this fine
TURN = np.float32(2 * np.pi)

Field = np.ndarray
Texture = Callable[[Field, Field, np.random.Generator], Field]


def places(side: int, period_px: float, angle: float, rng: np.random.Generator) -> tuple:
    """x and y of every pixel in periods, turned, from a random origin, in slight perspective."""
    ticks = (np.arange(side, dtype=np.float32) - side / 2) / np.float32(period_px)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = c * ticks[None] - s * ticks[:, None], s * ticks[None] + c * ticks[:, None]
    tilt = rng.uniform(-0.5, 0.5) / side
    depth = 1 + np.float32(tilt) * (np.arange(side, dtype=np.float32) - side / 2)[:, None]
    start = rng.uniform(0, TILE_PERIODS, 2).astype(np.float32)
    return x * depth + start[0], y * depth + start[1]


def plain(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return 0.12 * _soft(_tile("clouds", x / 4, y / 4), 1)


def stripes(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _soft(np.sin(TURN * x) - np.float32(rng.uniform(-0.5, 0.5)), rng.uniform(2, 9))


def checks(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _soft(np.sin(np.pi * x) * np.sin(np.pi * y), rng.uniform(5, 16))


def dots(x: Field, y: Field, rng: np.random.Generator) -> Field:
    row = np.floor(y)
    dx, dy = x + 0.5 * (row % 2) - 0.5, y - row - 0.5
    dx -= np.floor(dx + 0.5)
    return _soft(np.float32(rng.uniform(0.2, 0.36)) - np.hypot(dx, dy), 24)


def walls(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _soft(np.float32(rng.uniform(0.1, 0.25)) - _tile("cells", x, y), 18)


def marble(x: Field, y: Field, rng: np.random.Generator) -> Field:
    swirl = np.float32(rng.uniform(0.35, 0.8)) * _tile("clouds", x / 2, y / 2)
    return 0.5 + 0.5 * np.sin(TURN * (x * np.float32(0.35) + swirl))


def waves(x: Field, y: Field, rng: np.random.Generator) -> Field:
    swing = np.float32(rng.uniform(0.1, 0.5)) * np.sin(y * np.float32(rng.uniform(0.8, 2)))
    return 0.5 + 0.5 * np.sin(TURN * (x + swing))


def plaid(x: Field, y: Field, rng: np.random.Generator) -> Field:
    sharp, share = rng.uniform(3, 10), np.float32(rng.uniform(0.35, 0.65))
    across, along = _soft(np.sin(TURN * x) - 0.2, sharp), _soft(np.sin(TURN * y) - 0.2, sharp)
    return share * across + (1 - share) * along


def mosaic(x: Field, y: Field, rng: np.random.Generator) -> Field:
    tones = rng.random(1024).astype(np.float32)
    return tones[_nearest(_owners(), x, y)]


def bumps(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _soft(_tile("bumps", x, y), 1.1)


def pits(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _soft(-_tile("bumps", x, y), 1.1)


def blobs(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _soft(_tile("blobs", x, y), rng.uniform(1.2, 6))


def wood(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _soft(_tile("wood", x, y), 1.2)


def clouds(x: Field, y: Field, rng: np.random.Generator) -> Field:
    return _soft(_tile("clouds", x, y), 1.3)


def spiral(x: Field, y: Field, rng: np.random.Generator) -> Field:
    side = x.shape[0]
    off = rng.uniform(0.3, 0.7, 2) * side
    ticks = np.arange(side, dtype=np.float32)
    dx, dy = ticks[None] - np.float32(off[0]), ticks[:, None] - np.float32(off[1])
    period = np.float32(rng.uniform(0.07, 0.18) * side)
    arms = int(rng.choice([-2, -1, 1, 2]))
    phase = TURN * np.hypot(dx, dy) / period + arms * np.arctan2(dy, dx)
    return _soft(np.sin(phase), rng.uniform(1.5, 6))


TEXTURES: dict[str, Texture] = {
    "plain": plain,
    "stripes": stripes,
    "checks": checks,
    "dots": dots,
    "net": walls,
    "marble": marble,
    "waves": waves,
    "plaid": plaid,
    "mosaic": mosaic,
    "walls": walls,
    "bumps": bumps,
    "pits": pits,
    "blobs": blobs,
    "wood": wood,
    "clouds": clouds,
    "spiral": spiral,
}


def _soft(value: Field, sharpness: float) -> Field:
    """0 to 1, a half at zero; the sharper, the steeper."""
    scaled = value * np.float32(sharpness)
    return np.float32(0.5) + np.float32(0.5) * scaled / (1 + np.abs(scaled))


@lru_cache(maxsize=8)
def _source(name: str) -> Field:
    period_px = 2 * TILE_SIDE / TILE_PERIODS
    makers = {
        "clouds": lambda: bank.cloud(TILE_SIDE, 1.6, 0.01),
        "cells": lambda: bank.cells(TILE_SIDE, 0.06),
        "bumps": lambda: bank.bumps(TILE_SIDE, period_px),
        "blobs": lambda: bank.blobs(TILE_SIDE, period_px),
        "wood": lambda: bank.wood(TILE_SIDE).T,
    }
    return np.ascontiguousarray(makers[name]())


@lru_cache(maxsize=1)
def _owners() -> np.ndarray:
    """For every pixel of a tile, the nearest of scattered points: int (2 TILE_SIDE squared)."""
    count, size = 32, 2 * TILE_SIDE
    jitter = np.random.default_rng(11).random((count, count, 2), dtype=np.float32)
    grid = (np.arange(size, dtype=np.float32) + 0.5) * (count / size)
    home = grid.astype(int)
    best, owner = np.full((size, size), 9.0, np.float32), np.zeros((size, size), np.int32)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            row, col = (home + dy)[:, None], (home + dx)[None]
            point = jitter[row % count, col % count]
            far = np.hypot(row + point[..., 0] - grid[:, None], col + point[..., 1] - grid[None])
            number = (row % count) * count + col % count
            owner = np.where(far < best, number, owner)
            best = np.minimum(best, far)
    return owner


def _pixels(x: Field) -> Field:
    return x * np.float32(2 * TILE_SIDE / TILE_PERIODS)


def _nearest(tile: np.ndarray, x: Field, y: Field) -> np.ndarray:
    size = tile.shape[0]
    return tile[_pixels(y).astype(np.int32) % size, _pixels(x).astype(np.int32) % size]


def _tile(name: str, x: Field, y: Field) -> Field:
    """A tile read between its pixels; it repeats without a seam."""
    tile = _source(name)
    size = tile.shape[0]
    px, py = _pixels(x), _pixels(y)
    left, top = np.floor(px), np.floor(py)
    fx, fy = px - left, py - top
    x0, y0 = left.astype(np.int32) % size, top.astype(np.int32) % size
    x1, y1 = (x0 + 1) % size, (y0 + 1) % size
    upper = tile[y0, x0] * (1 - fx) + tile[y0, x1] * fx
    lower = tile[y1, x0] * (1 - fx) + tile[y1, x1] * fx
    return upper * (1 - fy) + lower * fy
