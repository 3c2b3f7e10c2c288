"""What changed from one run to another: recipe, data, choices, device, versions, result.

    for change in changes(before, after): print(change.part, change.field, change.a, change.b)

Only differences. A field is named by its path, such as `stages.1.size`; None: it has no such thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.analysis.compare import recipe_differences
from lab.analysis.curves import run_summary
from lab.recipe import Recipe
from lab.runs.events import read_events
from lab.runs.folder import RunFolder

PARTS = ("recipe", "data", "choices", "device", "versions", "result")
_DEVICE = ("device", "precision", "threads", "host")
_DATA = ("name", "dataset_id", "target", "n_train", "n_valid", "n_test", "fingerprint")
_RESULT = ("status", "epochs", "total_epochs", "seconds", "train_seconds", "pixels")


@dataclass(frozen=True)
class Change:
    """One field in which two runs differ."""

    part: str  # one of PARTS
    field: str
    a: Any
    b: Any


def changes(a: RunFolder, b: RunFolder) -> list[Change]:
    """All differences, part by part. LabError where a recipe cannot be read."""
    found = [*_recipes(a.recipe(), b.recipe())]
    sides = [_facts(run) for run in (a, b)]
    for part in PARTS[1:]:
        found += _unlike(part, sides[0][part], sides[1][part])
    return found


def _recipes(a: Recipe, b: Recipe) -> Iterator[Change]:
    """Fields that both have; a stage that only one has is a change of its own."""
    shared = min(len(a.stages), len(b.stages))
    table = recipe_differences({"a": a, "b": b})
    for path, (left, right) in zip(table.index, table.to_numpy()):
        parts = str(path).split(".")
        if not (parts[0] == "stages" and int(parts[1]) >= shared):
            yield Change("recipe", str(path), _or_none(left), _or_none(right))
    for number in range(shared, max(len(a.stages), len(b.stages))):
        values = [_stage_words(recipe, number) for recipe in (a, b)]
        yield Change("recipe", f"stages.{number}", *values)


def _or_none(value: Any) -> Any:
    return None if isinstance(value, str) and value == "" else value


def _stage_words(recipe: Recipe, number: int) -> str | None:
    if number >= len(recipe.stages):
        return None
    stage = recipe.stages[number]
    epochs = stage.total_epochs
    return f"{stage.label} px, {epochs} epoch{'' if epochs == 1 else 's'}"


def _facts(run: RunFolder) -> dict[str, dict[str, Any]]:
    """What a run is and came to, by part; less the recipe."""
    events = read_events(run)
    begun = next((event for event in reversed(events) if event["kind"] == "run_started"), {})
    noted = run.resolved()
    resolved = noted.get("resolved", {})
    data, known = begun.get("data", {}), {**resolved, **begun}
    choices = {key: value for key, value in resolved.items() if key not in (*_DEVICE, "reasons")}
    choices |= {key: noted[key] for key in ("network",) if key in noted}
    for event in events:
        if event["kind"] == "chosen":
            choices[f"stages.{event.get('stage')}.{event.get('name')}"] = event.get("value")
    summary = run_summary(run)
    return {
        "data": {**_some(data, _DATA), **_classes(data), **_fingerprint(data, noted)},
        "choices": _flat(choices),
        "device": _some(known, _DEVICE),
        "versions": dict(begun.get("versions", {})),
        "result": {**_some(summary, _RESULT), **summary["scores"]},
    }


def _some(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _classes(data: Mapping[str, Any]) -> dict[str, Any]:
    names = data.get("classes")
    return {"classes": tuple(map(str, names))} if isinstance(names, list) else {}


def _fingerprint(data: Mapping[str, Any], noted: Mapping[str, Any]) -> dict[str, str]:
    found = str(data.get("fingerprint") or noted.get("data") or "")
    return {"fingerprint": found[:12]} if found else {}


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """`stages.0.lr` -> 0.004."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        place = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping):
            found |= _flat(value, place)
        else:
            found[place] = tuple(value) if isinstance(value, list) else value
    return found


def _unlike(part: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Change]:
    for field in dict.fromkeys([*a, *b]):
        left, right = a.get(field), b.get(field)
        if left != right:
            yield Change(part, field, *_apart(field, left, right))


def _apart(field: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Of two lists of classes only what the other does not have; all else as it is."""
    if field == "classes" and a is not None and b is not None:
        only = [[name for name in one if name not in other] for one, other in ((a, b), (b, a))]
        if any(only):
            return tuple(", ".join(names) or None for names in only)
        return tuple(", ".join(names) for names in (a, b))  # the same in another order
    return a, b


def value_words(value: Any) -> str:
    """A value as a person reads it: `–` for none, no more digits than tell."""
    if value is None or value == ():
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(value_words, value))
    return str(value)
