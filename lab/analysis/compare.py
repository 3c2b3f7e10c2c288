"""Runs against each other, pair by pair, on the images that both were scored on.

    for row in compare_runs([a, b]): print(row.verdict)
    final_table([a, b]);  recipe_differences({"one": recipe, "two": other})

What counts is the last stage at the final size, from the stored predictions: nothing is run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from lab.analysis.curves import run_summary, size_label
from lab.analysis.metrics import log_losses
from lab.analysis.significance import Paired, error_difference, mean_difference, rate_interval
from lab.errors import LabError
from lab.recipe.model import Recipe
from lab.runs.folder import RunFolder

LEVEL = 0.05
_BETTER = {
    "error_rate": "makes fewer errors",
    "log_loss": "gives the true class more probability (log loss)",
}
WORDS = frozenset({"name", "notes", "preset", "schema_version"})  # no part of what a run does


@dataclass(frozen=True)
class Predictions:
    """What one finished run said of the validation images. probs: float32 (n, classes)."""

    run: str
    name: str
    stage: int
    size: tuple[int, int]
    classes: tuple[str, ...]
    fingerprint: str  # of the data set; "" where the run did not note it
    item: np.ndarray
    target: np.ndarray
    probs: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """One score of a pair. `difference` is a - b: above zero, b is better. Where the two cannot be
    compared, the numbers are None and `verdict` says why."""

    a: str
    b: str
    metric: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def compare_runs(runs: Sequence[RunFolder], seed: int = 0) -> list[Comparison]:
    """Error rate and log loss of every pair. LabError for fewer than two, or unscored ones."""
    if len({run.id for run in runs}) < 2:
        raise LabError("A comparison needs two different runs.", "Name at least two.")
    found = [final_predictions(run) for run in runs]
    return [row for a, b in combinations(found, 2) for row in compare_pair(a, b, seed)]


def final_predictions(run: RunFolder) -> Predictions:
    """Stored predictions of the last finished stage at the final size. LabError where none are."""
    stages = run.finished_stages()
    if not stages:
        raise LabError(f"Run {run.id} has no finished stage yet.", "Wait for it, or resume it.")
    info = run.scores(stages[-1])
    height, width = info["final_size"]
    file = run.predictions / f"s{stages[-1]}-{height}x{width}.npz"
    try:
        with np.load(file, allow_pickle=False) as stored:
            item, target, probs = stored["item"], stored["target"], stored["probs"]
    except (OSError, ValueError, KeyError) as error:
        raise LabError(
            f"The predictions of run {run.id} cannot be read ({file.name}).",
            f"Make them again: python -m lab evaluate {run.id}",
        ) from error
    order = np.argsort(item, kind="stable")
    return Predictions(
        run.id,
        run.recipe().name or run.id,
        stages[-1],
        (height, width),
        tuple(info["model"]["classes"]),
        str(run.resolved().get("data", "")),
        item[order],
        target[order],
        probs[order],
    )


def compare_pair(a: Predictions, b: Predictions, seed: int = 0) -> list[Comparison]:
    """Error rate and log loss; one row without numbers where the two cannot be compared."""
    refusal = why_not(a, b)
    if refusal:
        return [Comparison(a.run, b.run, "error_rate", None, None, None, None, 0, refusal)]
    right = [found.probs.argmax(axis=1) == found.target for found in (a, b)]
    losses = [log_losses(found.probs, found.target) for found in (a, b)]
    results = {
        "error_rate": error_difference(*right, seed=seed),
        "log_loss": mean_difference(*losses, seed=seed),
    }
    return [_row(a, b, metric, result) for metric, result in results.items()]


def why_not(a: Predictions, b: Predictions) -> str:
    """Why two runs cannot be compared image by image, in words; "" where they can."""
    if a.classes != b.classes:
        return "Not comparable: they tell different classes apart."
    if a.fingerprint and b.fingerprint and a.fingerprint != b.fingerprint:
        return "Not comparable: they were trained and scored on different data."
    if len(a.item) != len(b.item):
        return (
            f"Not comparable: scored on different images ({len(a.item)} and {len(b.item)}). "
            "Give both the same data and the same split."
        )
    if not (np.array_equal(a.item, b.item) and np.array_equal(a.target, b.target)):
        return (
            "Not comparable: scored on different images, so luck of the draw and model cannot be "
            "told apart. Give both the same data and the same split."
        )
    return ""


def _row(a: Predictions, b: Predictions, metric: str, found: Paired) -> Comparison:
    numbers = (found.difference, found.low, found.high, found.p, found.n)
    return Comparison(a.run, b.run, metric, *numbers, verdict(a.name, b.name, metric, found))


def verdict(a: str, b: str, metric: str, found: Paired) -> str:
    """One plain sentence on two models. It is about these two models, not about their methods."""
    a, b = (a, b) if a != b else (f"{a} (first)", f"{b} (second)")
    if found.p >= LEVEL:
        return (
            f"{a} and {b}: these two models do not differ measurably on these {found.n} images "
            f"({_shown(metric, found)}). Not enough evidence is not proof that they are equal."
        )
    better, worse = (b, a) if found.difference > 0 else (a, b)
    what = (
        "makes fewer errors" if metric == "error_rate" else "gives the true class more probability"
    )
    return (
        f"{better} {what} than {worse} on these {found.n} images ({_shown(metric, found)}). "
        "Another seed may tell otherwise: this is about these two models."
    )


def _shown(metric: str, found: Paired) -> str:
    scale, unit, digits = (100, " points", 1) if metric == "error_rate" else (1, "", 3)
    sign = 1 if found.difference >= 0 else -1
    low, high = sorted((sign * found.low, sign * found.high))
    label = "error" if metric == "error_rate" else "log loss"
    size = f"{abs(found.difference) * scale:.{digits}f}{unit}"
    between = f"{low * scale:.{digits}f} to {high * scale:.{digits}f}"
    return f"{size} of {label}, 95 % interval {between}, p = {_p(found.p)}"


def _p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}".rstrip("0").rstrip(".")


def final_table(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """A row a run: the final scores with the error's Wilson interval, and what they cost."""
    rows = []
    for run in runs:
        summary = run_summary(run)
        scores = dict(summary["scores"])
        n = int(scores.get("n", 0))
        low, high = rate_interval(round(scores["error_rate"] * n), n) if n else (None, None)
        last = summary["stages"][-1] if summary["stages"] else {}
        size = size_label(last["final_size"]) if last else ""
        shown = ("run", "name", "status", "seed", "model", "epochs", "seconds", "train_seconds")
        row = {key: summary[key] for key in (*shown, "pixels")}
        rows.append({**row, "size": size, **scores, "error_low": low, "error_high": high})
    return pd.DataFrame(rows)


def recipe_differences(recipes: Mapping[str, Recipe]) -> pd.DataFrame:
    """A row per field in which recipes differ, a column per recipe; "" where one lacks the field.

    Rows are named by their path, such as `stages.1.size`. Names and notes are left out.
    """
    flat = {name: _flat(recipe.dump()) for name, recipe in recipes.items()}
    paths = list(dict.fromkeys(path for values in flat.values() for path in values))
    rows = {path: [values.get(path, "") for values in flat.values()] for path in paths}
    unlike = {path: row for path, row in rows.items() if any(value != row[0] for value in row)}
    return pd.DataFrame.from_dict(unlike, orient="index", columns=list(flat), dtype=object)


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """`stages.0.size` -> 64. A size is one value, whether a side or a pair."""
    found: dict[str, Any] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else key)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for index, inner in enumerate(value):
                walk(inner, f"{path}.{index}")
        else:
            found[path] = size_label(value) if isinstance(value, list) else value

    walk({key: value for key, value in values.items() if key not in WORDS}, "")
    return found
