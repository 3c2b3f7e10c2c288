"""Thumbnails of a data set's pictures, made once and kept small.

sources = thumbnails(dataset.id, stamp, (3, 17))     # JPEGs as data addresses, "" where unreadable
picture = original(dataset, 3, short_px=256)
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import streamlit as st
from PIL import Image, ImageOps

from lab.data.dataset import Dataset
from lab.data.images import open_rgb
from lab.data.parallel import each
from lab.errors import LabError
from lab.ui import state

SIDE_PX = 144  # shown at half of that or a little more: sharp on dense screens, 4 kB a picture


@st.cache_data(max_entries=64, show_spinner=False)
def thumbnails(dataset_id: str, stamp: float, items: tuple[int, ...]) -> list[str]:
    """Square thumbnails, the longer side cropped, in the order of `items`."""
    dataset = state.opened(dataset_id, stamp)
    return list(each(lambda item: _thumbnail(dataset, item), items))


def stamp_of(dataset_id: str) -> float:
    """When a data set was last written; 0 where it is not there."""
    try:
        return (state.workspace().dataset(dataset_id) / "dataset.json").stat().st_mtime
    except (OSError, LabError):
        return 0.0


def original(dataset: Dataset, item: int, short_px: int | None = None) -> Image.Image | None:
    """A picture of the set; None where its file is gone or damaged."""
    try:
        return open_rgb(dataset.path(int(item)), short_px=short_px)
    except LabError:
        return None


def some_of_each(
    labels: np.ndarray, classes: Sequence[int], each_class: int, roll: int
) -> dict[int, list[int]]:
    """Class -> a few of its items at random; the same for the same roll."""
    rng = np.random.default_rng(roll)
    found = {}
    for number in classes:
        items = np.flatnonzero(labels == number)
        found[number] = sorted(rng.permutation(items)[:each_class].tolist())
    return found


def _thumbnail(dataset: Dataset, item: int) -> str:
    image = original(dataset, item, SIDE_PX)
    if image is None:
        return ""
    side = min(SIDE_PX, *image.size)
    square = ImageOps.fit(image, (side, side), Image.Resampling.HAMMING)
    file = io.BytesIO()
    square.save(file, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
