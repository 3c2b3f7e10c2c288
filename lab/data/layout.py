"""From names to labels: class folders, with train/valid/test folders above or below them.

frame, notes = from_folders(listing)      file, path, bytes, mtime_ns, given, label:class
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import pandas as pd

from lab.data.listing import Entry, Listing

TRAIN, VALID, TEST = "train", "valid", "test"
PARTS = (TRAIN, VALID, TEST)
_SPELLINGS = {
    **dict.fromkeys(("train", "training", "trainset", "train_set", "trn", "tr"), TRAIN),
    **dict.fromkeys(("valid", "validation", "val", "dev", "valid_set", "validset", "vld"), VALID),
    **dict.fromkeys(("test", "testing", "testset", "test_set", "tst", "eval"), TEST),
}
LABEL = "label:"
PART = "part:"
BASE = ("file", "path", "bytes", "mtime_ns", "given")
Path = tuple[str, ...]


def part_of(word: str) -> str:
    """train, valid or test for any usual spelling in any case; "" for another word."""
    return _SPELLINGS.get(word.strip().lower().replace("-", "_"), "")


def clean_label(text: str) -> str:
    """A class name as people mean it: one Unicode form, no spaces around it."""
    return unicodedata.normalize("NFC", text).strip()


def base_frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """Columns `BASE` of files that belong to no given part."""
    frame = pd.DataFrame(entries, columns=["file", "path", "bytes", "mtime_ns"])
    return frame.assign(given="")


def from_folders(listing: Listing) -> tuple[pd.DataFrame, list[str]]:
    """A row per picture that lies in a class folder, and notes on what was left out."""
    paths = [tuple(entry.name.split("/")) for entry in listing.images]
    depth = _wrappers(paths)
    parted = _part_folders(paths, depth)
    rows = [_row(path, depth, parted) for path in paths]
    kept = [index for index, row in enumerate(rows) if row]
    frame = base_frame(listing.images[index] for index in kept)
    frame["given"] = [rows[index][0] for index in kept]
    frame[f"{LABEL}class"] = [clean_label(rows[index][1]) for index in kept]
    return _parts_below(frame, paths, kept, depth), _notes(paths, rows, parted, depth)


def _wrappers(paths: list[Path]) -> int:
    """How many folders only wrap the rest: one folder with folders in it and nothing beside it."""
    depth = 0
    while True:
        heads = {path[depth] for path in paths if len(path) > depth + 1}
        beside = any(len(path) == depth + 1 for path in paths)
        below = any(len(path) > depth + 2 for path in paths)
        if len(heads) != 1 or beside or not below:
            return depth
        depth += 1


def _part_folders(paths: list[Path], depth: int) -> dict[str, str]:
    """Folder name -> train, valid or test, if the data come divided; else nothing.

    A folder called `train` that holds pictures itself is a class: there are sets of vehicles.
    """
    heads = {path[depth] for path in paths if len(path) > depth + 2}
    parted = {head: part for head in heads if (part := part_of(head))}
    if TRAIN not in parted.values():
        return {}
    inside = sum(path[depth] in parted for path in paths if len(path) > depth + 2)
    return parted if inside * 2 >= len(paths) else {}


def _row(path: Path, depth: int, parted: dict[str, str]) -> tuple[str, str] | None:
    """(given part, class) of a picture; None if it lies outside of the class folders."""
    if not parted:
        return ("", path[depth]) if len(path) > depth + 1 else None
    if len(path) > depth + 2 and path[depth] in parted:
        return parted[path[depth]], path[depth + 1]
    return None


def _parts_below(
    frame: pd.DataFrame, paths: list[Path], kept: list[int], depth: int
) -> pd.DataFrame:
    """class/train/x.jpg: the parts may also lie below the classes."""
    if frame.empty or frame["given"].any():
        return frame
    below = [paths[index][depth + 1] if len(paths[index]) > depth + 2 else "" for index in kept]
    spelled = {word: part_of(word) for word in set(below)}
    if all(spelled.values()) and TRAIN in spelled.values():
        frame["given"] = [spelled[word] for word in below]
    return frame


def _notes(
    paths: list[Path], rows: list[tuple[str, str] | None], parted: dict[str, str], depth: int
) -> list[str]:
    outside = [path for path, row in zip(paths, rows) if row is None]
    if not outside:
        return []
    first = "/".join(outside[0])
    where = "the train, valid and test folders" if parted else "the class folders"
    return [f"{len(outside)} pictures lie outside of {where} and were left out, such as {first}."]
