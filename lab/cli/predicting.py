"""What `predict` prints and writes: an answer a picture, a table of probabilities, a submission.

good = show(setting, run, images, stage=None, tta=True, csv=Path("p.csv"))
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lab.analysis.predicted import Answer, Predicted, frame
from lab.analysis.submission import fill, read_template, targets_of
from lab.cli.setting import Setting
from lab.cli.terminal import percent
from lab.data.csvsafe import safe_csv
from lab.errors import LabError
from lab.runs.folder import RunFolder
from lab.scoring.new_pictures import about, answers, as_dict, pictures_in
from lab.scoring.stages import load_stage


def show(
    setting: Setting,
    run: RunFolder,
    images: Sequence[Path],
    stage: int | None,
    tta: bool,
    csv: Path | None,
    template: Path | None,
    to: Path | None,
) -> bool:
    """Print an answer for each picture, write what was asked for. False where one had none.

    `images`: files, folders, zips. LabError where the template fits none of them.
    """
    sample = read_template(_read(template), template.name) if template else None
    loaded = load_stage(run, stage)
    words = about(loaded, tta, None, None)
    with tempfile.TemporaryDirectory(prefix="lab-predict-") as place:
        named, notes = pictures_in(images, Path(place))
        for note in notes:
            setting.out.note(note)
        if not named:
            raise LabError("There are no pictures in it.", "JPEG, PNG, WebP, BMP, GIF or TIFF.")
        kept = list(_said(setting, words, answers(loaded, named, tta)))
    found = Predicted.of(words, kept)
    if csv:
        _write(csv, safe_csv(frame(found)))
        setting.out.note(f"Written: {csv}")
    if sample and to:
        _submit(setting, found, sample, to)
    return bool(found.good.all())


def _said(setting: Setting, words: dict[str, Any], said: Iterator[Answer]) -> Iterator[Answer]:
    out = setting.out
    for answer in said:
        found = as_dict(words, answer)
        out.line(found)
        if answer.error:
            out.note(f"{answer.name}: {answer.error} {answer.fix}")
        else:
            likely = percent(found["probabilities"][found["label"]])
            remarks = f" [{'; '.join(answer.notes)}]" if answer.notes else ""
            out.say(f"{answer.name}: {found['label']} ({likely}){remarks}")
        yield answer


def _submit(setting: Setting, found: Predicted, sample: Any, to: Path) -> None:
    names, targets, unreadable = targets_of(found)
    made = fill(sample, names, targets, unreadable=unreadable)
    _write(to, made.csv)
    for problem in made.problems:
        setting.out.note(str(problem))
    rows = len(made.frame)
    setting.out.note(f"Written: {to}, {made.n_filled} of {rows} rows filled ({made.kind}).")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror}).", "Check the path.") from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabError(
            f"{path} cannot be written ({error.strerror}).", "Choose another place."
        ) from error
