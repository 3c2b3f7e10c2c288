"""The base of every recipe part: strict about keys, fields that explain themselves.

A field says everything about itself in one place: default, bounds, choices (its type), help, unit
and source. Forms, checks and docs read it there.
"""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticUndefined

from lab.errors import LabError, Problem


class Part(BaseModel):
    """A part of a recipe: frozen, strict about unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    def but(self, **changes: Any) -> Part:
        """A copy with some fields changed, validated again."""
        return parse(type(self), {**self.model_dump(), **changes})


def field(
    default: Any = PydanticUndefined, *, help: str, unit: str = "", source: str = "", **bounds: Any
) -> Any:
    """A recipe field. `bounds` are pydantic's: ge, gt, le, lt, min_length, default_factory ..."""
    extra = {"unit": unit, "source": source}
    if "default_factory" in bounds:
        return Field(description=help, json_schema_extra=extra, **bounds)
    return Field(default, description=help, json_schema_extra=extra, **bounds)


def parse(cls: type[Part], values: Any, where: str = "") -> Any:
    """Validate `values` as `cls`; every problem at once, as one LabError."""
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        found = {problem.where: problem for problem in _problems(cls, error, where)}
        raise LabError.of(found.values()) from None


def _problems(cls: type[Part], error: ValidationError, where: str) -> list[Problem]:
    """One problem a place; of a union, what its likeliest member says (the last one wins)."""
    details = sorted(error.errors(), key=lambda detail: detail["type"] not in _WRONG_TYPE)
    found = [_problem(cls, detail, where) for detail in details]
    # A list whose items are wrong counts as too short as well: the items' own problems say more.
    parents = {end for part in found for end in _above(part.where)}
    return [problem for problem in found if problem.where not in parents]


def _above(place: str) -> list[str]:
    """The list or tuple that a place lies in, and the field at the top."""
    owner, _, last = place.rpartition(".")
    return [owner.partition(".")[0]] + ([owner] if last.isdigit() else [])


_WRONG_TYPE = {
    "tuple_type", "int_type", "int_parsing", "none_required", "literal_error", "float_type",
    "float_parsing",
}  # fmt: skip


def _problem(cls: type[Part], detail: dict[str, Any], where: str) -> Problem:
    path = [str(part) for part in detail["loc"] if not _is_type_tag(part)]
    place = ".".join(([where] if where else []) + path)
    if detail["type"] == "extra_forbidden":
        return _unknown_key(cls, path, place)
    value = detail.get("input")
    shown = "" if isinstance(value, dict | list) else f" (it is {value!r})"
    return Problem(place, f"{detail['msg']}{shown}.", _remedy(detail))


_TAGS = {"int", "float", "constrained-int", "constrained-float"}


def _is_type_tag(part: Any) -> bool:
    """Pydantic puts the tried member of a union into the path; people do not want to see it."""
    return isinstance(part, str) and (part in _TAGS or "[" in part)


def _remedy(detail: dict[str, Any]) -> str:
    context = detail.get("ctx", {})
    if "expected" in context:
        words = context["expected"]
        return f"Use a number, or {words}." if words.count("'") == 2 else f"Use one of {words}."
    limits = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    words = [f"{word} {context[key]}" for key, word in limits.items() if key in context]
    return f"Use a value of {' and '.join(words)}." if words else "Mend the value."


def _unknown_key(cls: type[Part], path: list[str], place: str) -> Problem:
    owner = _part_at(cls, path[:-1])
    known = list(owner.model_fields) if owner else []
    near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
    fix = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(sorted(known))}."
    return Problem(place, f"There is no key {path[-1]!r} here.", fix)


def _part_at(cls: type[Part], path: list[str]) -> type[Part] | None:
    """The part class that a path such as `stages.0.augment` leads to."""
    for name in path:
        if name.isdigit():
            continue
        info = cls.model_fields.get(name)
        found = _part_in(info.annotation) if info else None
        if found is None:
            return None
        cls = found
    return cls


def _part_in(annotation: Any) -> type[Part] | None:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next((part for arg in get_args(annotation) if (part := _part_in(arg))), None)
