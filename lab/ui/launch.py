"""From a draft to runs in the queue: the schedule, and after it its matched baselines.

runs = launch(workspace, recipe, facts, baselines=("fixed-same-epochs",), prediction={...})
runs = launch_demo(workspace, facts_of, prediction)
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from lab.jobs.client import submit_run
from lab.recipe import Recipe
from lab.recipe.baselines import BASELINES
from lab.recipe.facts import Facts
from lab.recipe.presets import preset_recipe
from lab.runs.folder import RunFolder
from lab.schedules.budget import forecast
from lab.schedules.plan import Plan, make_plan
from lab.ui import format as fmt
from lab.workspace import Workspace, read_json

DEMO = "demo-"
ASSUMED_TRAIN = 1000  # pictures of a data set that is not there yet, for drawing only

SAID = {
    "fixed-same-epochs": "fixed size, same epochs",
    "fixed-same-pixels": "fixed size, same pixels (about the same time)",
    "small-only": "small size only, same epochs",
    "single-target": "the first label alone",
}


def offered(recipe: Recipe) -> list[str]:
    """Baselines that mean something for this recipe."""
    left_out = set() if recipe.dataset.second_target else {"single-target"}
    if not grows(recipe):
        left_out |= {"fixed-same-pixels", "small-only"}
        first, *more = recipe.stages
        if not more and first.schedule == "one-cycle" and not first.frozen_epochs:
            left_out.add("fixed-same-epochs")  # it would be the same once more
    return [name for name in SAID if name not in left_out]


def grows(recipe: Recipe) -> bool:
    """Whether the schedule has more than one size."""
    ramps = any(stage.ramp_from is not None for stage in recipe.stages)
    return ramps or len({stage.hw for stage in recipe.stages}) > 1


def said_of(name: str, recipe: Recipe) -> str:
    """What people read for a baseline of this recipe."""
    if name == "fixed-same-epochs" and not grows(recipe):
        return "one plain stage, same epochs"
    return SAID[name]


def device_here(workspace: Workspace) -> str:
    """Where `auto` trained last, by what was measured: a GPU if any was."""
    known = read_json(workspace.facts / "speeds.json", {})
    return next((name for name in sorted(known) if name.startswith("cuda")), "cpu")


def plan_of(recipe: Recipe, facts: Facts) -> Plan:
    """The plan as far as it is known before the launch."""
    n_train = facts.data.n_train if facts.data else ASSUMED_TRAIN
    most = facts.model.groups if facts.model else recipe.model.groups
    return make_plan(recipe, max(n_train, 1), min(recipe.model.groups, most))


def launch(
    workspace: Workspace,
    recipe: Recipe,
    facts: Facts,
    *,
    baselines: Sequence[str] = (),
    prediction: Mapping[str, float | None] | None = None,
    experiment: str = "",
    **meta: Any,
) -> list[RunFolder]:
    """Queue the recipe and, one after the other, its baselines: same split, seed and choices.

    `prediction` holds error rates as fractions; those not guessed are left out.
    """
    guess = guess_of(prediction or {})
    experiment = experiment or (f"exp-{secrets.token_hex(3)}" if baselines else "")
    meta = {**meta, "experiment": experiment, "prediction": guess}
    runs: list[RunFolder] = []
    recipes = [recipe, *(BASELINES[name](recipe) for name in baselines)]
    for made, kind in zip(recipes, ("", *baselines)):
        role = {"role": "baseline" if kind else "progressive", "baseline": kind}
        if kind:
            role["baseline_of"] = runs[0].id
        seconds = forecast(made, plan_of(made, facts), facts).seconds
        about = {**meta, **role, "forecast_s": seconds}
        after = runs[-1].id if runs else None
        runs.append(submit_run(workspace, made, meta=about, after=after, forecast_s=seconds))
    return runs


def guess_of(prediction: Mapping[str, float | None]) -> dict[str, Any]:
    """The guess as meta.json keeps it: fractions, and the same in words; {} where none was made."""
    known = {role: value for role, value in prediction.items() if value is not None}
    if not known:
        return {}
    said = {"progressive": "growing sizes", "fixed": "one size"}
    words = [f"{said.get(role, role)} {fmt.percent(value)} errors" for role, value in known.items()]
    return {**known, "words": ", ".join(words)}


def launch_demo(
    workspace: Workspace,
    facts_of: Callable[[Recipe], Facts],
    prediction: Mapping[str, float | None],
) -> list[RunFolder]:
    """The quick preset, and then as many pixels (about as much time) at its last size only."""
    recipe = preset_recipe("quick")
    return launch(
        workspace,
        recipe,
        facts_of(recipe),
        baselines=("fixed-same-pixels",),
        prediction=prediction,
        experiment=f"{DEMO}{secrets.token_hex(3)}",
    )


def guess_inputs(page: str, growing: bool = True) -> dict[str, float | None]:
    """Two error rates in per cent, both optional; as fractions. One where nothing grows."""
    labels = {"progressive": "Error with growing sizes, %", "fixed": "Error with one size, %"}
    if not growing:
        labels = {"progressive": "Error at the end, %"}
    with st.container(horizontal=True):
        found = {
            role: st.number_input(
                label, 0.0, 100.0, None, 1.0, "%g", key=f"{page}.guess_{role}", width=220,
                placeholder="your guess", persist_state="session",
            )
            for role, label in labels.items()
        }  # fmt: skip
    return {role: None if value is None else value / 100 for role, value in found.items()}
