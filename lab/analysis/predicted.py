"""What a network said of new pictures: one answer a picture, many as arrays, on disk, as a table.

    found = Predicted.of(about, answers)        # about: {"run", "stage", "classes", "target", ...}
    rows = ordered(found, "unsure", of_class=2, below=0.8)
    frame(found).to_csv(...)                    # a row a picture, a column a class

A folder of answers: predictions.json (about, names, words), predictions.npz, thumbs.bin.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from lab.errors import LabError
from lab.runs.arrays import DAMAGED

SORTS = {
    "unsure": "Least certain first",
    "sure": "Most certain first",
    "class": "By class",
    "name": "By name",
    "changed": "Changed by the views first",
}
WORDS, NUMBERS, THUMBS = "predictions.json", "predictions.npz", "thumbs.bin"
UNREADABLE = LabError("These predictions cannot be read.", "Predict again.")


@dataclass(frozen=True, eq=False)
class Answer:
    """Of one picture: probabilities (classes,), with views (`average`), of a second target.

    Where it could not be read, `error` and `fix` say why, and there are no probabilities.
    """

    name: str
    plain: np.ndarray | None = None
    average: np.ndarray | None = None
    second: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    error: str = ""
    fix: str = ""
    thumb: bytes = b""  # a small JPEG; empty where none was asked for

    @property
    def probs(self) -> np.ndarray | None:
        """The answer that counts: with views, where they were asked for."""
        return self.plain if self.average is None else self.average


@dataclass(frozen=True, eq=False)
class Predicted:
    """Many answers: plain, average float32 (n, classes); rows of unreadable pictures are NaN."""

    about: dict[str, Any]
    names: tuple[str, ...]
    plain: np.ndarray
    average: np.ndarray | None
    second: np.ndarray | None
    notes: tuple[str, ...]
    errors: tuple[str, ...]  # "" for a good one
    offsets: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))

    @classmethod
    def of(cls, about: dict[str, Any], answers: Sequence[Answer]) -> Predicted:
        """From answers, in their order."""
        classes, others = len(about["classes"]), len(about.get("second_classes") or ())
        return cls(
            about=about,
            names=tuple(one.name for one in answers),
            plain=_rows([one.plain for one in answers], classes),
            average=_rows([one.average for one in answers], classes) if about.get("tta") else None,
            second=_rows([one.second for one in answers], others) if others else None,
            notes=tuple("; ".join(one.notes) for one in answers),
            errors=tuple(f"{one.error} {one.fix}".strip() for one in answers),
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the columns."""
        return list(self.about["classes"])

    @property
    def probs(self) -> np.ndarray:
        """The answers that count: with views, where they were asked for."""
        return self.plain if self.average is None else self.average

    @property
    def good(self) -> np.ndarray:
        """bool (n,): which pictures could be read."""
        return np.array([not error for error in self.errors], bool)

    def changed(self) -> np.ndarray:
        """bool (n,): which answers are others with the views than without."""
        if self.average is None:
            return np.zeros(len(self), bool)
        return self.good & (_top(self.average) != _top(self.plain))


