"""Small pictures in class folders, for both sides to read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("oak", "elm")


def class_folders(place: Path, n: int, side: int = 24) -> list[Path]:
    """n PNGs of noise, their classes in turn."""
    rng, files = np.random.default_rng(0), []
    for at in range(n):
        folder = place / CLASSES[at % len(CLASSES)]
        folder.mkdir(exist_ok=True)
        files.append(folder / f"{at:03d}.png")
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(files[-1])
    return files
