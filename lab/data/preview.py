"""Small pictures for pages: `thumbnail_sheet(dataset, items, side_px=128)`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from lab.data.dataset import Dataset
from lab.data.images import open_rgb
from lab.data.parallel import each
from lab.errors import LabError

_GONE = (200, 200, 200)
_QUALITY = 85


def thumbnail(source: Path | bytes, side_px: int) -> bytes:
    """A JPEG with its longer side at most `side_px`, aspect kept, never enlarged, no metadata.

    A picture that cannot be read comes out as a grey square: a page shows the others all the same.
    """
    try:
        image = open_rgb(source, short_px=side_px)
        image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    except LabError:
        image = Image.new("RGB", (side_px, side_px), _GONE)
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=_QUALITY)
    return packed.getvalue()


def thumbnail_sheet(
    dataset: Dataset, items: Sequence[int], side_px: int = 128, threads: int | None = None
) -> list[bytes]:
    """One JPEG per item, in order: about 2 ms each for photos of 400 px."""
    paths = [dataset.path(int(item)) for item in items]
    return list(each(lambda path: thumbnail(path, side_px), paths, threads=threads))
