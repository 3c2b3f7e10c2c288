"""Methods: the runs that share a recipe but for the seed.

    for group in group_runs(runs): print(group.name, group.seeds)

One run is one model; only several seeds of one recipe say something about the recipe.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.errors import LabError
from lab.recipe.baselines import CALLED
from lab.recipe.model import Recipe
from lab.runs.folder import RunFolder

# Words, the seed, and the reference that a run of equal time was matched to.
_FREE = frozenset({"name", "notes", "preset", "seed", "same_time_as"})
_SEED = re.compile(r"[\s,:(-]*\bseed\s+\d+\)?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Group:
    """A method. `runs` and `seeds` go together, by seed; `name` is a user's words, and no other
    group of the same call has it."""

    key: str
    name: str
    runs: tuple[RunFolder, ...]
    seeds: tuple[int, ...]


def group_runs(runs: Sequence[RunFolder]) -> list[Group]:
    """Methods in the order of their first run. Raises LabError where a recipe cannot be read."""
    found: dict[str, list[tuple[int, str, RunFolder]]] = {}
    names: dict[str, str] = {}
    for run in {run.id: run for run in runs}.values():
        recipe, arm = run.recipe(), str(run.meta().get("arm") or "")
        key = method_key(recipe, run)
        found.setdefault(key, []).append((recipe.seed, run.id, run))
        if arm or key not in names:
            names[key] = called(arm, recipe, run)
    shown = _apart([names[key] for key in found])
    return [_group(key, name, found[key]) for key, name in zip(found, shown)]


def called(arm: str, recipe: Recipe, run: RunFolder) -> str:
    """What a method is called within a sentence: a baseline by what it is, an arm of one's own by
    its name, the reference by its recipe's."""
    return method_name(recipe, run) if arm in ("", "reference") else CALLED.get(arm, arm)


def _group(key: str, name: str, members: list[tuple[int, str, RunFolder]]) -> Group:
    ordered = sorted(members, key=lambda member: member[:2])
    return Group(key, name, tuple(one[2] for one in ordered), tuple(one[0] for one in ordered))


def method_key(recipe: Recipe, run: RunFolder | None = None) -> str:
    """A sha256 over all that makes the method: the recipe's identity without seed and reference.

    A run of equal time is as long as its reference: the epochs in its recipe are a guess, and what
    counts is the reference's method, read beside `run`.
    """
    values = recipe.model_dump(mode="json", exclude=_FREE, exclude_defaults=True)
    evaluation = values.get("evaluation", {})
    evaluation.pop("test_every_epoch", None)  # keeps more, changes nothing
    if not evaluation:
        values.pop("evaluation", None)
    reference = getattr(recipe, "same_time_as", "")
    if reference:
        values["stages"][0].pop("epochs", None)
        values["as_long_as"] = _reference_key(reference, run)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _reference_key(reference: str, run: RunFolder | None) -> str:
    """The method of the run that another one was made as long as; its id where it is gone."""
    if run is None or "/" in reference or reference == run.id:
        return reference
    try:
        recipe = RunFolder(run.path.parent / reference).recipe()
    except LabError:
        return reference
    return reference if getattr(recipe, "same_time_as", "") else method_key(recipe)


def method_name(recipe: Recipe, run: RunFolder) -> str:
    """The recipe's name without its seed."""
    name: str = recipe.name or recipe.preset
    return _SEED.sub("", name).strip() or name or run.id


def _apart(names: Sequence[str]) -> list[str]:
    """Names of which no two are the same."""
    taken: list[str] = []
    for name in names:
        shown, number = name, 2
        while shown in taken:
            shown, number = f"{name} ({number})", number + 1
        taken.append(shown)
    return taken


def described(group: Group) -> dict[str, Any]:
    """Plain JSON values: which runs and seeds a method's name stands for."""
    runs = [run.id for run in group.runs]
    return {"name": group.name, "key": group.key[:12], "runs": runs, "seeds": list(group.seeds)}
