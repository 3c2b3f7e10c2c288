"""Where a finished stage is wrong: its moments, mixed-up pairs, scores by class, thresholds, top-k.

    for moment in moments(run, stage):          # every epoch's end, and the stage as it is scored
        table = confusion(*read_answers(moment).pair)
    class_table(table, classes);  confused_pairs(table, classes)
    coverage_curve(probs, target);  top_k(probs, target)

Everything is counted on validation images, from stored predictions; nothing is run again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lab.analysis.metrics import confusion
from lab.analysis.significance import rate_interval
from lab.errors import LabError
from lab.recipe.stage import hw
from lab.runs.arrays import DAMAGED
from lab.runs.events import read_events
from lab.runs.folder import RunFolder

Pair = tuple[int, int]


@dataclass(frozen=True)
class Moment:
    """When answers were stored: after an epoch (from 0, over the run), or of a finished stage."""

    stage: int
    size: Pair
    path: Path
    epoch: int | None = None
    second: bool = False  # of the second target


@dataclass(frozen=True, eq=False)
class Answers:
    """A row an image: item and target (n,), probs (n, classes) float64."""

    item: np.ndarray
    target: np.ndarray
    probs: np.ndarray

    @property
    def pair(self) -> tuple[np.ndarray, np.ndarray]:
        """`confusion(*answers.pair)`."""
        return self.probs, self.target


def target_names(info: dict[str, Any]) -> list[str]:
    """Names of the one or two targets that a stage learnt. info: its scores.json."""
    model = info["model"]
    first = str(model.get("target") or "label")
    second = model.get("second_classes") and str(model.get("second_target") or "second label")
    return [first, second] if second else [first]


def target_classes(info: dict[str, Any], second: bool = False) -> tuple[str, ...]:
    """Class names in the order of the probabilities."""
    return tuple(info["model"]["second_classes" if second else "classes"])


def moments(run: RunFolder, stage: int, second: bool = False) -> list[Moment]:
    """In order of time, up to the stage's end at the final size, which is the last.

    Epochs store the first target only: of the second there are the ends of the stages.
    """
    found = stage_ends(run, stage) if second else epoch_ends(run, stage)
    last = _scored(run, stage, "final_size", second)
    return [*(one for one in found if not (second and one.path == last.path)), last]


def epoch_ends(run: RunFolder, stage: int) -> list[Moment]:
    """Every epoch up to the stage whose answers are on disk, at the size it was validated at."""
    found = []
    for event in read_events(run):
        if event["kind"] == "epoch" and event["stage"] <= stage:
            size, number = hw(event["size"]), int(event["global_epoch"])
            path = run.predictions / f"e{number}-{size[0]}x{size[1]}.npz"
            if path.is_file():
                found.append(Moment(int(event["stage"]), size, path, number))
    return found


def stage_ends(run: RunFolder, stage: int, second: bool = False) -> list[Moment]:
    """Every finished stage up to this one, at the size it was trained at."""
    return [
        _scored(run, number, "size", second)
        for number in run.finished_stages()
        if number <= stage and run.scores(number).get("size")
    ]


def _scored(run: RunFolder, stage: int, which: str, second: bool) -> Moment:
    size = hw(run.scores(stage)[which])
    path = run.predictions / f"s{stage}-{size[0]}x{size[1]}.npz"
    return Moment(stage, size, path, second=second)


def read_answers(moment: Moment) -> Answers:
    """Images with a known label, in the order of their items. LabError where it cannot be read."""
    names = ("second_target", "second_probs") if moment.second else ("target", "probs")
    try:
        with np.load(moment.path, allow_pickle=False) as stored:
            item, target, probs = stored["item"], *(stored[name] for name in names)
    except DAMAGED as error:
        what = "the second target's answers" if moment.second else "the answers"
        raise LabError(
            f"{moment.path.name} cannot be read: {what} are not there, or it is damaged.",
            "Choose another epoch or stage.",
        ) from error
    order = np.argsort(item, kind="stable")
    order = order[target[order] >= 0]
    if not len(order):
        raise LabError(
            "No validation image has a known label of that kind.", "Look at the other label."
        )
    return Answers(item[order], target[order].astype(np.int64), probs[order].astype(np.float64))


# By class


def class_table(table: np.ndarray, classes: tuple[str, ...]) -> pd.DataFrame:
    """A row a class from counts (true, predicted): support, answered, right; shares as fractions.

    precision: of the images answered so, how many are. recall: of those that are, how many were
    found, with Wilson's 95 % interval low..high. f1: their harmonic mean. NaN where nothing is
    there to divide by.
    """
    right = np.diag(table).astype(float)
    support, answered = table.sum(axis=1), table.sum(axis=0)
    between = [_interval(int(hit), int(n)) for hit, n in zip(right, support)]
    return pd.DataFrame({
        "class": list(classes),
        "support": support,
        "answered": answered,
        "right": right.astype(int),
        "precision": _share(right, answered),
        "recall": _share(right, support),
        "low": [low for low, _ in between],
        "high": [high for _, high in between],
        "f1": _share(2 * right, support + answered),
    })  # fmt: skip


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _interval(hits: int, n: int) -> tuple[float, float]:
    return rate_interval(hits, n) if n else (float("nan"), float("nan"))


# Pairs


def confused_pairs(table: np.ndarray, classes: tuple[str, ...]) -> pd.DataFrame:
    """Unordered pairs that are mixed up, the most often first.

    one, other: class numbers, `one` being the one that is taken for the other more often; names
    a and b; mistakes = a_as_b + b_as_a; share of all mistakes; rate: of all images of both.
    """
    wrong = table - np.diag(np.diag(table))
    above = np.triu(wrong + wrong.T)
    rows = []
    for first, second in np.argwhere(above):
        ways = sorted(((first, second), (second, first)), key=lambda way: -wrong[way])
        one, other = (int(number) for number in ways[0])
        both = int(above[first, second])
        rows.append({
            "one": one, "other": other, "a": classes[one], "b": classes[other], "mistakes": both,
            "a_as_b": int(wrong[one, other]), "b_as_a": int(wrong[other, one]),
            "share": both / wrong.sum(), "rate": both / table[[one, other]].sum(),
        })  # fmt: skip
    columns = ["one", "other", "a", "b", "mistakes", "a_as_b", "b_as_a", "share", "rate"]
    found = pd.DataFrame(rows, columns=columns)
    return found.sort_values("mistakes", ascending=False, kind="stable", ignore_index=True)


def pair_words(pair: Any, mistakes: int) -> str:
    """A sentence about a row of `confused_pairs`; `mistakes`: all that there are."""
    ways = f"{_times(pair.a_as_b)} {pair.a} was taken for {pair.b}"
    if pair.b_as_a:
        ways += f", {_times(pair.b_as_a)} {pair.b} for {pair.a}"
    ways = f"{ways[:1].upper()}{ways[1:]}"  # "Twice"
    return f"{pair.a} and {pair.b}: {pair.mistakes} of {mistakes} mistakes. {ways}."


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def most_confused(table: np.ndarray, most: int) -> list[int]:
    """At most `most` class numbers, in their own order: those of the pairs mixed up most often.

    Places that are left go to the classes with the most images.
    """
    if len(table) <= most:
        return list(range(len(table)))
    names = tuple(map(str, range(len(table))))
    found: list[int] = []
    for pair in confused_pairs(table, names).itertuples():
        new = [number for number in (pair.one, pair.other) if number not in found]
        if len(found) + len(new) <= most:
            found += new
    by_support = np.argsort(-table.sum(axis=1), kind="stable").tolist()
    found += [number for number in by_support if number not in found][: most - len(found)]
    return sorted(found)


# How sure


def coverage_curve(probs: np.ndarray, target: np.ndarray) -> pd.DataFrame:
    """Only answers at least as sure as a threshold count: a row a threshold, the surest first.

    threshold, n, coverage (share of images answered), accuracy (among those).
    """
    sure = probs.max(axis=1)
    order = np.argsort(-sure, kind="stable")
    right = (probs.argmax(axis=1) == target)[order]
    sure, n = sure[order], np.arange(1, len(order) + 1)
    last = np.append(sure[1:] != sure[:-1], True)  # images as sure as each other go together
    found = {"threshold": sure, "n": n, "coverage": n / len(n), "accuracy": right.cumsum() / n}
    return pd.DataFrame({name: values[last] for name, values in found.items()})


def at_threshold(probs: np.ndarray, target: np.ndarray, threshold: float) -> dict[str, Any]:
    """n answered at least that surely, right, coverage, accuracy with low and high (None of 0)."""
    answered = probs.max(axis=1) >= threshold
    right = int((probs.argmax(axis=1) == target)[answered].sum())
    n = int(answered.sum())
    low, high = rate_interval(right, n) if n else (None, None)
    shares = {"coverage": n / len(target), "accuracy": right / n if n else None}
    return {"threshold": threshold, "n": n, "right": right, **shares, "low": low, "high": high}


def top_k(probs: np.ndarray, target: np.ndarray, most: int = 5) -> dict[int, float]:
    """k -> share of images whose true class is among the k likeliest; k below the classes' number.

    Of classes with the same probability the first wins, as everywhere in the lab.
    """
    own = probs[np.arange(len(target)), target][:, None]
    earlier = np.arange(probs.shape[1])[None, :] < target[:, None]
    rank = (probs > own).sum(axis=1) + ((probs == own) & earlier).sum(axis=1)
    return {k: float((rank < k).mean()) for k in range(1, min(most, probs.shape[1] - 1) + 1)}


def mean_scores(by_class: pd.DataFrame) -> dict[str, float]:
    """Means over the classes that have images: precision and F1 count 0 where never answered."""
    there = by_class[by_class["support"] > 0]
    names = ("precision", "recall", "f1")
    return {name: float(there[name].fillna(0.0).mean()) for name in names}


def report(answers: Answers, classes: tuple[str, ...]) -> dict[str, Any]:
    """All of it at once: table, by_class, pairs, means, top_k, n, wrong."""
    table = confusion(*answers.pair)
    by_class = class_table(table, classes)
    return {
        "table": table,
        "by_class": by_class,
        "pairs": confused_pairs(table, classes),
        "means": mean_scores(by_class),
        "top_k": top_k(*answers.pair),
        "n": len(answers.item),
        "wrong": int(table.sum() - np.trace(table)),
    }
