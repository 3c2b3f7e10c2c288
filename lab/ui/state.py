"""What the screens share: the workspace, the recipe being drafted, facts for its plan.

    recipe = draft()            set_draft(recipe.but(seed=1))
    known = facts_of(recipe)    # cached; never waits for torch

Drafts live under keys that no widget owns, because Streamlit forgets a widget's value when its page
is left.
"""

from __future__ import annotations

import json
import os
from typing import Any

import streamlit as st

from lab.data.catalog import list_datasets, open_dataset
from lab.data.dataset import Dataset
from lab.data.split import data_facts, parts
from lab.errors import LabError
from lab.recipe import Recipe, recipe_from
from lab.recipe.base import parse
from lab.recipe.dataset import DataSpec
from lab.recipe.facts import DataFacts, Facts, ModelFacts
from lab.recipe.models import shipped_model_facts
from lab.recipe.presets import preset_recipe
from lab.runs.speeds import device_facts
from lab.workspace import Workspace, read_json, workspace_from

DRAFT, CHOSEN = "lab.draft", "lab.dataset"


def workspace() -> Workspace:
    """The workspace of this server: LAB_WORKSPACE, or ./workspace."""
    return _workspace(os.environ.get("LAB_WORKSPACE") or "workspace")


@st.cache_resource(show_spinner=False)
def _workspace(path: str) -> Workspace:
    return workspace_from(path, dict(os.environ)).create()


def draft() -> Recipe:
    """The recipe under construction in this session; at first the demo's."""
    if DRAFT not in st.session_state:
        st.session_state[DRAFT] = preset_recipe("quick").dump()
    return recipe_from(st.session_state[DRAFT])


def set_draft(recipe: Recipe) -> None:
    """Keep a recipe as the draft of this session."""
    st.session_state[DRAFT] = recipe.dump()


def use_dataset(dataset_id: str) -> None:
    """Let the draft train on an imported data set."""
    recipe = draft()
    dataset = recipe.dataset.but(source="imported", id=dataset_id, path="", target="")
    set_draft(recipe.but(dataset=dataset.model_dump()))


def facts_of(recipe: Recipe, device: str = "cpu") -> Facts:
    """What is known without training: of the data (once imported), the model, this machine."""
    return Facts(
        data=data_facts_of(recipe),
        model=model_facts_of(recipe.model.name),
        device=device_facts(workspace(), device),
    )


def model_facts_of(name: str) -> ModelFacts | None:
    """Facts of an architecture: shipped, or found by the helper earlier; None until then."""
    shipped = shipped_model_facts(name)
    if shipped:
        return shipped
    values = read_json(workspace().facts / "models.json", {}).get(name)
    return ModelFacts(**values) if values else None


def dataset_of(recipe: Recipe) -> Dataset | None:
    """The imported data set that a recipe uses; None where it is not imported (or drawn) yet."""
    found = _dataset_id(recipe)
    try:
        return opened(found, _stamp(found)) if found else None
    except LabError:
        return None


def data_facts_of(recipe: Recipe) -> DataFacts | None:
    """Facts of the recipe's data under its split; for leaves not drawn yet, what will be drawn."""
    dataset = dataset_of(recipe)
    if dataset is None:
        return _leaves_to_come(recipe) if recipe.dataset.source == "leaves" else None
    spec = recipe.dataset.model_dump_json()
    return _data_facts(dataset.id, dataset.fingerprint, spec)


@st.cache_resource(max_entries=8, show_spinner=False)
def opened(dataset_id: str, stamp: float) -> Dataset:
    """An imported data set, opened once for all sessions. `stamp` tells versions apart."""
    return open_dataset(workspace(), dataset_id)


@st.cache_data(max_entries=64, show_spinner=False)
def _data_facts(dataset_id: str, fingerprint: str, spec: str) -> DataFacts | None:
    wanted = parse(DataSpec, json.loads(spec))
    dataset = opened(dataset_id, _stamp(dataset_id))
    return data_facts(dataset, parts(dataset, wanted.split, dataset.target(wanted.target)))


def _dataset_id(recipe: Recipe) -> str:
    spec = recipe.dataset
    if spec.source == "imported":
        return spec.id
    if spec.source == "leaves":
        from lab.data.leaves import LeafSet

        return LeafSet(**spec.leaves.model_dump()).key()
    known = {line.source.get("path"): line.id for line in list_datasets(workspace()) if line.source}
    return known.get(spec.path, "")


def _stamp(dataset_id: str) -> float:
    """When a data set was last written; 0 where it is not there."""
    try:
        return (workspace().dataset(dataset_id) / "dataset.json").stat().st_mtime
    except OSError:
        return 0.0


def _leaves_to_come(recipe: Recipe) -> DataFacts:
    from lab.data.leaves import CLASSES

    spec = recipe.dataset
    n, side = spec.leaves.n, spec.leaves.size_px
    n_test = round(n * spec.split.test_fraction)
    n_valid = round(n * spec.split.valid_fraction)
    values: dict[str, Any] = {"n_train": n - n_valid - n_test, "n_valid": n_valid, "n_test": n_test}
    return DataFacts(
        dataset_id="",
        name="Leaves (drawn at the launch)",
        fingerprint="",
        target="disease",
        classes=tuple(sorted(CLASSES)),
        short_px=(side, side, side),
        **values,
    )
