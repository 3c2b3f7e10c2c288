"""Predictions of a stage on disk, `predictions/s<stage>-<h>x<w>[-tta].npz`: whole or not there.

path = write_predictions(run, name_of(0, (128, 128)), pictures, probs)
stored = read_predictions(run, name_of(0, (128, 128)))      # {"item", "target", "probs"} or None
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np

from lab.runs.arrays import read_arrays
from lab.runs.folder import RunFolder
from lab.vision.loader import TestPictures


def name_of(stage: int, size: tuple[int, int], kind: str = "") -> str:
    """The name of a stage's predictions at (height, width); kind: "" or "tta"."""
    return f"s{stage}-{size[0]}x{size[1]}" + (f"-{kind}" if kind else "")


def write_predictions(
    run: RunFolder, name: str, pictures: TestPictures, **arrays: np.ndarray
) -> Path:
    """Store item, target and the given arrays, one row an image."""
    path = run.predictions / f"{name}.npz"
    buffer = io.BytesIO()
    np.savez(buffer, item=pictures.items, target=pictures.labels, **arrays)
    temporary = run.predictions / f".{name}.{os.getpid()}.tmp"
    try:
        temporary.write_bytes(buffer.getvalue())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_predictions(run: RunFolder, name: str) -> dict[str, np.ndarray] | None:
    """The stored arrays by name; None where there are none or they cannot be read."""
    return read_arrays(run.predictions / f"{name}.npz")


def plain_size(size: tuple[int, int]) -> int | list[int]:
    """A side, or [height, width] where they differ: as events and scores write it."""
    return size[0] if size[0] == size[1] else list(size)
