"""Where on a picture the network looks: boxes in picture pixels, for many pictures at once.

A box is (centre x, centre y, width, height), float64 (n, 4). Shapes are (height, width) in pixels,
`aspect` is the output's width / height. Random choices come in as uniforms u in [0, 1).
"""

from __future__ import annotations

import numpy as np

RATIO = (3 / 4, 4 / 3)  # of random crops, log-uniform (torchvision, fastai)
TRIES = 10


def whole(shapes: np.ndarray) -> np.ndarray:
    """The whole picture: squish."""
    height, width = shapes[:, 0], shapes[:, 1]
    return np.stack([width / 2, height / 2, width, height], axis=1)


def cover(shapes: np.ndarray, aspect: float, u: np.ndarray) -> np.ndarray:
    """The largest box of that aspect inside the picture: crop. u (n, 2) places it; 0.5: middle."""
    height, width = shapes[:, 0].astype(float), shapes[:, 1].astype(float)
    box_w = np.minimum(width, height * aspect)
    return _placed(width, height, box_w, box_w / aspect, u)


def contain(shapes: np.ndarray, aspect: float, u: np.ndarray) -> np.ndarray:
    """The smallest box of that aspect around the picture: pad. u (n, 2) places it."""
    height, width = shapes[:, 0].astype(float), shapes[:, 1].astype(float)
    box_w = np.maximum(width, height * aspect)
    return _placed(width, height, box_w, box_w / aspect, u)


def random_part(
    boxes: np.ndarray,
    aspect: float | np.ndarray,
    min_scale: float,
    u: np.ndarray,
    fallback: np.ndarray,
    ratios: tuple[float, float] = RATIO,
) -> np.ndarray:
    """A random part of each box with area U(min_scale, 1) of it, its aspect times a log-uniform
    ratio. RandomResizedCrop takes 3/4..4/3; fastai's aug_transforms(min_scale=...) keeps 1.

    u: (n, 2 * TRIES + 2), a share and a ratio per try, then the place. Where no try fits, the
    fallback box is taken.
    """
    tries = u[:, : 2 * TRIES].reshape(-1, TRIES, 2)
    area = (boxes[:, 2] * boxes[:, 3])[:, None] * (min_scale + (1 - min_scale) * tries[..., 0])
    low, high = np.log(ratios)
    ratio = aspect * np.exp(low + (high - low) * tries[..., 1])
    width, height = np.sqrt(area * ratio), np.sqrt(area / ratio)
    fits = (width <= boxes[:, 2:3] + 1e-9) & (height <= boxes[:, 3:4] + 1e-9)
    first, rows = fits.argmax(axis=1), np.arange(len(boxes))
    part = _placed(boxes[:, 2], boxes[:, 3], width[rows, first], height[rows, first], u[:, -2:])
    part[:, :2] += boxes[:, :2] - boxes[:, 2:] / 2
    return np.where(fits.any(axis=1)[:, None], part, fallback)


def middle(boxes: np.ndarray, share: float) -> np.ndarray:
    """The middle of each box: `share` of its width and of its height."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] * share], axis=1)


def _placed(
    width: np.ndarray, height: np.ndarray, box_w: np.ndarray, box_h: np.ndarray, u: np.ndarray
) -> np.ndarray:
    """Boxes of a size, placed so that u = 0 touches the left or upper edge and u = 1 the other."""
    x = box_w / 2 + (width - box_w) * u[:, 0]
    y = box_h / 2 + (height - box_h) * u[:, 1]
    return np.stack([x, y, box_w, box_h], axis=1)
