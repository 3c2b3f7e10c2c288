"""A submission file: a template CSV filled with what a network said of the pictures it names.

    template = read_template(data, "sample_submission.csv")
    made = fill(template, names, [Target("label", classes, probs)])
    made.csv, made.problems           # the file's text; what did not go together, in words

The column whose cells name pictures is found by itself. Where other columns are named like classes
they get probabilities, else a column gets the class name. Rows and columns stay as they are.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lab.analysis.picture_ids import NAMED, Index, count, id_problems, listed
from lab.analysis.predicted import Predicted
from lab.errors import LabError, Problem

MAX_BYTES = 100_000_000
_LABELS = ("label", "labels", "class", "category", "target", "prediction", "predicted", "answer")
_FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Template:
    """Cells as text, as the file has them."""

    frame: pd.DataFrame
    separator: str = ","


@dataclass(frozen=True)
class Target:
    """What was predicted under one name: probs (n, classes), a row a picture."""

    name: str
    classes: Sequence[str]
    probs: np.ndarray


@dataclass(frozen=True)
class Submission:
    """The filled file, which columns were used, and everything that did not go together."""

    frame: pd.DataFrame
    separator: str
    id_column: str
    filled: tuple[str, ...]
    kind: str  # "classes" or "probabilities"
    n_filled: int
    problems: tuple[Problem, ...]

    @property
    def csv(self) -> str:
        """Text of the file. Names and ids are exact, as a program compares them."""
        return self.frame.to_csv(index=False, sep=self.separator, lineterminator="\n")


def targets_of(found: Predicted) -> tuple[list[str], list[Target], list[str]]:
    """(names of the readable pictures, what was said of them, names of the unreadable ones)."""
    good = np.flatnonzero(found.good)
    targets = [Target(found.about.get("target") or "label", found.classes, found.probs[good])]
    if found.second is not None:
        words = found.about
        second = Target(words["second_target"], words["second_classes"], found.second[good])
        targets.append(second)
    names = [found.names[row] for row in good]
    return names, targets, [found.names[row] for row in np.flatnonzero(~found.good)]


def read_template(data: bytes, name: str = "The template") -> Template:
    """The cells of a CSV or TSV. LabError for what is none."""
    if len(data) > MAX_BYTES:
        raise LabError(
            f"{name} has more than {MAX_BYTES // 10**6} MB.", "Is it the right file?", where=""
        )
    text = _text(data, name)
    separator = max(",;\t|", key=text.partition("\n")[0].count)
    try:
        frame = pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, index_col=False
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise LabError(f"{name} is no readable table ({error}).", "Save it as CSV.") from error
    if not len(frame):
        raise LabError(f"{name} has no rows below its header.", "Use the whole sample file.")
    return Template(frame, separator)


def _text(data: bytes, name: str) -> str:
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    if b"\0" in data[:4096] and not wide:
        raise LabError(f"{name} is no text file.", "Save it as CSV.")
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def fill(
    template: Template,
    names: Sequence[str],
    targets: Sequence[Target],
    *,
    unreadable: Iterable[str] = (),
    id_column: str = "",
    label_column: str = "",
) -> Submission:
    """Fill the template. LabError where no column names pictures or no column can be filled."""
    frame, unread = template.frame.copy(), list(unreadable)
    index = Index([*names, *unread])
    ids = id_column or _id_column(frame, index)
    found = [index.find(cell) for cell in frame[ids]]
    rows = np.array([hits[0] if len(hits) == 1 else -1 for hits in found], int)
    known = (rows >= 0) & (rows < len(names))
    columns, kind, problems = _columns(frame, ids, targets, label_column)
    for column, target, number in columns:
        _fill_column(frame, column, target, number, rows, known)
    filled = tuple(column for column, _, _ in columns)
    problems = [*id_problems(frame[ids], found, names, unread), *problems]
    problems += _formulas(frame, filled)
    return Submission(
        frame, template.separator, ids, filled, kind, int(known.sum()), tuple(problems)
    )


def _id_column(frame: pd.DataFrame, index: Index) -> str:
    """The column most of whose cells name a picture; the first of equals."""
    hits = {column: sum(bool(index.find(cell)) for cell in frame[column]) for column in frame}
    best = max(hits, key=hits.__getitem__, default="")
    if not hits or not hits[best]:
        first = list(frame.iloc[:NAMED, 0]) if len(frame.columns) else []
        raise LabError(
            "No column of the template names any of these pictures"
            + (f"; it has {listed(first, len(frame))}." if first else "."),
            "Predict the pictures that the template is about, or use its own sample file.",
        )
    return str(best)


def _columns(
    frame: pd.DataFrame, ids: str, targets: Sequence[Target], wanted: str
) -> tuple[list[tuple[str, Target, int]], str, list[Problem]]:
    """(column, target, class number or -1 for the class name) to fill, the kind, problems."""
    others = [str(column) for column in frame.columns if column != ids]
    by_class = [] if wanted else _class_columns(others, targets)
    if by_class:
        return by_class, "probabilities", _class_problems(others, by_class, targets)
    if wanted:
        return [(wanted, targets[0], -1)], "classes", []
    by_name = {_plain(target.name): target for target in targets}
    named = [
        (column, by_name[_plain(column)], -1) for column in others if _plain(column) in by_name
    ]
    if named:
        return named, "classes", _placeholders(frame, named)
    usual = [column for column in others if _plain(column) in _LABELS]
    if len(others) > 1 and not usual:
        raise LabError(
            f"Which column of the template is for the answer? It has {listed(others)}.",
            f"Name it `label` or {targets[0].name!r}, or choose it.",
            where="label_column",
        )
    column = (usual or others or ["label"])[0]
    if not others:
        frame[column] = ""
    filled = [(column, targets[0], -1)]
    return filled, "classes", _placeholders(frame, filled)


def _class_columns(
    columns: Sequence[str], targets: Sequence[Target]
) -> list[tuple[str, Target, int]]:
    """Columns named like classes, at least two of them; the first target that has the name."""
    found, taken = [], set()
    for target in targets:
        exact = {name: number for number, name in enumerate(target.classes)}
        loose = {_plain(name): number for number, name in enumerate(target.classes)}
        for column in columns:
            number = exact.get(column, loose.get(_plain(column)))
            if number is not None and column not in taken:
                taken.add(column)
                found.append((column, target, number))
    return found if len(found) > 1 else []


def _class_problems(
    columns: Sequence[str], used: Sequence[tuple[str, Target, int]], targets: Sequence[Target]
) -> list[Problem]:
    filled = {column for column, _, _ in used}
    problems = []
    if empty := [column for column in columns if column not in filled]:
        words = f"These columns are no class of this network: {listed(empty)}."
        problems.append(Problem("", words, "They stay as the template has them.", "warning"))
    for target in targets:
        numbers = {number for _, owner, number in used if owner is target}
        missing = [name for at, name in enumerate(target.classes) if at not in numbers]
        if numbers and missing:
            words = f"These classes have no column in the template: {listed(missing)}."
            fix = "Their probability is left out, so rows do not sum to 1."
            problems.append(Problem("", words, fix, "warning"))
    return problems


def _placeholders(frame: pd.DataFrame, columns: Sequence[tuple[str, Target, int]]) -> list[Problem]:
    """A template that has numbers where class names go may want numbers."""
    problems = []
    for column, target, _ in columns:
        cells = [cell for cell in frame[column] if cell.strip()]
        numbers = bool(cells) and all(_is_number(cell) for cell in cells)
        if numbers and not all(_is_number(name) for name in target.classes):
            words = f"The template has numbers in {column!r}; the class names were written there."
            fix = "Where numbers are wanted, replace them by the order that its rules give."
            problems.append(Problem("", words, fix, "warning"))
    return problems


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _fill_column(
    frame: pd.DataFrame,
    column: str,
    target: Target,
    number: int,
    rows: np.ndarray,
    known: np.ndarray,
) -> None:
    if number < 0:
        names = np.array(list(target.classes), object)
        said = names[target.probs.argmax(axis=1)] if len(target.probs) else names[:0]
    else:
        said = np.array([f"{float(p):.8g}" for p in target.probs[:, number]], object)
    cells = frame[column].to_numpy(object, copy=True)
    cells[known] = said[rows[known]]
    frame[column] = cells


def _formulas(frame: pd.DataFrame, columns: Iterable[str]) -> list[Problem]:
    """Names are exact here, so a spreadsheet would run those that begin like a formula."""
    risky = {
        cell
        for column in columns
        for cell in frame[column].unique()
        if isinstance(cell, str) and cell.startswith(_FORMULA) and not _is_number(cell)
    }
    if not risky:
        return []
    words = f"{count(len(risky), 'answer')} would be a formula in a spreadsheet: "
    fix = "Send the file as it is; do not open it in one."
    return [Problem("", f"{words}{listed(sorted(risky))}.", fix, "warning")]


def _plain(name: str) -> str:
    """For comparing names of columns: without capitals, spaces, dashes and underscores."""
    return re.sub(r"[\s_-]+", "", name.casefold())
