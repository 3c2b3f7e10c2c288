"""An imported data set: dataset.json, items.csv, and the pictures or where they are.

dataset = load(folder)
dataset.path(7)                 the file of item 7
dataset.labels("class")         int64, a class number per item, -1 where there is no label
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lab.data.audit import Audit
from lab.data.layout import LABEL
from lab.errors import LabError
from lab.workspace import read_json, write_json

FORMAT = 1
HEADER, ITEMS, FILES = "dataset.json", "items.csv", "files"
NEEDED = {"file", "path", "given", "width", "height", "bytes", "sha1", "format"}
_NUMBERS = {"bytes": "int64", "mtime_ns": "int64", "width": "int32", "height": "int32"}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures with labels.

    `items`, a row per readable picture: item (0..), file (the name people know), path (below
    `root`), given ("train", "valid", "test" or ""), width, height (upright, pixels), bytes, sha1,
    mode, format, mtime_ns, and a text column "label:<target>" per target ("" where unlabelled).
    """

    id: str
    name: str
    folder: Path
    root: Path
    targets: dict[str, tuple[str, ...]]
    fingerprint: str
    items: pd.DataFrame
    audit: Audit
    source: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    def path(self, item: int) -> Path:
        """Where the file of an item lies. `file` is its name, which may be another one."""
        return self.root / self.items["path"].iat[item]

    def target(self, name: str = "") -> str:
        """A target by name, the first for "". Raises LabError for one that is not there."""
        if not name:
            return next(iter(self.targets))
        if name not in self.targets:
            known = ", ".join(self.targets)
            raise LabError(
                f"{self.name} has no target {name!r}.", f"Use {known}.", where="dataset.target"
            )
        return name

    def labels(self, target: str = "") -> np.ndarray:
        """int64 (n,): the class number of every item, -1 where it has no label."""
        target = self.target(target)
        classes = pd.Index(self.targets[target])
        return classes.get_indexer(self.items[f"{LABEL}{target}"]).astype(np.int64)


@dataclass(frozen=True)
class Summary:
    """A line of the list of data sets. `created` in seconds since 1970."""

    id: str
    name: str
    n: int
    classes: int
    created: float
    source: dict[str, Any]
    bytes: int


def targets_of(items: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Target -> sorted classes. Columns of fewer than two classes teach nothing: left out."""
    found = {}
    for column in items.columns[items.columns.str.startswith(LABEL)]:
        classes = tuple(sorted(set(items[column]) - {""}))
        if len(classes) > 1:
            found[column.removeprefix(LABEL)] = classes
    return found


def fingerprint_of(items: pd.DataFrame) -> str:
    """sha256 over name, content, given part and labels of every item: not over dates or places."""
    columns = ["file", "bytes", "sha1", "given"]
    columns += sorted(items.columns[items.columns.str.startswith(LABEL)])
    digest = hashlib.sha256("\0".join(columns).encode())
    for row in items[columns].itertuples(index=False, name=None):
        digest.update(("\0".join(map(str, row)) + "\n").encode())
    return digest.hexdigest()


def save(folder: Path, header: dict[str, Any], items: pd.DataFrame, audit: Audit) -> None:
    """Write a data set's two files into its (staging) folder."""
    items.to_csv(
        folder / ITEMS, index=False, encoding="utf-8", quoting=csv.QUOTE_NONNUMERIC,
        lineterminator="\n",
    )  # fmt: skip
    write_json(folder / HEADER, {"format": FORMAT, **header, "audit": audit.as_dict()})


def load(folder: Path) -> Dataset:
    """Open a data set's folder. Raises LabError where it is missing or damaged."""
    header = read_header(folder)
    if header is None:
        raise LabError(f"There is no data set {folder.name!r} here.", "Import it first.")
    try:
        items = _read_items(folder / ITEMS)
        if len(items) != header["n"] or not set(items.columns) >= NEEDED:
            raise ValueError(f"{ITEMS} is not whole")
        return Dataset(
            id=folder.name,
            name=header["name"],
            folder=folder,
            root=Path(header["root"]) if header["root"] else folder / FILES,
            targets={name: tuple(classes) for name, classes in header["targets"].items()},
            fingerprint=header["fingerprint"],
            items=items,
            audit=Audit.of(header["audit"]),
            source=header["source"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"The data set {folder.name!r} is damaged ({error}).", "Delete it and import it again."
        ) from error


def read_header(folder: Path) -> dict[str, Any] | None:
    """dataset.json of this format; None where there is none."""
    header = read_json(folder / HEADER)
    return header if isinstance(header, dict) and header.get("format") == FORMAT else None


def summary(folder: Path) -> Summary | None:
    """One line about a data set, from its header alone; None for a folder that is none."""
    header = read_header(folder)
    if header is None:
        return None
    try:
        classes = next(iter(header["targets"].values()), ())
        created = (folder / HEADER).stat().st_mtime
        return Summary(
            folder.name, header["name"], header["n"], len(classes), created, header["source"],
            header["bytes"],
        )  # fmt: skip
    except (KeyError, TypeError, OSError):
        return None


def _read_items(path: Path) -> pd.DataFrame:
    with open(path, encoding="utf-8", newline="") as file:
        names = next(csv.reader(file))
    kinds = {name: _NUMBERS.get(name, "str") for name in names}
    items = pd.read_csv(path, dtype=kinds, na_filter=False, encoding="utf-8", lineterminator="\n")
    items.insert(0, "item", np.arange(len(items), dtype=np.int32))
    return items
