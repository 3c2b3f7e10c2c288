"""From a draft to runs in the queue: the schedule, and after it its matched baselines.

runs = launch(workspace, recipe, facts, baselines=("fixed-same-epochs",), prediction={...})
runs = launch_demo(workspace, facts_of, prediction)
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from lab.jobs import experiments
from lab.jobs.client import submit_run
from lab.recipe import Recipe
from lab.recipe.baselines import KINDS, TITLES, grows, refusal
from lab.recipe.experiment import Design, arms_of, plain_name, suggested_question
from lab.recipe.facts import Facts
from lab.recipe.presets import preset_recipe
from lab.runs.folder import RunFolder
from lab.schedules.expected import (
    arm_seconds,
    expected_seconds,
    plan_before,
    same_time_epochs,
    total_seconds,
)
from lab.ui import format as fmt
from lab.workspace import Workspace, read_json

__all__ = ["grows", "launch", "launch_demo", "offered", "plan_of", "said_of"]

DEMO = "demo-"
plan_of = plan_before  # what the Schedule page draws


def offered(recipe: Recipe) -> list[str]:
    """Baselines that mean something for this recipe."""
    return [kind for kind in KINDS if refusal(kind, recipe) is None]


def against_key(recipe: Recipe) -> str:
    """One choice of baselines for each set of those that are offered: the key of its widget."""
    return ".".join(["schedule.against", *offered(recipe)])


def said_of(name: str, recipe: Recipe) -> str:
    """What people read for a baseline of this recipe."""
    if name == "fixed-same-epochs" and not grows(recipe):
        return "One plain stage, same epochs"
    return TITLES[name]


def device_here(workspace: Workspace) -> str:
    """Where `auto` trained last, by what was measured: a GPU if any was."""
    known = read_json(workspace.facts / "speeds.json", {})
    return next((name for name in sorted(known) if name.startswith("cuda")), "cpu")


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
    """Queue the recipe; with baselines it is an experiment of one seed, and they follow it.

    `prediction` holds error rates as fractions; those not guessed are left out.
    """
    about = {**meta, "prediction": guess_of(prediction or {})}
    if not baselines:
        seconds = expected_seconds(recipe, facts)
        alone = {"experiment": "", "role": "progressive", "baseline": "", "forecast_s": seconds}
        return [submit_run(workspace, recipe, meta={**about, **alone}, forecast_s=seconds)]
    epochs = same_time_epochs(recipe, facts)
    design = Design(recipe, arms_of(recipe, baselines), (recipe.seed,), epochs)
    each = arm_seconds(design, lambda _: facts)
    _, runs = experiments.launch(
        workspace,
        design,
        name=plain_name(recipe),
        question=suggested_question(design),
        seconds=each,
        forecast_s=total_seconds(design, each),
        experiment_id=experiment,
        meta=about,
    )
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
