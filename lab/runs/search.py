"""Finding runs in a long list: words that must all fit, and an order.

    search(rows, 'leaves tag:"low light" status:failed', names={"e1": "Does it help?"})
    arranged(rows, "lowest error")

A bare word may stand anywhere: in name, notes, tags, preset, network, data, experiment, owner, id.
`names` says what experiments are called. Case does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lab.runs.index import RunRow

_TERM = re.compile(r'(?:(\w+):)?(?:"([^"]*)"?|(\S+))')
_SAME = {
    "tag": "tags", "tags": "tags", "status": "status", "name": "name", "owner": "owner",
    "preset": "preset", "model": "model", "network": "model", "data": "dataset",
    "experiment": "experiment", "id": "id", "run": "id", "note": "notes", "notes": "notes",
    "size": "sizes",
}  # fmt: skip
FORMS = tuple(sorted(_SAME))  # what may stand before a colon


class Term(NamedTuple):
    """A word, and the field that it is to stand in; "" for any."""

    field: str
    word: str


def terms(words: str) -> list[Term]:
    """`tag:"low light" leaves` -> [Term("tags", "low light"), Term("", "leaves")].

    What stands before a colon and is no field of a run is a part of the word.
    """
    found = []
    for match in _TERM.finditer(words):
        key, quoted, bare = match.groups()
        word = (bare if quoted is None else quoted).casefold()
        field = _SAME.get((key or "").casefold(), "")
        if key and not field:
            word = f"{key.casefold()}:{word}"
        unfinished = not key and word.endswith(":") and word[:-1] in _SAME  # `tag:`, for now
        if word and not unfinished:
            found.append(Term(field, word))
    return found


def search(
    rows: Sequence[RunRow], words: str, names: Mapping[str, str] | None = None
) -> list[RunRow]:
    """The rows that every word fits, in their order."""
    wanted = terms(words)
    if not wanted:
        return list(rows)
    return [row for row in rows if _fits(row, wanted, names or {})]


def _fits(row: RunRow, wanted: list[Term], names: Mapping[str, str]) -> bool:
    experiment = f"{row.experiment}\n{names.get(row.experiment, '')}"
    fields = ("id", "name", "notes", "preset", "model", "dataset", "owner", "sizes")
    texts = [getattr(row, field) for field in fields]
    where = "\n".join([*texts, *row.tags, experiment]).casefold()
    return all(_holds(row, term, where, experiment) for term in wanted)


def _holds(row: RunRow, term: Term, where: str, experiment: str) -> bool:
    """A tag is meant as a whole, a status from its beginning on; all else may be a part."""
    match term.field:
        case "":
            return term.word in where
        case "tags":
            return term.word in [tag.casefold() for tag in row.tags]
        case "status":
            return row.status.startswith(term.word)
        case "experiment":
            return term.word in experiment.casefold()
    return term.word in getattr(row, term.field).casefold()


def _error(row: RunRow) -> Any:
    return (row.error_rate is None, row.error_rate or 0.0)


# What comes first: newest rows come in that order already.
ORDERS: dict[str, Callable[[RunRow], Any]] = {
    "newest": lambda row: 0,
    "oldest": lambda row: row.id,
    "name": lambda row: (row.name or row.id).casefold(),
    "lowest error": _error,
    "longest": lambda row: -row.seconds,
    "status": lambda row: row.status,
    "experiment": lambda row: (not row.experiment, row.experiment),
}


def arranged(rows: Sequence[RunRow], order: str) -> list[RunRow]:
    """The rows in that order; where two are alike, the newest first. Unscored runs come last."""
    newest = sorted(rows, key=lambda row: row.id, reverse=True)
    return sorted(newest, key=ORDERS[order])
