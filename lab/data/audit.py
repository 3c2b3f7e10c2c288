"""What is remarkable about a data set: bad files, duplicates, sizes, tiny classes.

audit = audit_of(items, targets, unreadable, notes)          at import
counts(dataset, parts); split_problems(dataset, parts)       once it is divided
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lab.data.layout import LABEL, PARTS
from lab.errors import Problem

if TYPE_CHECKING:
    from lab.data.dataset import Dataset
    from lab.data.split import Parts

TINY_CLASS = 10  # pictures in training below which a class is called tiny
UNREADABLE_SHARE, UNREADABLE_FEW = 0.01, 3
_MOST_LISTED = 200  # groups of duplicates; their number is always complete
_BINS_PX = (0, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 10**9)


@dataclass(frozen=True)
class Audit:
    """Findings of an import. Sizes are (smallest, median, largest), in upright pixels."""

    n: int = 0
    unreadable: tuple[tuple[str, str], ...] = ()  # (file, reason)
    too_many_unreadable: bool = False  # above 1 % and more than 3: no run starts on it
    short_px: tuple[int, int, int] = (0, 0, 0)
    long_px: tuple[int, int, int] = (0, 0, 0)
    short_histogram: tuple[tuple[int, int], ...] = ()  # (short side from this on, pictures)
    aspect: float = 1.0  # median of long side / short side
    modes: dict[str, int] | None = None
    formats: dict[str, int] | None = None
    copies: int = 0  # pictures that repeat another, byte for byte
    duplicates: tuple[tuple[str, ...], ...] = ()  # groups of the same bytes
    across_given: int = 0  # groups in more than one of the parts that the data bring
    conflicting: tuple[tuple[str, ...], ...] = ()  # groups of the same bytes with other labels
    problems: tuple[Problem, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values; `of` reads them back."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Audit:
        """From the values of `as_dict`."""
        pairs = ("unreadable", "short_histogram", "duplicates", "conflicting")
        lists = {key: tuple(map(tuple, values[key])) for key in pairs}
        sizes = {key: tuple(values[key]) for key in ("short_px", "long_px")}
        problems = tuple(Problem(**problem) for problem in values["problems"])
        return cls(**{**values, **lists, **sizes, "problems": problems})


def audit_of(
    items: pd.DataFrame,
    targets: dict[str, tuple[str, ...]],
    unreadable: list[tuple[str, str]],
    notes: list[str],
) -> Audit:
    """Everything that can be said before the items are divided."""
    sides = items[["width", "height"]].to_numpy()
    short, long = sides.min(axis=1), sides.max(axis=1)
    same = _same_bytes(items)
    bins = np.histogram(short, bins=_BINS_PX)[0]
    conflicting = _groups(same, _differs(same, [f"{LABEL}{target}" for target in targets]))
    across = _differs(same, ["given"])
    return Audit(
        n=len(items),
        unreadable=tuple(unreadable),
        too_many_unreadable=too_many(len(unreadable), len(items) + len(unreadable)),
        short_px=_spread(short),
        long_px=_spread(long),
        short_histogram=tuple((int(a), int(b)) for a, b in zip(_BINS_PX, bins) if b),
        aspect=round(float(np.median(long / short)), 4),
        modes=_tally(items["mode"]),
        formats=_tally(items["format"]),
        copies=len(same) - same["sha1"].nunique(),
        duplicates=_groups(same, same["sha1"].unique()),
        across_given=len(across),
        conflicting=conflicting,
        problems=tuple(_problems(items, targets, unreadable, notes, conflicting, len(across))),
    )


def too_many(bad: int, total: int) -> bool:
    """Above 1 %, and more than a few."""
    return bad > UNREADABLE_FEW and bad > UNREADABLE_SHARE * total


def listed(bad: list[tuple[str, str]] | tuple[tuple[str, str], ...], most: int = 10) -> str:
    """The first bad files with their reasons, and how many more there are."""
    words = "; ".join(f"{file}: {reason}" for file, reason in bad[:most])
    return words + (f"; and {len(bad) - most} more" if len(bad) > most else "")


def counts(dataset: Dataset, parts: Parts) -> pd.DataFrame:
    """Pictures per class (index) and part (columns train, valid, test)."""
    names, length = list(parts.classes), len(parts.classes)
    columns = {
        part: np.bincount(parts.labels[getattr(parts, part)], minlength=length) for part in PARTS
    }
    return pd.DataFrame(columns, index=pd.Index(names, name=parts.target))


def split_problems(dataset: Dataset, parts: Parts) -> list[Problem]:
    """Warnings about a division: classes that cannot be learned or judged, and leaks."""
    table = counts(dataset, parts)
    found = []
    for words, which, fix in (
        ("no picture to train on", table["train"] == 0, "Add some, or remove the class."),
        (f"fewer than {TINY_CLASS} pictures to train on",
         table["train"].between(1, TINY_CLASS - 1), "Add some; scores of so few say little."),
        ("no picture in validation", table["valid"] == 0, "Add some, or make that part larger."),
    ):  # fmt: skip
        if which.any():
            found.append(_warning(f"{_named(table.index[which])}: {words}.", fix))
    leaks = across(dataset, parts)
    if leaks:
        what = f"{len(leaks)} pictures lie in two parts, byte for byte, such as {leaks[0][0]}."
        found.append(_warning(what, "Remove the copies: scores come out too good."))
    return found


def across(dataset: Dataset, parts: Parts) -> list[tuple[str, ...]]:
    """Groups of files of the same bytes that lie in more than one part."""
    part = np.full(len(dataset.items), "", dtype=object)
    for name in PARTS:
        part[getattr(parts, name)] = name
    used = dataset.items.assign(part=part)[part != ""]
    same = _same_bytes(used)
    return list(_groups(same, _differs(same, ["part"]), most=len(same)))


def _problems(items, targets, unreadable, notes, conflicting, across_given):
    if unreadable:
        what = f"{len(unreadable)} files cannot be read ({listed(unreadable, 3)})."
        yield _warning(what, "They are left out. Mend or remove them.")
    if conflicting:
        what = f"{len(conflicting)} pictures occur twice with different labels: {conflicting[0]}."
        yield _warning(what, "Decide on one label.")
    if across_given:
        what = f"{across_given} pictures lie in two of the given parts, byte for byte."
        yield _warning(what, "Remove the copies: scores come out too good.")
    for target, classes in targets.items():
        sizes = items[f"{LABEL}{target}"].value_counts()
        tiny = [name for name in classes if sizes[name] < TINY_CLASS]
        if tiny:
            what = f"{target}: fewer than {TINY_CLASS} pictures of {_named(tiny)}."
            yield _warning(what, "Add some; scores of so few say little.")
        alike = _alike(classes)
        if alike:
            what = f"{target}: {alike[0]!r} and {alike[1]!r} differ by case or spaces only."
            yield _warning(what, "If they are one class, give them one name.")
    for note in notes:
        yield _warning(note, "")


def _warning(what: str, fix: str) -> Problem:
    return Problem("dataset", what, fix, level="warning")


def _named(names, most: int = 5) -> str:
    shown = [name if len(name) <= 40 else name[:39] + "…" for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def _alike(classes: tuple[str, ...]) -> tuple[str, str] | None:
    seen: dict[str, str] = {}
    for name in classes:
        folded = "".join(name.casefold().split())
        if folded in seen:
            return seen[folded], name
        seen[folded] = name
    return None


def _same_bytes(items: pd.DataFrame) -> pd.DataFrame:
    """Rows whose bytes occur more than once."""
    return items[items.duplicated("sha1", keep=False)]


def _differs(same: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """sha1 of the groups within which any of the columns differs."""
    if same.empty or not columns:
        return np.array([], dtype=object)
    values = same.groupby("sha1", sort=False)[columns].nunique().gt(1).any(axis=1)
    return values.index[values].to_numpy()


def _groups(same: pd.DataFrame, keys: np.ndarray, most: int = _MOST_LISTED):
    chosen = same[same["sha1"].isin(keys[:most])]
    return tuple(tuple(group) for _, group in chosen.groupby("sha1", sort=False)["file"])


def _spread(values: np.ndarray) -> tuple[int, int, int]:
    return int(values.min()), int(np.median(values)), int(values.max())


def _tally(values: pd.Series) -> dict[str, int]:
    return {str(key): int(count) for key, count in values.value_counts().items()}
