"""Textures that every picture crops from: clouds, grain, cells, wood and the fine textures.

Made once per process and side by filtering noise in Fourier space, so they tile and their means
are exactly zero; a crop then costs microseconds where fresh noise would cost milliseconds.
All tiles are float32, twice the picture's side, from fixed seeds: they are no part of a set's seed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

BUMP_PEAK = 2.8  # in deviations
SPACING = 1.3  # periods between dots: sparse dots tell bright on dark from dark on bright
CACHED = 24  # tiles kept; at 512 px one takes 4 MB


def crop(tile: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random side x side window of a tile (2 side x 2 side), flipped or turned at random."""
    top, left, flip = rng.integers(0, [side, side, 8])
    window = tile[top : top + side, left : left + side]
    window = window[::-1] if flip & 1 else window
    window = window[:, ::-1] if flip & 2 else window
    return window.T if flip & 4 else window


def crop_along(tile: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random window that keeps the tile's direction: for wood."""
    top, left = rng.integers(0, side, 2)
    return tile[top : top + side, left : left + side]


@lru_cache(maxsize=CACHED)
def cloud(side: int, power: float = 1.9, finest: float = 0.02) -> np.ndarray:
    """Fractal noise, mean 0 and deviation 1; nothing finer than `finest` of the side."""
    freq = _frequency(side)
    gain = np.maximum(freq, 0.6) ** -power * np.exp(-((freq * finest) ** 2) * 4)
    return _filtered(side, 1, gain)


@lru_cache(maxsize=CACHED)
def patches(side: int) -> np.ndarray:
    """Noise whose patches are about a fifth of the side wide, with frayed edges; deviation 1."""
    freq = _frequency(side)
    return _filtered(
        side, 8, 1 / (1 + (freq / 4) ** 4) ** 0.5 * np.exp(-((freq / 60) ** 2)) * (freq > 1)
    )


@lru_cache(maxsize=CACHED)
def grain(side: int) -> np.ndarray:
    """The camera's noise: white, a little softened as by a demosaicing filter, deviation 1."""
    return _filtered(side, 2, np.exp(-((_frequency(side) / side) ** 2) * 2.5))


@lru_cache(maxsize=CACHED)
def wood(side: int) -> np.ndarray:
    """Wood grain that runs along the rows, deviation 1."""
    fy, fx = _axes(side)
    stretched = np.hypot(fy, fx * 14)
    return _filtered(side, 3, np.maximum(stretched, 1.5) ** -0.9 * np.exp(-((stretched / 90) ** 2)))


@lru_cache(maxsize=CACHED)
def cells(side: int, cell: float = 0.03) -> np.ndarray:
    """Distance to the second nearest of scattered points less that to the nearest, in cells.

    Zero on the walls of a net: finest veins when drawn thin, pebbles when drawn wide.
    """
    size = 2 * side
    count = max(8, round(2 / cell))
    jitter = np.random.default_rng(4).random((count, count, 2), dtype=np.float32)
    grid = (np.arange(size, dtype=np.float32) + 0.5) * (count / size)
    home = grid.astype(int)
    first = np.full((size, size), 9.0, np.float32)
    second = first.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            row, col = (home + dy)[:, None], (home + dx)[None]
            point = jitter[row % count, col % count]
            y, x = row + point[..., 0] - grid[:, None], col + point[..., 1] - grid[None]
            distance = np.sqrt(x * x + y * y).astype(np.float32)
            second = np.minimum(second, np.maximum(first, distance))
            first = np.minimum(first, distance)
    return second - first


@lru_cache(maxsize=CACHED)
def blobs(side: int, period_px: float) -> np.ndarray:
    """Isotropic patches of one period: noise in a narrow band, deviation 1, mean 0."""
    wanted = 1 / period_px * side
    return _filtered(side, 5, np.exp(-(((_frequency(side) / wanted - 1) / 0.22) ** 2)))


@lru_cache(maxsize=CACHED)
def bumps(side: int, period_px: float, lit: bool = False) -> np.ndarray:
    """Bright dots in dark rims, each about a period wide; mean 0 at every coarser scale.

    A dot's profile is the difference of two Gaussians of equal mass, so that its blurred picture
    vanishes whichever its sign: that is what hides the sign from small pictures. `lit` adds each
    dot's slope towards a light above left; true relief would be bent by the shading, whose
    highlights clip before its shadows do, and shift the mean by 3 grey levels.
    """
    size = 2 * side
    count = max(4, round(size / (SPACING * period_px)))
    rng = np.random.default_rng(6)
    lattice = np.indices((count, count)).reshape(2, -1).T + 0.5
    lattice[:, 1] += 0.5 * (np.floor(lattice[:, 0]) % 2)  # staggered rows look less like a grid
    points = lattice + rng.uniform(-0.24, 0.24, lattice.shape)
    places = (points * (size / count)).astype(int) % size
    field = np.zeros((size, size), np.float32)
    field[places[:, 0], places[:, 1]] = rng.uniform(0.8, 1.2, len(places))
    spread = _frequency(side) / side * period_px * 2 * np.pi
    gain = np.exp(-((0.20 * spread) ** 2) / 2) - np.exp(-((0.36 * spread) ** 2) / 2)
    dots = _normal(np.fft.irfft2(np.fft.rfft2(field) * gain, s=field.shape))
    if lit:
        dots = _normal(dots + 0.08 * period_px * (dots - np.roll(dots, (1, 1), (0, 1))))
    # Peaks are cut to fit into 8 bits. That darkens every patch of dots by 3 grey levels, which a
    # network sees at 32 px (82% right where 50% is chance): so what is coarse is taken out again.
    coarse = np.exp(-((0.45 * spread) ** 2) / 2)
    cut = np.fft.rfft2(np.minimum(dots, BUMP_PEAK)) * (1 - coarse)
    return _normal(np.fft.irfft2(cut, s=field.shape))


@lru_cache(maxsize=CACHED)
def stripes(period_px: float, length: int = 4096) -> np.ndarray:
    """One row of `length` samples at a quarter pixel each: noise in a narrow band, deviation 1."""
    freq = np.fft.rfftfreq(length, 0.25)
    gain = np.exp(-(((freq * period_px - 1) / 0.22) ** 2))
    gain[0] = 0
    row = np.random.default_rng(7).standard_normal(length)
    return _normal(np.fft.irfft(np.fft.rfft(row) * gain, n=length))


def _axes(side: int) -> tuple[np.ndarray, np.ndarray]:
    """A tile's frequencies in cycles per picture side: rows, and the half of the columns kept."""
    size = 2 * side
    return np.fft.fftfreq(size, 1 / side)[:, None], np.fft.rfftfreq(size, 1 / side)[None]


def _frequency(side: int) -> np.ndarray:
    return np.hypot(*_axes(side))


def _filtered(side: int, seed: int, gain: np.ndarray) -> np.ndarray:
    white = np.random.default_rng(seed).standard_normal((2 * side, 2 * side), dtype=np.float32)
    spectrum = np.fft.rfft2(white) * gain
    spectrum[0, 0] = 0
    return _normal(np.fft.irfft2(spectrum, s=white.shape))


def _normal(field: np.ndarray) -> np.ndarray:
    field = field - field.mean()
    return (field / field.std()).astype(np.float32)
