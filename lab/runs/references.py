"""Who leans on a run: asked before it is deleted.

    for words in reference_words(rows, ids, names): print(words)
    borrowed = borrowed_by(workspace)           # run id -> names of experiments that borrow it

A run may be the baseline's reference, the measure of another's length, or where its weights began.
All of them keep what they have when it goes: what is lost is the comparison, or a new start.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from lab.runs.experiments import FILE
from lab.runs.index import RunRow
from lab.runs.library import WAITING
from lab.workspace import Workspace, read_json

_WORDS = {
    "baseline_of": "{it} is what {other} is compared with.",
    "same_time_as": "{other} was to train just as long as {it}.",
    "weights": "{other} begins with the weights of {it}.",
}
_NEEDS = ("same_time_as", "weights")  # what a run reads when it starts
_MOST = 6  # sentences; the rest is a number


def experiments_on_disk(workspace: Workspace) -> dict[str, dict]:
    """id -> what its file says, of every experiment that has a file."""
    folder = workspace.root / "experiments"
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    read = {child.name: read_json(child / FILE) for child in found}
    return {name: values for name, values in read.items() if isinstance(values, dict)}


def experiment_names(workspace: Workspace) -> dict[str, str]:
    """id -> name."""
    known = experiments_on_disk(workspace)
    return {one: str(values.get("name") or one) for one, values in known.items()}


def borrowed_by(workspace: Workspace) -> dict[str, list[str]]:
    """Run id -> the names of experiments that borrow it as their reference."""
    found: dict[str, list[str]] = {}
    for one, values in experiments_on_disk(workspace).items():
        lent = values.get("borrowed")
        for run_id in lent if isinstance(lent, list) else ():
            found.setdefault(str(run_id), []).append(str(values.get("name") or one))
    return found


def reference_words(
    rows: Sequence[RunRow], ids: Collection[str], borrowed: Mapping[str, Sequence[str]]
) -> list[str]:
    """A sentence for each run that leans on one of these and does not go with it."""
    names = {row.id: row.name or row.id for row in rows}
    found = [
        _sentence(row, how, names.get(to, to))
        for row in rows
        if row.id not in ids
        for how, to in row.refers
        if to in ids
    ]
    found += [
        f"{names.get(one, one)} is the reference of the experiment {experiment}."
        for one in ids
        for experiment in borrowed.get(one, ())
    ]
    rest = len(found) - _MOST
    return [*found[:_MOST], f"And {rest} more."] if rest > 0 else found


def _sentence(row: RunRow, how: str, name: str) -> str:
    words = _WORDS[how].format(it=name, other=row.name or row.id)
    if how in _NEEDS and row.status in WAITING:
        words += " It has not started yet, and cannot start without it."
    return words