def ordered(
    found: Predicted,
    sort: str,
    *,
    of_class: int = -1,
    below: float = 1.0,
    probs: np.ndarray | None = None,
) -> np.ndarray:
    """Rows of the readable pictures that a filter leaves, sorted. `probs`: others than the usual.

    `of_class`: answered class, from 0; `below`: only those less certain than this share.
    """
    probs = found.probs if probs is None else probs
    top, certain = _top(probs), np.nan_to_num(probs, nan=-1.0).max(axis=1, initial=-1.0)
    keep = found.good & ((certain < below) | (below >= 1))
    if of_class >= 0:
        keep &= top == of_class
    by_name = sorted(range(len(found)), key=lambda row: natural(found.names[row]))
    rank = np.empty(len(found), int)
    rank[by_name] = np.arange(len(found))
    keys = {
        "unsure": (rank, certain),
        "sure": (rank, -certain),
        "class": (rank, -certain, top),
        "name": (rank,),
        "changed": (rank, certain, ~found.changed()),
    }
    order = np.lexsort(keys[sort])
    return order[keep[order]]


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that puts picture 9 before picture 10."""
    parts: list[list[str]] = []
    for letter in name.casefold():
        digit = letter.isascii() and letter.isdigit()
        if not parts or (parts[-1][0] == "d") != digit:
            parts.append(["d" if digit else "t", ""])
        parts[-1][1] += letter
    return [(0, int(text), "") if kind == "d" else (1, 0, text) for kind, text in parts]


def frame(found: Predicted) -> pd.DataFrame:
    """A row a picture: answer, confidence, p(class) for each class; with views what was before."""
    names, top, probs = np.array(found.classes, object), _top(found.probs), found.probs
    columns: dict[str, Any] = {
        "image": list(found.names),
        "label": np.where(found.good, names[top], ""),
        "confidence": _certain(probs),
    }
    columns |= {f"p({name})": probs[:, at] for at, name in enumerate(found.classes)}
    if found.average is not None:
        columns["label without views"] = np.where(found.good, names[_top(found.plain)], "")
        columns |= {
            f"p({name}) without views": found.plain[:, at] for at, name in enumerate(found.classes)
        }
    if found.second is not None:
        columns |= _second_columns(found)
    columns["note"], columns["problem"] = list(found.notes), list(found.errors)
    return pd.DataFrame(columns)


def _second_columns(found: Predicted) -> dict[str, Any]:
    assert found.second is not None
    target, classes = found.about["second_target"], list(found.about["second_classes"])
    said = np.array(classes, object)[_top(found.second)]
    shares = {f"p({target}: {name})": found.second[:, at] for at, name in enumerate(classes)}
    label = {f"label of {target}": np.where(found.good, said, "")}
    return {**label, f"confidence of {target}": _certain(found.second), **shares}


def write_answers(folder: Path, about: dict[str, Any], answers: Iterable[Answer]) -> Predicted:
    """Write answers as they come, thumbnails at once; what came before an exception is kept."""
    kept: list[Answer] = []
    sizes: list[int] = []
    with open(folder / THUMBS, "wb") as thumbs:
        try:
            for answer in answers:
                sizes.append(thumbs.write(answer.thumb))
                kept.append(Answer(**{**vars(answer), "thumb": b""}))
        finally:
            found = _write(folder, Predicted.of(about, kept), sizes)
    return found


def _write(folder: Path, found: Predicted, sizes: list[int]) -> Predicted:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    arrays = {"plain": found.plain, "average": found.average, "second": found.second}
    there = {name: values for name, values in arrays.items() if values is not None}
    np.savez(folder / NUMBERS, offsets=offsets, **there)
    words = {
        "about": found.about,
        "pictures": [list(row) for row in zip(found.names, found.notes, found.errors)],
    }
    # Last, as it is what a reader looks for.
    (folder / WORDS).write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
    return Predicted(**{**vars(found), "offsets": offsets})


def read_answers(folder: Path) -> Predicted:
    """What `write_answers` left. LabError where that is missing or damaged."""
    try:
        words = json.loads((folder / WORDS).read_text(encoding="utf-8"))
        with np.load(folder / NUMBERS, allow_pickle=False) as stored:
            arrays = dict(stored)
        rows = words["pictures"]
        names, notes, errors = zip(*rows) if rows else ((), (), ())
        found = Predicted(
            words["about"], names, arrays["plain"], arrays.get("average"), arrays.get("second"),
            notes, errors, arrays["offsets"],
        )  # fmt: skip
        if len(found.plain) == len(names) == len(found.offsets) - 1:
            return found
    except (*DAMAGED, TypeError) as error:
        raise UNREADABLE from error
    raise UNREADABLE


def read_thumb(file: BinaryIO, found: Predicted, row: int) -> bytes:
    """The thumbnail of a row, from thumbs.bin; empty where there is none."""
    file.seek(int(found.offsets[row]))
    return file.read(int(found.offsets[row + 1] - found.offsets[row]))


def _rows(values: Sequence[np.ndarray | None], width: int) -> np.ndarray:
    nothing = np.full(width, np.nan, np.float32)
    rows = [nothing if value is None else np.asarray(value, np.float32) for value in values]
    return np.stack(rows) if rows else np.empty((0, width), np.float32)


def _top(probs: np.ndarray) -> np.ndarray:
    return np.nan_to_num(probs, nan=-1.0).argmax(axis=1)


def _certain(probs: np.ndarray) -> np.ndarray:
    return probs.max(axis=1) if len(probs) else np.empty(0, np.float32)
