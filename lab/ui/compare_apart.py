"""Runs of different data, split, classes or final size: which belong together, and what differs.

sets = comparable_sets(found)          # one set: everything may be compared
for line in apart_words(sets, methods): st.warning(line)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import streamlit as st

from lab.analysis.compare import Predictions, final_predictions, recipe_differences, why_not
from lab.errors import LabError
from lab.runs.folder import RunFolder
from lab.ui.comparison import Entry, Method
from lab.ui.messages import place, plain

Sets = list[list[Entry]]
MOST_NAMES = 4


def comparable_sets(found: Sequence[Entry]) -> Sets:
    """Runs that were scored on the same images with the same classes and size, in the order given.

    A run without scores, or whose predictions are damaged, joins the runs of the same data recipe.
    """
    sets: Sets = []
    later: list[Entry] = []
    for entry in found:
        if scored_on(entry) is None:
            later.append(entry)
            continue
        home = next((one for one in sets if not _why(one[0], entry)), None)
        if home is None:
            sets.append([entry])
        else:
            home.append(entry)
    for entry in later:
        home = next((one for one in sets if _same_data(one[0], entry)), None)
        if home is None:
            sets.append([entry])
        else:
            home.append(entry)
    return sets


def apart_words(sets: Sets, methods: Sequence[Method]) -> list[str]:
    """What differs between the first set and each other one, and what then holds; as Markdown."""
    if len(sets) < 2:
        return []
    home = {entry.run.id: method.name for method in methods for entry in method.entries}
    names = [_names([home[entry.run.id] for entry in one]) for one in sets]
    lines = [
        f"**{name}** against **{names[0]}**: {plain(_difference(sets[0][0], other[0]))}"
        for name, other in zip(names[1:], sets[1:])
    ]
    return [
        "**Not all of these runs can be compared with each other.** Among them these do not hold: "
        "which makes fewer errors, how sure that is, what time was saved, which is the better "
        "bargain. What each reached by itself holds. To compare them, train and score them on the "
        "same data, split, classes and final size.",
        *lines,
    ]


def _difference(a: Entry, b: Entry) -> str:
    reason = _why(a, b) or "Not comparable: their recipes name different data"
    reason = reason.removeprefix("Not comparable: ").split(". ")[0] + "."
    reason = reason[:1].upper() + reason[1:]
    table = recipe_differences({"a": a.seen.recipe, "b": b.seen.recipe})
    paths = [path for path in table.index if str(path).startswith("dataset.")]
    fields = [
        f"{place(str(path))} ({table.loc[path, 'b']} and {table.loc[path, 'a']})" for path in paths
    ]
    return f"{reason} In their recipes: {'; '.join(fields)}." if fields else reason


def _names(methods: Sequence[str]) -> str:
    names = list(dict.fromkeys(methods))
    more = len(names) - MOST_NAMES
    shown = names if more <= 1 else [*names[:MOST_NAMES], f"{more} more"]
    return plain(", ".join(shown))


def _why(a: Entry, b: Entry) -> str:
    one, other = scored_on(a), scored_on(b)
    return why_not(one, other) if one is not None and other is not None else ""


def _same_data(a: Entry, b: Entry) -> bool:
    return a.seen.recipe.dataset == b.seen.recipe.dataset


def scored_on(entry: Entry) -> Predictions | None:
    """The images and labels of a run's last score, without what it said of them; None before."""
    return _scored_on(str(entry.run.path), score_stamp(entry)) if entry.final else None


def score_stamp(entry: Entry) -> float:
    """When the run's last score was written."""
    if not entry.final:
        return 0.0
    file = entry.run.stage(int(entry.final["stage"])) / "scores.json"
    return file.stat().st_mtime if file.is_file() else 0.0


@st.cache_data(max_entries=96, show_spinner=False)
def _scored_on(path: str, stamp: float) -> Predictions | None:
    """10,000 images are 160 kB; their probabilities would be 4 MB."""
    try:
        found = final_predictions(RunFolder(Path(path)))
    except LabError:
        return None
    return replace(found, probs=np.empty((0, 0), np.float32))
