"""Answers for all pictures of a folder or a zip, written beside each other as they come.

    predict_many(run, Path("photos"), to=folder, tta=True, progress=..., stop=...)

`to` then holds what lab.analysis.predicted.read_answers reads. Stopped half-way, it holds the half.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lab.analysis.predicted import Answer, write_answers
from lab.errors import LabError, Stopped
from lab.runs.folder import RunFolder
from lab.scoring.new_pictures import about, answers, pictures_in
from lab.scoring.stages import LoadedStage, load_stage

Say = Callable[[str, int, int], None]  # what, done, total; may raise Stopped
THUMB_PX = 160
_NOTES = 20


def predict_many(
    run: RunFolder,
    path: Path,
    to: Path,
    stage: int | None = None,
    tta: bool = False,
    *,
    progress: Say = lambda *_: None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Look at every picture below `path`. Returns run, stage, tta, n, of, unreadable, stopped.

    LabError where there are no pictures. A zip is unpacked into `to` while it is looked at.
    """
    unpacked = to / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)  # of an attempt that died
    try:
        progress("Reading the list of pictures", 0, 1)
        named, notes = pictures_in([path], unpacked)
        if not named:
            more = f" {' '.join(notes[:3])}" if notes else ""
            raise LabError(
                f"There are no pictures in {path.name}.{more}", "JPEG, PNG, WebP, BMP, GIF or TIFF."
            )
        loaded = load_stage(run, stage, device)
        words = {**about(loaded, tta, None, None), "notes": notes[:_NOTES], "of": len(named)}
        found = write_answers(to, words, _until_stopped(loaded, named, tta, progress))
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return {
        "run": run.id,
        "stage": loaded.number,
        "tta": words["tta"],
        "n": len(found),
        "of": len(named),
        "unreadable": int((~found.good).sum()),
        "stopped": len(found) < len(named),
    }


def _until_stopped(
    loaded: LoadedStage, named: list[tuple[str, Path]], tta: bool, progress: Say
) -> Iterator[Answer]:
    """What is there when somebody asks to stop is kept: an hour's answers are worth something."""
    said = answers(loaded, named, tta, thumb_px=THUMB_PX)
    try:
        for done, answer in enumerate(said, 1):
            yield answer
            progress("Looking at pictures", done, len(named))
    except Stopped:
        return
