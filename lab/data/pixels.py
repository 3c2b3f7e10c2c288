"""From an original picture to the pixels of a train store: aspect kept, never enlarged.

shape = kept_shape(height, width, presize_px)      # known before anything is decoded
pixels = kept_pixels(image, presize_px)            # uint8 of that shape
"""

from __future__ import annotations

import numpy as np
from PIL import Image

# Longer pictures lose their ends: a 20:1 panorama would take five times the memory of a 4:1 one,
# and every training crop of it is a small part anyway.
LONGEST = 4
# A JPEG is decoded at 1/2, 1/4 or 1/8 where twice the wanted size is left: 2.4 times as fast at
# 64-80 px from 400 px photos, 1 grey level of mean difference. Once the wanted size: 2 to 3 levels.
DRAFT = 2
# As sharp as bicubic to within 1 grey level on the mean, at 60 % of its cost. It blurs when
# enlarging, which never happens here.
_FILTER = Image.Resampling.HAMMING
_GAP = 3.0  # Pillow's docs: from 3 on indistinguishable from resizing in one step


def kept_shape(height, width, presize_px: int):
    """(height, width) in the store: short side at most `presize_px`. Integers or int arrays."""
    short = np.minimum(height, width)
    height, width = np.minimum(height, LONGEST * short), np.minimum(width, LONGEST * short)
    scale = np.minimum(1.0, presize_px / short)
    rows, columns = np.rint(height * scale), np.rint(width * scale)
    return rows.astype(np.int32), columns.astype(np.int32)


def kept_pixels(image: Image.Image, presize_px: int, shape: tuple[int, int] | None = None):
    """uint8 (h, w, 3) of an RGB picture. `shape`: that of the original, if `image` is reduced."""
    rows, columns = map(int, shape or kept_shape(image.height, image.width, presize_px))
    short = min(image.size)
    box = _centre(image.width, image.height, LONGEST * short)
    if box == (0, 0, *image.size) and (columns, rows) == image.size:
        return np.asarray(image)
    return np.asarray(image.resize((columns, rows), _FILTER, box=box, reducing_gap=_GAP))


def draft_scale(height: int, width: int, presize_px: int) -> int:
    """By how much Pillow reduces a JPEG while decoding for this presize: 1, 2, 4 or 8."""
    room = min(height, width) // (DRAFT * presize_px)
    return next(scale for scale in (8, 4, 2, 1) if room >= scale or scale == 1)


def _centre(width: int, height: int, longest: int) -> tuple[int, int, int, int]:
    """The middle part with no side above `longest`, as (left, top, right, bottom)."""
    left, top = max(0, width - longest) // 2, max(0, height - longest) // 2
    return left, top, min(width, left + longest), min(height, top + longest)
