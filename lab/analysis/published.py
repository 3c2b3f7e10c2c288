"""Reference runs: epoch tables that others have published, read-only, in the form of our own runs.

    for run in published_runs(): print(run.name, run.source.title, run.error_rate)
    published_run("published:fastbook-7");  plan_of(run);  recipe_of(run)

Data and sources lie in published/, beside this file. What was not published is NaN: nothing is
filled in but `pixels`, which follow from the images and the sizes. A run of two parts, the second
from the first's weights, is one run of two stages.
"""

from __future__ import annotations

import csv
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lab.analysis.curves import epochs_frame
from lab.errors import LabError
from lab.recipe.model import Recipe
from lab.recipe.presets import preset_recipe
from lab.schedules.plan import Plan, make_plan

FOLDER = Path(__file__).with_name("published")
PREFIX = "published:"  # no run folder has an id like this: they begin with a date


@dataclass(frozen=True)
class Source:
    """Where a table was printed; '' where that is not known."""

    title: str
    authors: str
    url: str


@dataclass(frozen=True)
class PublishedStage:
    """A stretch at one size. `epochs` were trained; the table may hold the last of them only."""

    size: int
    epochs: int
    trainable: str


@dataclass(frozen=True, eq=False)
class PublishedRun:
    """One published run. `epochs` has the columns of curves.epochs_frame."""

    id: str
    name: str
    source: Source
    words: str  # what it is, what is uncertain
    preset: str  # the preset that redoes it here
    stages: tuple[PublishedStage, ...]
    dataset: str
    network: str
    hardware: str
    n_train: int
    n_valid: int | None
    epochs: pd.DataFrame
    schedule_known: bool  # whether the rates were published

    @property
    def timed(self) -> bool:
        """Whether the seconds of each epoch were published."""
        return bool(self.epochs["seconds"].notna().all())

    @property
    def error_rate(self) -> float:
        """Of the last epoch, at its own size, on the validation images."""
        return float(self.epochs["error_rate"].iloc[-1])

    @property
    def seconds(self) -> float | None:
        """The whole length on the author's machine; None where it was not published."""
        whole = float(self.epochs["elapsed"].iloc[-1])
        return None if np.isnan(whole) else whole


@functools.cache
def published_runs() -> tuple[PublishedRun, ...]:
    """All of them, in the order of the index. The tables are shared: copy before you change one."""
    return tuple(_run(about) for about in _index().values())


def published_run(run_id: str) -> PublishedRun:
    """One by its id. Raises LabError with the ids there are."""
    known = {run.id: run for run in published_runs()}
    if run_id not in known:
        raise LabError(f"There is no published run {run_id!r}.", f"There are: {', '.join(known)}.")
    return known[run_id]


def is_published(run_id: str) -> bool:
    """Whether an id is one of a published run, and not of a run folder."""
    return run_id.startswith(PREFIX)


def recipe_of(run: PublishedRun) -> Recipe:
    """The run as a recipe of the lab, made from its preset: to plan it, and to run it again."""
    recipe = preset_recipe(run.preset)
    stages = [_stage(recipe, about) for about in _index()[run.id]["stages"]]
    return recipe.but(stages=tuple(stages), name=run.name)


@functools.cache
def plan_of(run: PublishedRun) -> Plan:
    """Its epochs as a plan, for axes and bands. Steps are the lab's for that many images."""
    recipe = recipe_of(run)
    return make_plan(recipe, run.n_train, recipe.model.groups)


def _stage(recipe: Recipe, about: dict[str, Any]) -> dict[str, Any]:
    stage = recipe.stages[about["of"]]
    changes: dict[str, Any] = {"size": about["size"]}
    changes |= {"batch_size": about["batch_size"]} if "batch_size" in about else {}
    if about["epochs"] != stage.total_epochs:
        changes["epochs"] = about["epochs"]
    return stage.but(**changes).model_dump()


@functools.cache
def _index() -> dict[str, dict[str, Any]]:
    document = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
    return {PREFIX + about["id"]: about for about in document["runs"]}


def _run(about: dict[str, Any]) -> PublishedRun:
    stages = tuple(
        PublishedStage(one["size"], one["epochs"], one["trainable"]) for one in about["stages"]
    )
    return PublishedRun(
        id=PREFIX + about["id"],
        name=about["name"],
        source=Source(about["title"], about["authors"], about["url"]),
        words=about["words"],
        preset=about["preset"],
        stages=stages,
        dataset=about["dataset"],
        network=about["network"],
        hardware=about["hardware"],
        n_train=about["n_train"],
        n_valid=about["n_valid"],
        epochs=_epochs(about),
        schedule_known=about.get("schedule_known", True),
    )


def _epochs(about: dict[str, Any]) -> pd.DataFrame:
    """The tables of all parts as one, by the function that reads our own events."""
    events, before, pixels = [], 0, 0
    for number, stage in enumerate(about["stages"]):
        each = about["n_train"] * stage["size"] ** 2
        for row in _rows(FOLDER / stage["file"]):
            pixels += each
            events.append({
                "kind": "epoch", **row, "epoch": int(row["epoch"]), "stage": number,
                "global_epoch": before + int(row["epoch"]), "size": stage["size"],
                "error_rate": round(1 - row["accuracy"], 6), "lr": stage.get("lr"),
                "pixels": pixels if about.get("pixels_known", True) else None,
            })  # fmt: skip
        before += stage["epochs"]
    frame = epochs_frame(events)
    if frame["seconds"].isna().any():
        frame["elapsed"] = np.nan
        frame.loc[len(frame) - 1, "elapsed"] = about["stages"][-1].get("total_s", np.nan)
    return frame


def _rows(file: Path) -> list[dict[str, float]]:
    with open(file, encoding="utf-8", newline="") as table:
        return [{name: float(text) for name, text in row.items()} for row in csv.DictReader(table)]
