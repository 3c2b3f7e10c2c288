"""Real picture files for tests of the data room, made where they are asked for."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def pixels(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """uint8 (height, width, 3): smooth colours with some grain, different for every seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + rng.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)


def photo(path: Path, height: int = 48, width: int = 64, seed: int = 0, **saving) -> Path:
    """A picture file; the format by its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(height, width, seed)).save(path, **saving)
    return path


def class_folders(root: Path, counts: dict[str, int], ending: str = "jpg", **size) -> Path:
    """root/<class>/<number>.jpg, every picture different. A class may be `train/cat`."""
    seed = 0
    for name, count in counts.items():
        for number in range(count):
            seed += 1
            photo(root / name / f"{number:03d}.{ending}", seed=seed, **size)
    return root


def zip_of(folder: Path, path: Path, prefix: str = "") -> Path:
    """A zip of all files below a folder."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path
