"""Which picture a template means by an id: with or without folder, ending or capitals.

index = Index(["test/007.jpg", "test/008.jpg"])
index.find("7")  ->  []        index.find("007")  ->  [0]        # several: ambiguous
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from lab.errors import Problem

NAMED = 5  # pictures and ids named in a sentence
_ENDING = re.compile(r"\.(jpe?g|jpe|jfif|png|webp|bmp|dib|gif|tiff?)$", re.IGNORECASE)


class Index:
    """Finds pictures by what a template calls them: with or without folder, ending or capitals."""

    def __init__(self, names: Sequence[str]) -> None:
        self._by: list[dict[str, list[int]]] = [{} for _ in _KEYS]
        for at, name in enumerate(names):
            for key, by in zip(_KEYS, self._by):
                by.setdefault(key(_tidy(name)), []).append(at)

    def find(self, cell: str) -> list[int]:
        """Rows of the pictures that a cell may mean, by the strictest way that finds any."""
        name = _tidy(cell)
        for key, by in zip(_KEYS, self._by):
            if name and (hits := by.get(key(name))):
                return hits
        return []


def _tidy(name: str) -> str:
    return name.strip().replace("\\", "/").removeprefix("./").strip("/")


def _stem(name: str) -> str:
    return _ENDING.sub("", name)


def _last(name: str) -> str:
    return name.rpartition("/")[2]


_KEYS = (
    str, _stem, _last, lambda name: _stem(_last(name)),
    lambda name: name.casefold(), lambda name: _stem(_last(name)).casefold(),
)  # fmt: skip


def id_problems(
    ids: pd.Series, found: Sequence[list[int]], names: Sequence[str], unread: Sequence[str]
) -> list[Problem]:
    """Every way in which ids and pictures did not go together."""
    cells = [str(cell) for cell in ids]
    stays = "Such rows stay as the template has them."
    none = [cell for cell, hit in zip(cells, found) if not hit]
    several = [cell for cell, hit in zip(cells, found) if len(hit) > 1]
    broken = [
        cell for cell, hit in zip(cells, found) if len(hit) == 1 and hit[0] >= len(names)
    ]  # fmt: skip
    used = {row for hit in found for row in hit}
    spare = [name for at, name in enumerate(names) if at not in used]
    twice = [str(cell) for cell in ids[ids.duplicated()].unique()]
    sentences = (
        (none, "have no picture", f"{stays} Predict the missing pictures too.", "error"),
        (several, "match several pictures", f"{stays} Give ids with folder and ending.", "error"),
        (broken, "belong to pictures that cannot be read", stays, "error"),
        (twice, "stand in several rows", "Filled alike.", "warning"),
    )
    problems = [
        Problem(
            "", f"{count(len(which), 'id')} {_verb(words, which)}: {listed(which)}.", fix, level
        )
        for which, words, fix, level in sentences
        if which
    ]
    if spare:
        words = f"{count(len(spare), 'picture')} {_verb('have no id', spare)} in the template: "
        problems.append(Problem("", f"{words}{listed(spare)}.", "Left out.", "warning"))
    return problems


def _sentence(which: Sequence[str], words: str) -> str:
    return f"{count(len(which), 'id')} {_verb(words, which)}: {listed(which)}."


def listed(names: Sequence[str], total: int = 0) -> str:
    """`a, b, c and 4 more`, long ones cut."""
    shown = [name if len(name) <= 60 else f"{name[:57]}..." for name in map(str, names[:NAMED])]
    more = max(total, len(names)) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _verb(words: str, which: Sequence[str]) -> str:
    """The plural verb of a sentence as singular, where there is one of them."""
    if len(which) != 1:
        return words
    first, _, rest = words.partition(" ")
    single = {"have": "has", "match": "matches", "belong": "belongs", "stand": "stands"}[first]
    return f"{single} {rest}".replace("belongs to pictures", "belongs to a picture")
