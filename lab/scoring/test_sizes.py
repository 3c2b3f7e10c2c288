"""A finished stage scored over a range of test sizes: the numbers of the FixRes curve.

    found = score_sizes(workspace, run, stage=None, sizes=[96, 128, 160])
    found["sizes"]        # a row a size: its scores and seconds, or why the network refuses it

Everything is fp32 through the exact test transform. What is known is not run again: each size is
kept in `stages/<n>/test_sizes.json` (with the weights' digest) and `predictions/s<n>-<h>x<w>.npz`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from lab.analysis.metrics import scores
from lab.data.transform import TestTransform
from lab.errors import LabError
from lab.recipe.models import shipped_model_facts
from lab.recipe.stage import hw
from lab.runs.folder import RunFolder
from lab.runs.speeds import note_speeds
from lab.schedules.budget import valid_key
from lab.scoring.predictions import name_of, plain_size, read_predictions, write_predictions
from lab.scoring.stages import LoadedStage, load_stage, never, open_run
from lab.train.evaluation import BATCH
from lab.train.sizes import check_size
from lab.vision.loader import TestPictures
from lab.vision.rundata import Progress, RunData, quiet
from lab.workspace import Workspace, read_json, write_json

FILE = "test_sizes.json"
MOST = 40  # sizes at a time
SMALLEST_PX, LARGEST_PX = 16, 1024
Pair = tuple[int, int]


def score_sizes(
    workspace: Workspace,
    run: RunFolder,
    stage: int | None,
    sizes: Sequence[Any],
    *,
    device: str = "cpu",
    progress: Progress = quiet,
    stop: Callable[[], bool] = never,
) -> dict[str, Any]:
    """Score a stage (the last) at `sizes`: sides in pixels or [height, width], smallest first.

    Raises LabError for what is no size, for changed pictures and damaged weights; Stopped on
    request, and what is done by then stays.
    """
    wanted = checked_sizes(sizes)
    loaded = load_stage(run, stage, device)
    book = Book(loaded)
    if any(book.of(size) is None for size in wanted):
        opened = open_run(workspace, loaded)
        for size in wanted:
            if book.of(size) is None:
                book.note(size, _row(loaded, opened, book, size, progress, stop))
                _remember_speed(workspace, loaded, size, book.of(size))
    rows = [book.of(size) for size in wanted]
    return {"run": run.id, "stage": loaded.number, "sizes": rows}


def checked_sizes(sizes: Sequence[Any]) -> list[Pair]:
    """Each size once, as (height, width), by pixels. LabError for one that is none."""
    found = set()
    for size in sizes:
        sides = [size, size] if isinstance(size, int) else list(size)
        fine = len(sides) == 2 and all(
            isinstance(side, int) and SMALLEST_PX <= side <= LARGEST_PX for side in sides
        )
        if not fine:
            raise LabError(
                f"{size!r} is no test size.",
                f"Use a side, or height and width, within {SMALLEST_PX} to {LARGEST_PX} px.",
                where="sizes",
            )
        found.add(hw(tuple(sides)))
    if not found:
        raise LabError("No test size is named.", "Name some, such as 96,128,160.", where="sizes")
    if len(found) > MOST:
        raise LabError(f"{len(found)} sizes are too many.", f"Use at most {MOST}.", where="sizes")
    return sorted(found, key=lambda size: (size[0] * size[1], size))


class Book:
    """What is known of a stage at several sizes, on disk after every size."""

    def __init__(self, loaded: LoadedStage) -> None:
        self._file = loaded.run.stage(loaded.number) / FILE
        known = read_json(self._file, {})
        self._digest = loaded.info["sha256"]
        same = isinstance(known, dict) and known.get("weights") == self._digest
        self._rows: dict[str, Any] = dict(known.get("sizes", {})) if same else {}

    def of(self, size: Pair) -> dict[str, Any] | None:
        """The row of a size; None where it is not known."""
        return self._rows.get(f"{size[0]}x{size[1]}")

    def note(self, size: Pair, row: dict[str, Any]) -> None:
        """Keep a row."""
        self._rows[f"{size[0]}x{size[1]}"] = row
        write_json(self._file, {"weights": self._digest, "sizes": self._rows})


def _row(
    loaded: LoadedStage,
    opened: RunData,
    book: Book,
    size: Pair,
    progress: Progress,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """Scores at one size, or `refused` with the reason."""
    known = {"size": plain_size(size)}
    try:
        check_size(loaded.network, loaded.network.spec.name, *size)
    except LabError as error:
        return {**known, "refused": error.what, "fix": error.fix}
    transform = loaded.transform(size)
    known |= {"resize": transform.resize, "crop_pct": transform.crop_pct}
    known |= {"enlarged": enlarged_share(opened, transform), "note": edge_words(loaded, size)}
    name = name_of(loaded.number, size)
    stored = read_predictions(loaded.run, name) if _made_at_the_end(loaded, size) else None
    if stored is not None:
        return {**known, **scores(stored["probs"], stored["target"]), "seconds": None}
    pictures = opened.test_pictures(transform, "valid", progress)
    since = time.perf_counter()
    probs = predicted(loaded, pictures, f"Scoring at {size[0]}×{size[1]} px", progress, stop)
    seconds = time.perf_counter() - since
    write_predictions(loaded.run, name, pictures, probs=probs)
    return {**known, **scores(probs, pictures.labels), "seconds": seconds}


def _made_at_the_end(loaded: LoadedStage, size: Pair) -> bool:
    """Whether the stage's end wrote predictions at this size, with just these weights."""
    return size in (tuple(loaded.info["size"]), tuple(loaded.info["final_size"]))


