"""Draws a whole set into one .npy of uint8 (n, side, side, 3), by several processes.

The processes are plain commands (`python -m lab.data.drawn SPEC FILE PART PARTS`), as for the
leaves: a spawned pool would import its caller's main module, and torch with it. Each fills its
rows of a memory map; the file gets its name when all are done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .draw import draw
from .spec import DrawnSet, label_of


def draw_array(spec: DrawnSet, path: Path, processes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, side, side, 3), memory-mapped from `path` (drawn where missing), and labels."""
    path = Path(path)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            _draw_all(spec, unfinished, processes)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    labels = np.array([label_of(index) for index in range(spec.n)], np.int64)
    return np.load(path, mmap_mode="r"), labels


def draw_part(spec: DrawnSet, path: Path, part: int, parts: int) -> None:
    """Fill every `parts`-th row from `part` on."""
    rows = np.load(path, mmap_mode="r+")
    for index in range(part, spec.n, parts):
        rows[index], _ = draw(spec, index)
    rows.flush()


def _draw_all(spec: DrawnSet, path: Path, processes: int) -> None:
    shape = (spec.n, spec.size_px, spec.size_px, 3)
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).flush()
    if processes == 1:
        draw_part(spec, path, 0, 1)
        return
    children = [_start(spec, path, part, processes) for part in range(processes)]
    try:
        codes = [child.wait() for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    if any(codes):
        raise RuntimeError(f"processes that draw ended with {codes}")


def _start(spec: DrawnSet, path: Path, part: int, parts: int) -> subprocess.Popen:
    root = str(Path(__file__).resolve().parents[3])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "lab.data.drawn", json.dumps(asdict(spec)), str(path)]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, str(part), str(parts)],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths, **threads},
    )
