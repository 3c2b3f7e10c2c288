"""A finished run as a member of an ensemble: what it said in validation and of the locked part.

member = read_member(run)             # member.valid, member.test (None before it was scored)
demand_together([one, other])         # LabError in words where they cannot be one ensemble
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lab.errors import LabError
from lab.runs.arrays import read_arrays
from lab.runs.folder import RunFolder


@dataclass(frozen=True, eq=False)
class Said:
    """What a network said of some pictures, by item number. probs: float (n, classes)."""

    item: np.ndarray
    target: np.ndarray
    probs: np.ndarray


@dataclass(frozen=True, eq=False)
class Member:
    """One finished run. `test` is None as long as nobody has scored its locked part.

    `touched`: items that it holds out but has met after all; `unsure`: whether it may have met
    others, because where its first weights come from cannot be looked up any more.
    """

    run: str
    name: str
    stage: int
    size: tuple[int, int]
    classes: tuple[str, ...]
    target: str
    fingerprint: str
    valid: Said
    test: Said | None = None
    touched: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    unsure: bool = False


def read_member(run: RunFolder, name: str = "") -> Member:
    """The last finished stage at the final size. LabError where it has no readable predictions."""
    stages = run.finished_stages()
    if not stages:
        raise LabError(f"Run {run.id} has no finished stage yet.", "Wait for it, or resume it.")
    info, stage = run.scores(stages[-1]), stages[-1]
    height, width = info["final_size"]
    file = f"s{stage}-{height}x{width}"
    valid, test = _read(run, file), _read(run, f"{file}-test")
    if valid is None:
        raise LabError(
            f"The predictions of run {run.id} cannot be read ({file}.npz).",
            f"Make them again: python -m lab evaluate {run.id}",
        )
    known = test if test and str(test.get("weights", "")) == info.get("sha256", "") else {}
    return Member(
        run.id, name or run.recipe().name or run.id, stage, (height, width),
        tuple(info["model"]["classes"]), str(info["model"].get("target", "")),
        str(run.resolved().get("data", "")), _said(valid), _said(known) if known else None,
        known.get("touched", np.empty(0, np.int32)), bool(known.get("unsure", False)),
    )  # fmt: skip


def _read(run: RunFolder, name: str) -> dict[str, np.ndarray] | None:
    found = read_arrays(run.predictions / f"{name}.npz")
    return found if found and {"item", "target", "probs"} <= set(found) else None


def _said(stored: dict[str, np.ndarray]) -> Said:
    order = np.argsort(stored["item"], kind="stable")
    return Said(*(stored[name][order] for name in ("item", "target", "probs")))


def demand_together(members: Sequence[Member]) -> None:
    """LabError, with all reasons in words, where these runs cannot be one ensemble."""
    if len({member.run for member in members}) < 2:
        raise LabError("An ensemble needs two different runs.", "Choose at least two.")
    first, reasons = members[0], []
    for other in members[1:]:
        if other.classes != first.classes or other.target != first.target:
            reasons.append(f"{first.name} and {other.name} tell different classes apart.")
        elif other.fingerprint != first.fingerprint:
            reasons.append(f"{first.name} and {other.name} were trained on different data.")
    if reasons:
        raise LabError(" ".join(reasons), "Choose runs of the same data and the same labels.")


def told_apart(members: Sequence[Member]) -> list[Member]:
    """The members; those that share a name get the end of their id behind it."""
    names = [member.name for member in members]
    return [
        replace(m, name=f"{m.name} ({m.run[-4:]})") if names.count(m.name) > 1 else m
        for m in members
    ]


def question(members: Sequence[Member]) -> str:
    """What an ensemble of these asks of the locked part: the same members, the same question."""
    names = sorted(f"{member.run} stage {member.stage}" for member in members)
    return f"an ensemble of {', '.join(names)}"


def at(said: Said, items: np.ndarray) -> Said:
    """The rows of some items; all of them are there, and rows are sorted by item."""
    rows = np.searchsorted(said.item, items)
    return Said(items, said.target[rows], said.probs[rows])


def demand_same(members: Sequence[Member], targets: Sequence[np.ndarray]) -> None:
    for member, target in zip(members, targets):
        if not np.array_equal(target, targets[0]):
            raise LabError(
                f"{members[0].name} and {member.name} were told different labels for the same "
                "images.",
                "Choose runs of the same data.",
            )
