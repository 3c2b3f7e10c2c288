"""The calibration of a finished stage: plain, with views, with a temperature, with both.

    found = report(answers.plain, answers.target, answers.views)     # answers = read_answers(run)
    for row in found.rows: print(row.name, row.scored.scores["ece"].value)

Read from what was stored with the run: nothing is computed by a network. calibration_words says it
in sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.analysis.calibration import (
    PAIRED,
    Interval,
    Scored,
    Temperature,
    assess,
    fit_temperature,
    held_out_temperatures,
    temper,
)
from lab.analysis.tta import average_by
from lab.analysis.view_families import RANDOM, WAYS, kind_of
from lab.errors import LabError
from lab.runs.arrays import DAMAGED
from lab.runs.folder import RunFolder

PLAIN, TEMPERED = "plain", "temperature"
SHORT = {"fastai": "fastai's", "geometric": "geometric mean", "logits": "mean of logits"}
TWINS = {"geometric", "logits"}  # the same thing by arithmetic: one row is enough


@dataclass(frozen=True, eq=False)
class Answers:
    """A row an image: target (n,), plain (n, classes), views (n, views, classes) where stored."""

    stage: int
    size: tuple[int, int]
    target: np.ndarray
    plain: np.ndarray
    views: np.ndarray | None = None
    beta: float = 0.25


@dataclass(frozen=True, eq=False)
class Row:
    """One way of answering. `temperature`: the T for use from now on, fitted on all images; the
    probabilities here were made with temperatures that had not seen their image."""

    key: str
    name: str
    probs: np.ndarray
    right: np.ndarray
    scored: Scored
    temperature: Temperature | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """`way`: the way of averaging that is looked at, "" without views. `cooler`: log loss with a
    temperature minus log loss with views, paired; None without views."""

    rows: tuple[Row, ...]
    n: int
    views: int = 0
    way: str = ""
    cooler: Interval | None = None

    def row(self, key: str) -> Row:
        """`plain`, `temperature`, a way of averaging, or `<way>+temperature`."""
        return next(row for row in self.rows if row.key == key)

    @property
    def average(self) -> Row | None:
        """The row with views; None without."""
        return self.row(self.way) if self.way else None


def read_answers(run: RunFolder, stage: int | None = None, family: str = RANDOM) -> Answers:
    """What a finished stage said at the final size, the last one by default, with the views of a
    family where they are stored. LabError without."""
    stages = run.finished_stages()
    if not stages or (stage is not None and stage not in stages):
        names = ", ".join(map(str, stages)) or "none yet"
        raise LabError(f"That stage of {run.id} is not finished.", f"Finished, from 0: {names}.")
    number = stages[-1] if stage is None else stage
    height, width = run.scores(number)["final_size"]
    base = f"s{number}-{height}x{width}"
    for name in (f"{base}-{kind_of(family)}", base):
        try:
            with np.load(run.predictions / f"{name}.npz", allow_pickle=False) as stored:
                plain = stored["plain" if "plain" in stored else "probs"]
                views = stored.get("views")
                beta = float(stored.get("beta", 0.25))
                return Answers(number, (height, width), stored["target"], plain, views, beta)
        except DAMAGED:
            continue
    raise LabError(
        f"The predictions of stage {number} of {run.id} cannot be read.",
        f"Make them again: python -m lab evaluate {run.id} --stage {number}",
    )


def report(
    plain: np.ndarray,
    target: np.ndarray,
    views: np.ndarray | None = None,
    beta: float = 0.25,
    way: str = "fastai",
    seed: int = 0,
) -> Report:
    """All ways of answering on the same images; `way` is the average that gets a temperature."""
    seen = views if views is not None and views.shape[1] else None
    probs, fitted = {PLAIN: np.asarray(plain, np.float64)}, {}
    if seen is not None:
        probs[way] = average_by(way, plain, seen, beta)
    for key in list(probs):
        tempered = TEMPERED if key == PLAIN else f"{key}+{TEMPERED}"
        fitted[tempered] = fit_temperature(probs[key], target)
        probs[tempered] = temper(probs[key], held_out_temperatures(probs[key], target, seed))
    if seen is not None:
        probs |= {other: average_by(other, plain, seen, beta) for other in _other_ways(way)}
    scored = assess(probs, target, seed)
    count = seen.shape[1] if seen is not None else 0
    rows = []
    for key, said in probs.items():
        right = said.argmax(axis=1) == target
        rows.append(Row(key, name_of(key, count), said, right, scored[key], fitted.get(key)))
    cooler = None
    if seen is not None:
        pair = {way: probs[way], TEMPERED: probs[TEMPERED]}
        cooler = assess(pair, target, seed)[TEMPERED].against["log_loss"]
    return Report(tuple(rows), len(target), count, way if count else "", cooler)


def _other_ways(way: str) -> list[str]:
    shown = {way, *(TWINS if way in TWINS else {"logits"})}
    return [other for other in WAYS if other not in shown]


def name_of(key: str, views: int) -> str:
    """`plain`, `plain, temperature`, `with 4 views (geometric mean)`."""
    base, _, more = key.partition("+")
    if key in (PLAIN, TEMPERED):
        return "plain" if key == PLAIN else "plain, temperature"
    first = f"with {looks(views)} ({SHORT.get(base, base)})"
    return f"{first}, temperature" if more else first


def looks(views: int) -> str:
    """`1 view`, `4 views`."""
    return f"{views} view{'s' if views != 1 else ''}"


def report_rows(found: Report) -> list[dict[str, Any]]:
    """A flat row per way for CSV and JSON: fractions, each score with `_low` and `_high`.

    `<score>_change` is minus the plain answers, of the same images.
    """
    rows = []
    for row in found.rows:
        heat, scored = row.temperature, row.scored
        values: dict[str, Any] = {"way": row.key, "name": row.name, "n": scored.n}
        values |= {"views": 0 if row.key in (PLAIN, TEMPERED) else found.views}
        for key, score in scored.scores.items():
            values |= _flat(key, score)
        for key in PAIRED:
            values |= _flat(f"{key}_change", scored.against.get(key))
        values |= {"ece_by_chance": scored.chance.mean, "ece_by_chance_high": scored.chance.high}
        values |= {"ece_p": scored.chance.p}
        values |= _flat("temperature", heat)
        rows.append(values)
    return rows


def _flat(name: str, found: Interval | Temperature | None) -> dict[str, float | None]:
    ends = (found.value, found.low, found.high) if found else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends))


def stage_reports(run: RunFolder, skip: Sequence[int] = ()) -> dict[int, Report]:
    """Every finished stage without views at the final size; stages that cannot be read are left
    out, and so are those in `skip`."""
    found = {}
    for stage in run.finished_stages():
        try:
            if stage not in skip:
                answers = read_answers(run, stage)
                found[stage] = report(answers.plain, answers.target)
        except LabError:
            continue
    return found
