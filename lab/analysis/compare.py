"""Runs against each other, pair by pair, on the images that both were scored on.

    for row in compare_runs([a, b]): print(row.verdict)
    final_table([a, b]);  recipe_differences({"one": recipe, "two": other})

What counts is the last stage at the final size, from the stored predictions: nothing is run again.
Methods, which are several seeds of a recipe, are compared in lab.analysis.methods.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from lab.analysis.curves import epochs_frame, run_summary, size_label
from lab.analysis.groups import method_key
from lab.analysis.metrics import log_losses, scores
from lab.analysis.significance import (
    Paired,
    balanced_difference,
    error_difference,
    mean_difference,
    rate_interval,
)
from lab.analysis.verdict import LEVEL, Comparison, corrected, judged, verdict
from lab.errors import LabError
from lab.recipe.model import Recipe
from lab.runs.arrays import DAMAGED
from lab.runs.events import read_events
from lab.runs.folder import RunFolder

__all__ = [
    "LEVEL", "Comparison", "Predictions", "compare_pair", "compare_runs", "corrected",
    "final_predictions", "final_table", "recipe_differences", "verdict", "why_not",
]  # fmt: skip
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
    split: str = ""  # how the data were divided, as the recipe says it
    method: str = ""  # groups.method_key: what it shares with other seeds
    seed: int = 0


def compare_runs(runs: Sequence[RunFolder], seed: int = 0) -> list[Comparison]:
    """All scores of every pair, corrected for their number. LabError for fewer than two, or
    unscored ones."""
    if len({run.id for run in runs}) < 2:
        raise LabError("A comparison needs two different runs.", "Name at least two.")
    found = [final_predictions(run) for run in runs]
    return corrected(row for a, b in combinations(found, 2) for row in compare_pair(a, b, seed))


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
    except DAMAGED as error:
        raise LabError(
            f"The predictions of run {run.id} cannot be read ({file.name}).",
            f"Make them again: python -m lab evaluate {run.id}",
        ) from error
    order, recipe = np.argsort(item, kind="stable"), run.recipe()
    return Predictions(
        run.id,
        recipe.name or run.id,
        stages[-1],
        (height, width),
        tuple(info["model"]["classes"]),
        str(run.resolved().get("data", "")),
        item[order],
        target[order],
        probs[order],
        json.dumps(recipe.dataset.split.model_dump(mode="json"), sort_keys=True),
        method_key(recipe, run),
        recipe.seed,
    )


def compare_pair(a: Predictions, b: Predictions, seed: int = 0) -> list[Comparison]:
    """Error rate, log loss and balanced error; one row without numbers where the two cannot be
    compared. Not corrected: `corrected` does that for all the pairs that are shown."""
    refusal = why_not(a, b)
    if refusal:
        return [Comparison(a.run, b.run, "error_rate", None, None, None, None, 0, refusal)]
    right = [found.probs.argmax(axis=1) == found.target for found in (a, b)]
    losses = [log_losses(found.probs, found.target) for found in (a, b)]
    results = {
        "error_rate": error_difference(*right, seed=seed),
        "log_loss": mean_difference(*losses, seed=seed),
        "balanced_error": balanced_difference(*right, a.target, seed=seed),
    }
    values = [scores(found.probs, found.target) for found in (a, b)]
    rows = [_row(a, b, metric, found, values) for metric, found in results.items()]
    only = {
        "only_a": int((~right[0] & right[1]).sum()),
        "only_b": int((right[0] & ~right[1]).sum()),
    }
    rows[0] = replace(rows[0], **only)
    return [judged(row, row.p, 1) for row in rows]  # type: ignore[arg-type]


def _row(
    a: Predictions, b: Predictions, metric: str, found: Paired, values: Sequence[dict[str, float]]
) -> Comparison:
    numbers = (found.difference, found.low, found.high, found.p, found.n)
    alike = bool(a.method) and a.method == b.method and a.seed != b.seed
    return Comparison(
        a.run, b.run, metric, *numbers, "", name_a=a.name, name_b=b.name,
        value_a=values[0][metric], value_b=values[1][metric], same_recipe=alike, note=caution(a, b),
    )  # fmt: skip


def why_not(a: Predictions, b: Predictions) -> str:
    """Why two runs cannot be compared image by image, and what then does not hold; "" where they
    can."""
    unlike = _unlike(a, b)
    if not unlike:
        return ""
    return (
        f"Not comparable: {'; '.join(unlike)}. Differences of their errors, the paired tests and "
        "the saved time do not hold; the curves may still be looked at, each by itself. Give both "
        "the same data, split, classes and final size."
    )


def _unlike(a: Predictions, b: Predictions) -> list[str]:
    """What differs between the two, all of it."""
    found = []
    if a.classes != b.classes:
        found.append("they tell different classes apart")
    other_data = bool(a.fingerprint and b.fingerprint) and a.fingerprint != b.fingerprint
    if other_data:
        found.append("they were trained and scored on different data")
    else:
        found += _other_images(a, b)
    if a.size != b.size:
        sizes = " and ".join(size_label(found.size) for found in (a, b))
        found.append(f"they were scored at different sizes ({sizes} px)")
    return found


def _other_images(a: Predictions, b: Predictions) -> list[str]:
    if np.array_equal(a.item, b.item):
        same = np.array_equal(a.target, b.target)
        return [] if same else ["scored on different images, or on other labels of them"]
    shared = len(np.intersect1d(a.item, b.item))
    counts = f"{len(a.item)} and {len(b.item)}"
    words = f"scored on different images ({counts})"
    if shared:
        words += (
            f", of which only {shared} are the same, and on these one run may have been trained: "
            "the data were divided in another way"
        )
    return [f"{words}, so that the luck of the draw and the model cannot be told apart"]


def caution(a: Predictions, b: Predictions) -> str:
    """What to know of two runs that can be compared; mostly nothing."""
    if a.split and b.split and a.split != b.split:
        return (
            "They are scored on the same images, but their data were divided by different rules: "
            "the training images may differ too."
        )
    return ""


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
        row = {key: summary[key] for key in (*shown, "pixels")} | _operations(run)
        rows.append({**row, "size": size, **scores, "error_low": low, "error_high": high})
    return pd.DataFrame(rows)


def _operations(run: RunFolder) -> dict[str, float | None]:
    """Operations and joules of the training; None where the run did not note them."""
    epochs = epochs_frame(read_events(run))
    known = {name: epochs[name].dropna() for name in ("flops", "energy_j")}
    return {name: float(values.iloc[-1]) if len(values) else None for name, values in known.items()}


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
