"""Any field of a recipe, by its path, varied over a list of values.

values_of("0.001, 0.003")                       -> (0.001, 0.003)
with_values(recipe, {"stages.*.lr": 0.001})     the recipe with the rate of every stage changed
places(recipe)                                  {"stages.0.lr": FieldInfo ...}: what can be varied
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from lab.errors import LabError, Problem
from lab.recipe.base import Part
from lab.recipe.model import Recipe, with_settings

EVERY = "*"  # in the place of a stage's number: every stage
_WORDS = ("schema_version", "name", "notes", "preset")  # they change nothing
_NOT_HERE = ("seed", "same_time_as")  # seeds have a list of their own; a run is no plain value
MOST_VALUES = 24


def places(recipe: Recipe) -> dict[str, FieldInfo]:
    """Every field of this recipe that can be varied, by its path; `stages.*.` is every stage."""
    found: dict[str, FieldInfo] = {}
    for number, stage in enumerate(recipe.stages):
        found |= dict(_leaves(stage, f"stages.{number}."))
    if len(recipe.stages) > 1:
        found |= dict(_leaves(recipe.stages[0], f"stages.{EVERY}."))
    return found | {path: info for path, info in _leaves(recipe, "") if "." in path or _may(path)}


def _may(path: str) -> bool:
    return path not in (*_WORDS, *_NOT_HERE, "stages")


def _leaves(part: Part, above: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in type(part).model_fields.items():
        value = getattr(part, name)
        if isinstance(value, Part):
            yield from _leaves(value, f"{above}{name}.")
        elif name != "stages":
            yield f"{above}{name}", info


def value_at(recipe: Recipe, path: str) -> Any:
    """What a recipe says at a path; of `stages.*.`, what its first stage says."""
    place: Any = recipe.dump()
    for key in path.replace(EVERY, "0").split("."):
        place = place[int(key)] if isinstance(place, list) else place[key]
    return place


def values_of(text: str) -> tuple[Any, ...]:
    """Values between commas: JSON, or bare words; `[64, 96], [128, 128]` are two. Each once."""
    values = [_json_or_text(part) for part in _parts(text)]
    found = {json.dumps(value): value for value in values}  # 1, 1.0 and true are not the same
    if not found:
        raise LabError("There are no values.", "Write some between commas: 0.001, 0.003")
    if len(found) > MOST_VALUES:
        raise LabError(f"{len(found)} values are too many.", f"Give {MOST_VALUES} at most.")
    return tuple(found.values())


def _parts(text: str) -> Iterator[str]:
    """The text cut at commas outside of brackets and quotes."""
    depth, quoted, start = 0, False, 0
    for at, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif not quoted and letter in "[{":
            depth += 1
        elif not quoted and letter in "]}":
            depth -= 1
        elif letter == "," and not depth and not quoted:
            yield from filter(None, [text[start:at].strip()])
            start = at + 1
    yield from filter(None, [text[start:].strip()])


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with other values at some paths. LabError with all problems of all of them."""
    problems: list[Problem] = []
    for path, value in values.items():
        try:
            recipe = _with_value(recipe, path, value)
        except LabError as error:
            problems += error.problems
    if problems:
        raise LabError.of(problems)
    return recipe


def _with_value(recipe: Recipe, path: str, value: Any) -> Recipe:
    if not _may(path.partition(".")[0]) and not path.startswith("stages."):
        raise LabError(
            f"{path} cannot be varied.",
            "Give several seeds instead." if path == "seed" else "Choose another field.",
            where=path,
        )
    numbers = range(len(recipe.stages)) if f".{EVERY}." in path else [None]
    spots = [path if n is None else path.replace(EVERY, str(n), 1) for n in numbers]
    try:
        return with_settings(recipe, [f"{spot}={json.dumps(value)}" for spot in spots])
    except LabError as error:
        raise _of_path(error, path, value) from None


def _of_path(error: LabError, path: str, value: Any) -> LabError:
    """The same problem as said of a sweep: the option that the command line has is not meant."""
    shown = json.dumps(value)[:80]
    if "--set" in error.what:
        words = f"There is no field {path} in this recipe."
        return LabError(words, "Stages count from 0: stages.0.epochs", where=path)
    return LabError.of(
        Problem(path, f"{shown} does not fit: {problem.what}", problem.fix)
        for problem in error.problems
    )


def said(path: str) -> str:
    """A path as people say it: `stages.0.lr` is `stage 1 lr`, `stages.*.lr` is `every lr`."""
    names = path.split(".")
    if names[0] == "stages" and len(names) > 2:
        stage = "every stage's" if names[1] == EVERY else f"stage {int(names[1]) + 1}"
        names = [stage, *names[2:]]
    return " ".join(names).replace("_", " ")
