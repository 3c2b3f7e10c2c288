"""Draws a whole set into class folders, by several processes, all or nothing.

The processes are plain commands (`python -m lab.data.leaves ...`) and not a multiprocessing pool:
a spawned pool imports its caller's main module again, which costs 4-8 s where that holds torch.
They end by themselves when their parent dies, because nobody reads their progress any more.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from json import dumps
from pathlib import Path

from lab.errors import LabError

from .draw import draw_image
from .spec import CLASSES, LeafSet, labels

QUALITY = 90  # of the JPEGs
CHUNK = 32  # pictures between two words of progress
ABANDONED_S = 3600  # an unfinished folder this old belongs to a drawing that was killed
LABELS = "labels.csv"


def draw_set(
    spec: LeafSet,
    folder: Path,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `images/<disease>/<index>.jpg` and labels.csv (file, disease, variety) into `folder`.

    `folder` appears complete or not at all; it may exist only if empty. `processes`: None takes
    one per core, 1 draws in this process; the files are the same. `progress(done, n)` is called
    in this thread about every 32 pictures. Raises LabError for a folder in use, and whatever
    drawing or `progress` raised.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LabError(f"{folder} exists already.", "Choose a new folder, or remove this one.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    unfinished = Path(tempfile.mkdtemp(prefix=_prefix(folder), dir=folder.parent))
    try:
        _prepare(spec, unfinished)
        _draw_all(spec, unfinished, _count(spec, processes), progress or (lambda done, n: None))
        unfinished.chmod(0o755)  # mkdtemp's folders are private
        _publish(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def draw_part(spec: LeafSet, folder: Path, part: int, parts: int) -> Iterator[int]:
    """Draw every `parts`-th picture from `part` on; yields how many were drawn since last."""
    drawn = 0
    for index in range(part, spec.n, parts):
        image, disease, _ = draw_image(spec, index)
        image.save(Path(folder) / _file(index, disease), quality=QUALITY)
        drawn += 1
        if drawn == CHUNK:
            yield drawn
            drawn = 0
    if drawn:
        yield drawn


def _file(index: int, disease: str) -> str:
    return f"images/{disease}/{index:05d}.jpg"


def _prepare(spec: LeafSet, folder: Path) -> None:
    """Class folders and labels.csv: known before the first picture is drawn."""
    for disease in CLASSES:
        (folder / "images" / disease).mkdir(parents=True)
    with open(folder / LABELS, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("file", "disease", "variety"))
        for index, (disease, variety) in enumerate(labels(spec)):
            writer.writerow((_file(index, disease), disease, variety))


def _publish(unfinished: Path, folder: Path) -> None:
    try:
        os.replace(unfinished, folder)
    except OSError:
        if not (folder / LABELS).is_file():  # else somebody drew a set here meanwhile: take theirs
            raise


def _count(spec: LeafSet, processes: int | None) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    wanted = cores if processes is None else processes
    return max(1, min(wanted or 1, -(-spec.n // CHUNK)))


def _draw_all(
    spec: LeafSet, folder: Path, processes: int, progress: Callable[[int, int], None]
) -> None:
    done = 0
    drawn = (
        draw_part(spec, folder, 0, 1) if processes == 1 else _by_processes(spec, folder, processes)
    )
    for more in drawn:
        done += more
        progress(done, spec.n)
    if done != spec.n:
        raise RuntimeError(f"only {done} of {spec.n} leaves were drawn")


def _by_processes(spec: LeafSet, folder: Path, processes: int) -> Iterator[int]:
    """All children write their counts into one pipe, a short line each: such writes are atomic."""
    reading, writing = os.pipe()
    children: list[subprocess.Popen] = []
    with open(reading, encoding="ascii") as counts:
        try:
            for part in range(processes):
                children.append(_start(spec, folder, part, processes, writing))
            os.close(writing)
            writing = -1
            for line in counts:
                yield int(line)
            for child in children:
                if child.wait() != 0:
                    raise RuntimeError(f"a process that draws leaves ended with {child.returncode}")
        finally:
            if writing >= 0:
                os.close(writing)
            for child in children:
                child.kill()
                child.wait()


def _start(spec: LeafSet, folder: Path, part: int, parts: int, counts: int) -> subprocess.Popen:
    root = str(Path(__file__).resolve().parents[3])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "lab.data.leaves", dumps(asdict(spec)), str(folder)]
    return subprocess.Popen(
        [*command, str(part), str(parts)],
        stdin=subprocess.DEVNULL,
        stdout=counts,
        env={
            **os.environ,
            "PYTHONPATH": paths,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        },
    )


def _prefix(folder: Path) -> str:
    return f".{folder.name}.drawing-"


def _sweep(folder: Path) -> None:
    """Remove what drawings that were killed left beside the folder."""
    for left in folder.parent.glob(f"{_prefix(folder)}*"):
        if time.time() - left.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)