def predicted(
    loaded: LoadedStage,
    pictures: TestPictures,
    what: str,
    progress: Progress,
    stop: Callable[[], bool],
) -> np.ndarray:
    """Probabilities of exact test pictures, float32 (n, classes), telling how far it is."""
    done = 0

    def stopping() -> bool:  # asked before every batch
        nonlocal done
        progress(what, min(done, len(pictures)), len(pictures))
        done += BATCH
        return stop()

    with full_fp32(loaded.device):
        probs = loaded.predict(pictures, stopping)
    progress(what, len(pictures), len(pictures))
    return probs


@contextmanager
def full_fp32(device: str) -> Iterator[None]:
    """On a GPU, fp32 products without TF32: cuDNN's default rounds inputs to ten bits."""
    if not device.startswith("cuda"):
        yield
        return
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def enlarged_share(opened: RunData, transform: TestTransform) -> float:
    """Share of the validation pictures that hold fewer pixels than this size wants."""
    sides = opened.dataset.items[["height", "width"]].to_numpy()[opened.parts.valid]
    needed = np.array([transform.height, transform.width]) / transform.crop_pct
    ratios = sides / np.floor(needed)
    # Only a border fits the whole picture in; centre crops and squashing need both sides.
    scale = ratios.max(axis=1) if transform.resize == "border" else ratios.min(axis=1)
    return float((scale < 1).mean()) if len(scale) else 0.0


def edge_words(loaded: LoadedStage, size: Pair) -> str:
    """What to know of a size that is no multiple of the network's step; '' otherwise."""
    facts = shipped_model_facts(loaded.network.spec.name)
    if facts is None or all(side % facts.step_px == 0 for side in size):
        return ""
    return f"Not a multiple of {facts.step_px}: the network drops pixels at the edge."


def _remember_speed(
    workspace: Workspace, loaded: LoadedStage, size: Pair, row: dict[str, Any] | None
) -> None:
    """So that the next forecast of such work is measured."""
    if row and row.get("seconds"):
        key = valid_key(loaded.network.spec.name, *size, "fp32")
        note_speeds(workspace, loaded.device, {"valid_speeds": {key: row["n"] / row["seconds"]}})
