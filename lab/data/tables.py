"""Labels from a CSV or TSV: one column names files, the others may be labels or parts.

    found = from_tables(listing)        (frame, notes), or None where no table names the pictures

A name in a table can only ever match a file of the listing, so a table leads nowhere else.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pandas as pd

from lab.data.layout import LABEL, PART, TEST, TRAIN, VALID, base_frame, clean_label, part_of
from lab.data.listing import Entry, Listing
from lab.errors import LabError

_LABEL_WORDS = ("label", "labels", "class", "category", "target", "y", "disease", "species")
_FLAGS = {"is_valid": VALID, "is_val": VALID, "is_validation": VALID, "is_test": TEST}
_YES, _NO = {"true", "1", "yes"}, {"false", "0", "no", ""}
_SAMPLE = 300
_MAX_BYTES = 500_000_000


def from_tables(
    listing: Listing, only: str | None = None
) -> tuple[pd.DataFrame, list[str], list[tuple[str, str]]] | None:
    """(frame, notes, missing files) from the tables that name at least half of their files.

    `only`: the name of one table of the listing; LabError if that one names no pictures.
    """
    index = _Index(listing)
    tables = [entry for entry in listing.tables if only is None or entry.name == only]
    found = [read for entry in tables if (read := _labelled(listing, entry, index)) is not None]
    if not found:
        if only is None:
            return None
        raise LabError(
            f"No column of {only} names picture files that lie beside it, with labels in another.",
            "Give a column of file names, relative to the table's folder, and a column of labels.",
        )
    rows = pd.concat([rows for rows, _ in found], ignore_index=True).fillna("")
    missing = [
        (name, "a table names it, but it is not there") for _, lost in found for name in lost
    ]
    twice = rows.duplicated("entry")
    notes = [f"{int(twice.sum())} rows name a file again; the first counts."] if twice.any() else []
    frame = _joined(listing, rows[~twice])
    if beside := len(listing.images) - len(frame):
        notes.append(f"{beside} pictures are in no table and were left out.")
    return frame, notes, missing


class _Index:
    """Finds a listed picture by full name, by its last part, or by that without the ending."""

    def __init__(self, listing: Listing) -> None:
        self.full = {entry.name: at for at, entry in enumerate(listing.images)}
        self.last = _unique((PurePosixPath(name).name, at) for name, at in self.full.items())
        self.stem = _unique((PurePosixPath(name).stem, at) for name, at in self.full.items())

    def find(self, name: str, folder: str) -> int:
        """Its place in the listing, or -1."""
        name = name.strip().replace("\\", "/").removeprefix("./")
        full = f"{folder}/{name}" if folder else name
        last = name.rpartition("/")[2]
        return self.full.get(full, self.last.get(last, self.stem.get(last, -1)))


def _unique(pairs) -> dict[str, int]:
    places: dict[str, int] = {}
    twice = set()
    for key, at in pairs:
        if places.setdefault(key, at) != at:
            twice.add(key)
    return {key: at for key, at in places.items() if key not in twice}


def read_table(path: Path, name: str) -> pd.DataFrame:
    """A CSV or TSV as text columns. Raises LabError for what is no table."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise LabError(f"{name} has over {_MAX_BYTES // 10**6} MB.", "Make it smaller.")
        return _parsed(path, "utf-8-sig")
    except UnicodeDecodeError:
        return _parsed(path, "cp1252")
    except pd.errors.EmptyDataError as error:
        raise LabError(f"{name} is empty.", "Give a table with a header line.") from error
    except (pd.errors.ParserError, ValueError) as error:
        raise LabError(f"{name} is no readable table ({error}).", "Mend the table.") from error


def _parsed(path: Path, encoding: str) -> pd.DataFrame:
    with open(path, encoding=encoding, errors="strict" if "8" in encoding else "replace") as file:
        header = file.readline()
    separator = max(",;\t|", key=header.count)
    return pd.read_csv(
        path, sep=separator, dtype=str, keep_default_na=False, encoding=encoding,
        encoding_errors="strict" if "8" in encoding else "replace",
    )  # fmt: skip


def _labelled(listing: Listing, entry: Entry, index: _Index) -> tuple[pd.DataFrame, list] | None:
    """Rows (entry, given, label:*, part:*) of one table and its missing files; None: no labels."""
    table = read_table(listing.root / entry.path, entry.name)
    folder = entry.name.rpartition("/")[0]
    files = _file_column(table, index, folder)
    if files is None:
        return None
    named = table[files].str.strip()
    table, named = table[named != ""], named[named != ""]
    rows = pd.DataFrame({"entry": [index.find(name, folder) for name in named]}, index=table.index)
    labels = []
    for column in table.columns.drop(files):
        if (parts := _as_parts(column, table[column])) is not None:
            rows[f"{PART}{column}"] = parts
        elif (rank := _label_rank(column, table[column])) is not None:
            labels.append((rank, column))
    for _, column in sorted(labels, key=lambda pair: pair[0]):  # stable: else as in the table
        rows[f"{LABEL}{column}"] = table[column].map(clean_label)
    if not labels:
        return None
    parted = [column for column in rows.columns if column.startswith(PART)]
    stem = part_of(PurePosixPath(entry.name).stem)
    rows["given"] = rows[parted[0]] if parted else stem
    lost = rows["entry"] < 0
    return rows[~lost], named[lost].tolist()


def _file_column(table: pd.DataFrame, index: _Index, folder: str) -> str | None:
    """The column most of whose first values are pictures of the listing."""
    best, best_share = None, 0.0
    for column in table.columns:
        values = [value for value in table[column].head(_SAMPLE) if value.strip()]
        hits = sum(index.find(value, folder) >= 0 for value in values)
        share = hits / len(values) if values else 0.0
        if share >= 0.5 and share > best_share:
            best, best_share = column, share
    return best


def _as_parts(column: str, values: pd.Series) -> pd.Series | None:
    """train/valid/test per row if the column says nothing else; fastai's is_valid too."""
    words = values.str.strip().str.lower()
    flag = _FLAGS.get(column.strip().lower())
    if flag and set(words) <= _YES | _NO:
        return words.isin(_YES).map({True: flag, False: TRAIN})
    kinds = {word: part_of(word) for word in set(words) if word}
    if not kinds or not all(kinds.values()) or TRAIN not in kinds.values():
        return None
    return words.map({**kinds, "": ""})


def _label_rank(column: str, values: pd.Series) -> int | None:
    """0: surely a label, 1: text that repeats, 2: whole numbers that repeat; None: no label."""
    filled = values[values.str.strip() != ""]
    distinct = filled.nunique()
    if distinct < 2:
        return 0 if distinct and column.strip().lower() in _LABEL_WORDS else None
    if column.strip().lower() in _LABEL_WORDS:
        return 0
    if distinct > max(2, len(filled) // 2):
        return None
    numbers = pd.to_numeric(filled, errors="coerce")
    if numbers.isna().any():
        return 1
    return 2 if distinct <= 50 and (numbers % 1 == 0).all() else None


def _joined(listing: Listing, rows: pd.DataFrame) -> pd.DataFrame:
    frame = base_frame(listing.images[at] for at in rows["entry"])
    for column in rows.columns.drop("entry"):
        frame[column] = rows[column].to_numpy()
    return frame
