"""Train size against test size: the FixRes curve of a finished stage, from what was scored.

    found = size_curve(run, stage)       # points, the predicted and the measured best size
    choice_words(found.choice)           # what the measured best is worth, in words
    grid([one, other])                   # error by training size (rows) and test size (columns)

Nothing is run here. `suggested_sizes` says which sizes would be worth scoring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lab.analysis.curves import size_label
from lab.analysis.significance import Paired, error_difference, rate_interval
from lab.errors import LabError
from lab.recipe.facts import ModelFacts
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage, hw
from lab.runs.arrays import DAMAGED
from lab.runs.events import read_events
from lab.runs.folder import RunFolder
from lab.schedules.growth import matched_test_px
from lab.workspace import read_json

LEVEL = 0.05
FACTORS = (0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.5, 1.75, 2.0)
STEP_PX = 16  # sizes nearer to each other tell nothing new (below 64 px: half of it)
SMALLEST_PX, LARGEST_PX = 16, 1024
FOLDS = 10
SPACE = "\u202f"  # narrow, and no line breaks at it
Pair = tuple[int, int]


@dataclass(frozen=True)
class SizePoint:
    """A stage scored at one test size; `refused` says why it was not, `error` is None then."""

    size: Pair
    n: int = 0
    error: float | None = None
    low: float | None = None
    high: float | None = None
    log_loss: float | None = None
    balanced_error: float | None = None
    seconds: float | None = None
    enlarged: float = 0.0  # share of the pictures that hold fewer pixels than this
    framing: str = ""  # timm's crop_mode and crop_pct
    note: str = ""
    refused: str = ""

    @property
    def side(self) -> float:
        """The side of the square with as many pixels."""
        return math.sqrt(self.size[0] * self.size[1])


@dataclass(frozen=True)
class Choice:
    """The best of several test sizes against the training size, on the same images.

    `found`: error at the training size less that at the best one. `p` is corrected for how many
    sizes were tried. `chosen_error`: what choosing the best size gives on images that it was not
    chosen on (ten folds).
    """

    best: Pair
    own: Pair
    best_error: float
    own_error: float
    found: Paired
    p: float
    tried: int
    chosen_error: float


@dataclass(frozen=True)
class SizeCurve:
    """One stage over test sizes, smallest first."""

    run: str
    name: str
    stage: int
    train: Pair
    points: tuple[SizePoint, ...]
    predicted: float  # the test side that matches training, from the range of its crops
    choice: Choice | None

    @property
    def scored(self) -> list[SizePoint]:
        """The points that have an error."""
        return [point for point in self.points if point.error is not None]

    @property
    def best(self) -> SizePoint | None:
        """The lowest error; of equal ones that nearest to the training size."""
        side = math.sqrt(self.train[0] * self.train[1])
        ranked = sorted(self.scored, key=lambda p: (p.error, abs(p.side - side)))
        return ranked[0] if ranked else None


def size_curve(run: RunFolder, stage: int, name: str = "") -> SizeCurve:
    """What is known of a finished stage. LabError where it is not finished."""
    info = run.scores(stage)
    if not info:
        raise LabError(f"Stage {stage} of {run.id} is not finished.", "Choose another stage.")
    recipe = run.recipe()
    known = {point.size: point for point in _at_the_end(info)}
    known |= {point.size: point for point in _scored_later(run, stage, info)}
    points = tuple(sorted(known.values(), key=lambda point: (point.side, point.size)))
    train = hw(tuple(info["size"]))
    predicted = predicted_side(recipe, recipe.stages[stage])
    choice = _choice(run, stage, points, train)
    return SizeCurve(run.id, name or recipe.name or run.id, stage, train, points, predicted, choice)


def _at_the_end(info: dict[str, Any]) -> list[SizePoint]:
    """Own and final size, scored when the stage ended."""
    pairs = (("size", "own"), ("final_size", "final"))
    return [_point(hw(tuple(info[size])), info[name]) for size, name in pairs if info.get(name)]


def _scored_later(run: RunFolder, stage: int, info: dict[str, Any]) -> list[SizePoint]:
    known = read_json(run.stage(stage) / "test_sizes.json", {})
    if not isinstance(known, dict) or known.get("weights") != info.get("sha256"):
        return []  # of other weights: a stage that was trained again
    rows = known.get("sizes", {}).values()
    return [_point(hw(row["size"]), row) for row in rows]


def _point(size: Pair, row: dict[str, Any]) -> SizePoint:
    if "refused" in row:
        return SizePoint((size[0], size[1]), refused=row["refused"])
    n, error = int(row["n"]), row["error_rate"]
    low, high = rate_interval(round(error * n), n)
    kept = {name: row.get(name) for name in ("log_loss", "balanced_error", "seconds")}
    framing = f"{row['resize']} {row['crop_pct']:g}" if "resize" in row else ""
    words = {"enlarged": row.get("enlarged", 0.0), "note": row.get("note", "")}
    return SizePoint((size[0], size[1]), n, error, low, high, **kept, framing=framing, **words)


def predicted_side(recipe: Recipe, stage: Stage) -> float:
    """The test side at which things look as large as in training (derived from FixRes).

    Random crops enlarge what they show, centre crops of the test too: see growth.matched_test_px.
    """
    side = math.sqrt(stage.hw[0] * stage.hw[1])
    share = recipe.evaluation.crop_pct or recipe.stages[-1].valid_crop_pct
    if stage.resize == "as-test":  # framed as in validation: only another centre crop changes it
        return side * share / stage.valid_crop_pct
    return side * matched_test_px(1, stage.min_scale, share)


def short_side(run: RunFolder) -> int:
    """The median short side of the originals that a run was made with; 0 where it is not noted."""
    started = [event for event in read_events(run) if event["kind"] == "run_started"]
    sides = started[-1].get("data", {}).get("short_px") if started else None
    return int(sides[1]) if sides else 0


def suggested_sizes(
    recipe: Recipe, stage: Stage, model: ModelFacts | None = None, short_px: int = 0
) -> list[Pair]:
    """From half the training size to twice it, as the network takes them, smallest first.

    `short_px`: short side of the originals (0: unknown); nothing above is suggested, for there it
    would only be enlarged. The training size and the final one are always among them.
    """
    kept = [stage.hw, recipe.final_hw]
    if model is not None and model.sizes == "fixed":
        return sorted(set(kept))
    usual = STEP_PX if min(stage.hw) >= 64 else STEP_PX // 2
    step = math.lcm(usual, model.step_px if model else 1)
    least = max(SMALLEST_PX, model.min_px if model else 0)
    share = recipe.evaluation.crop_pct or recipe.stages[-1].valid_crop_pct
    for factor in (*FACTORS, predicted_side(recipe, stage) / math.sqrt(math.prod(stage.hw))):
        height, width = (max(step, round(factor * side / step) * step) for side in stage.hw)
        seen = min(height, width) / share <= short_px or not short_px
        if least <= min(height, width) and max(height, width) <= LARGEST_PX and seen:
            kept.append((height, width))
    return sorted(set(kept), key=lambda size: (size[0] * size[1], size))


def _choice(run: RunFolder, stage: int, points: Sequence[SizePoint], train: Pair) -> Choice | None:
    """The best size against the training size; None without both, or without predictions."""
    right = {p.size: known for p in points if (known := _right(run, stage, p)) is not None}
    right = _on_the_same_images(right)
    if train not in right or len(right) < 2:
        return None
    sizes, table = list(right), np.stack(list(right.values()))
    best = sizes[best_row(table, sizes.index(train))]
    found = error_difference(right[train], right[best])
    return Choice(
        best, train, float((~right[best]).mean()), float((~right[train]).mean()), found,
        min(1.0, found.p * (len(sizes) - 1)), len(sizes), chosen_error(table, sizes.index(train)),
    )  # fmt: skip


def _right(run: RunFolder, stage: int, point: SizePoint) -> tuple[np.ndarray, np.ndarray] | None:
    """(items, whether each was told rightly), by item; None where there are no predictions."""
    if point.error is None:
        return None
    file = run.predictions / f"s{stage}-{point.size[0]}x{point.size[1]}.npz"
    try:
        with np.load(file, allow_pickle=False) as stored:
            order = np.argsort(stored["item"], kind="stable")
            right = stored["probs"].argmax(axis=1) == stored["target"]
            return stored["item"][order], right[order]
    except DAMAGED:
        return None


def _on_the_same_images(
    right: dict[Pair, tuple[np.ndarray, np.ndarray]],
) -> dict[Pair, np.ndarray]:
    """Right or wrong by size, of the images that most sizes have; other sizes are left out."""
    if not right:
        return {}
    items = max((known[0] for known in right.values()), key=len)
    return {size: hits for size, (own, hits) in right.items() if np.array_equal(own, items)}


def best_row(right: np.ndarray, own: int = 0) -> int:
    """The row (a size) with the most right answers; of equal ones `own`, else the first."""
    hits = right.sum(axis=1)
    return own if hits[own] == hits.max() else int(hits.argmax())


def chosen_error(right: np.ndarray, own: int = 0, folds: int = FOLDS, seed: int = 0) -> float:
    """Error rate of "take the best size" on images that it was not chosen on.

    right: bool (sizes, n). Chosen on all folds but one, counted on that one.
    """
    n = right.shape[1]
    fold = np.random.default_rng(seed).permutation(n) % min(folds, n)
    wrong = sum(
        int((~right[best_row(right[:, fold != k], own)][fold == k]).sum()) for k in np.unique(fold)
    )
    return wrong / n


def choice_words(choice: Choice | None) -> str:
    """What the measured best size is worth: the verdict and its numbers; '' without one."""
    return " ".join(words for words in (choice_verdict(choice), choice_details(choice)) if words)


def choice_verdict(choice: Choice | None) -> str:
    """One plain sentence."""
    if choice is None:
        return ""
    own, best = (f"{size_label(size)}{SPACE}px" for size in (choice.own, choice.best))
    if choice.best == choice.own:
        return f"None of {choice.tried} sizes made fewer errors than the training size, {own}."
    if choice.p >= LEVEL:
        return f"Not enough evidence that {best} is better than the training size, {own}."
    return f"Tested at {best} it makes fewer errors than at the training size, {own}."


def choice_details(choice: Choice | None) -> str:
    """The numbers behind it, and how far to believe the best among several."""
    if choice is None:
        return ""
    n, rates = choice.found.n, (_percent(choice.best_error), _percent(choice.own_error))
    if choice.best == choice.own:
        return f"{rates[1]} wrong on {n} images."
    low, high = (_points(value) for value in (choice.found.low, choice.found.high))
    shown = "p below 0.001" if choice.p < 0.001 else f"p\u00a0=\u00a0{choice.p:.3g}"
    return (
        f"{rates[0]} against {rates[1]} wrong on the same {n} images: "
        f"{_points(choice.found.difference)} points less, 95{SPACE}% interval {low} to {high}; "
        f"{shown}, corrected for {choice.tried} sizes. The best among several on the same images "
        "is a little optimistic: chosen on nine tenths of them and counted on the rest, the choice "
        f"gives {_percent(choice.chosen_error)}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}{SPACE}%"


def _points(share: float) -> str:
    return f"{100 * share + 0.0:.1f}".replace("-", "−")


def expected_seconds(
    sizes: Sequence[Pair], n: int, model: str, speeds: dict[str, float]
) -> float | None:
    """Seconds for `n` images at each size, by validation speeds of this machine; None if unknown.

    speeds: DeviceFacts.valid_speeds. A size never measured takes the nearest one's, by pixels.
    """
    known = {}
    for key, speed in speeds.items():
        name, size, kind = key.split("|")
        if name == model and speed > 0 and (kind == "fp32" or size not in known):
            known[size] = speed
    pixels = {math.prod(map(int, size.split("x"))): speed for size, speed in known.items()}
    if not pixels:
        return None
    total = 0.0
    for height, width in sizes:
        nearest = min(pixels, key=lambda area: abs(math.log(area / (height * width))))
        total += n / (pixels[nearest] * nearest / (height * width))
    return total


def grid(curves: Sequence[SizeCurve]) -> pd.DataFrame:
    """A row a curve (index: its number), a column a test size (height, width), error rates."""
    sizes = sorted(
        {p.size for curve in curves for p in curve.scored}, key=lambda s: (s[0] * s[1], s)
    )
    rows = [{point.size: point.error for point in curve.scored} for curve in curves]
    cells = [[row.get(size, np.nan) for size in sizes] for row in rows]
    table = pd.DataFrame(cells, dtype=float)
    table.columns = pd.Index(sizes, tupleize_cols=False)
    return table


def size_table(curves: Sequence[SizeCurve]) -> pd.DataFrame:
    """Every point as a row, for people and programs; error rates are fractions."""
    rows = []
    for curve in curves:
        for point in curve.points:
            place = {"run": curve.run, "name": curve.name, "stage": curve.stage}
            place |= {"train_size": size_label(curve.train), "test_size": size_label(point.size)}
            shown = ("n", "error", "low", "high", "log_loss", "balanced_error", "seconds")
            numbers = {name: getattr(point, name) for name in shown}
            rows.append({**place, **numbers, "enlarged": point.enlarged, "refused": point.refused})
    return pd.DataFrame(rows)
