"""What a schedule is trained on and with: pictures, network, optimizer and the rest of the recipe.

data_form(recipe, facts);  network_form(recipe, facts);  rest_form(recipe)
"""

from __future__ import annotations

import contextlib
from typing import get_args

import streamlit as st

from lab.data.catalog import list_datasets
from lab.errors import LabError, Problem
from lab.jobs import helper_client
from lab.recipe import Recipe
from lab.recipe.dataset import DataSpec, Leaves, Split
from lab.recipe.facts import Facts
from lab.recipe.model import Evaluation, ModelSpec, Optimizer, Rules
from lab.recipe.models import SMALL_BODY, shipped_models
from lab.recipe.stage import hw
from lab.runs.folder import RunFolder
from lab.runs.index import list_runs
from lab.ui import editing
from lab.ui import format as fmt
from lab.ui.forms import (
    field_input,
    fields_row,
    help_of,
    label_of,
    optional_number,
    words_of,
)
from lab.ui.messages import plain
from lab.ui.state import dataset_of, workspace

LEAVES, PATH, UNKNOWN = "leaves", "path", "schedule.unknown"
LEAF_TARGETS = ("disease", "variety")
START_WORDS = {
    "hub": "Downloaded once from timm's hub, so this machine needs the network the first time.",
    "small-body": "A small network that the lab trained on pictures that it drew itself: shapes, "
    "textures, fractals. It has never seen a photo, so it knows edges and patterns and no things. "
    "Choosing it sets the network.",
    "file": "A .safetensors file on the machine where the lab runs, of just this network.",
}
RULE_WORDS = {
    "early_stop_epochs": "**Stopping early** does not sit well with one-cycle: the rate has not "
    "come down yet, and the best part comes last. Fewer epochs are the better answer.",
    "keep_best": "**Keeping the best-looking epoch**: on a small validation set it is mostly an "
    "accident, and its score is too good. Compare on the locked test part.",
}


def data_form(recipe: Recipe, facts: Facts) -> None:
    """Which data set, and how it is divided."""
    spec = recipe.dataset
    names = {line.id: line.name for line in list_datasets(workspace())
             if line.source.get("kind") != LEAVES}  # fmt: skip
    names = {LEAVES: "Leaves, drawn by the lab", **names}
    chosen = spec.id if spec.source == "imported" else spec.source
    names.setdefault(chosen, spec.path or f"{chosen or 'none chosen'} (not here)")
    key = editing.key("dataset.choice")
    st.selectbox(
        "Data set", list(names), list(names).index(chosen), key=key,
        on_change=_put_dataset, args=(key,), format_func=lambda found: names.get(found, found),
        help="Import your own pictures on the Data page.",
    )  # fmt: skip
    if spec.source == LEAVES:
        front = ("n", "size_px", "form", "seed")
        fields_row(Leaves, spec.leaves, front, ("dataset", "leaves"), width=150)
    _target(spec)
    if facts.data:
        st.caption(
            f"{fmt.count(facts.data.n_train)} pictures train, {fmt.count(facts.data.n_valid)} "
            f"validate, {fmt.count(facts.data.n_test)} stay locked for a last look. "
            f"{len(facts.data.classes)} classes, median short side {facts.data.short_px[1]} px."
        )


def _put_dataset(key: str) -> None:
    chosen = st.session_state[key]
    spec = {**st.session_state[editing.OURS]["dataset"], "target": ""}
    if chosen in (LEAVES, PATH):
        spec["source"] = chosen
    else:
        spec |= {"source": "imported", "id": chosen}
    editing.put_value(("dataset",), spec)


def _target(spec: DataSpec) -> None:
    """Which label to learn, where the data bring several."""
    recipe, _ = editing.current()
    dataset = dataset_of(recipe)
    to_draw = LEAF_TARGETS if spec.source == LEAVES else ()  # they are drawn at the launch
    targets = list(dataset.targets if dataset else to_draw)
    if len(targets) < 2:
        return
    chosen = targets.index(spec.target) if spec.target in targets else 0
    path, key = ("dataset", "target"), editing.key("dataset.target")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "What to learn", targets, chosen, key=key, on_change=editing.put, args=(path, key),
            width=220,
        )  # fmt: skip
        _second_target(spec, [name for name in targets if name != targets[chosen]])


def _second_target(spec: DataSpec, others: list[str]) -> None:
    """A second label to learn beside the first."""
    options = ["", *others]
    at = options.index(spec.second_target) if spec.second_target in options else 0
    path, key = ("dataset", "second_target"), editing.key("dataset.second")
    st.selectbox(
        "And beside it", options, at, key=key, on_change=editing.put, args=(path, key), width=220,
        format_func=lambda name: name or "nothing else",
        help=DataSpec.model_fields["second_target"].description,
    )  # fmt: skip
    if spec.second_target:
        field_input(
            DataSpec, "second_weight", spec.second_weight, ("dataset", "second_weight"), width=150
        )


def network_form(recipe: Recipe, facts: Facts) -> None:
    """The architecture and where its weights start."""
    model = recipe.model
    names = shipped_models()
    options = names if model.name in names else [model.name, *names]
    key = editing.key("model.name")
    st.selectbox(
        "Network", options, options.index(model.name), key=key, accept_new_options=True,
        on_change=_put_name, args=(key,),
        help="Cheapest first. Or type the name of any timm architecture.",
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _weights(model)
        shown = ["groups"] + (["file"] if model.weights == "file" else [])
        for name in shown:
            field_input(ModelSpec, name, getattr(model, name), ("model", name), width=190)
    if words := START_WORDS.get(model.weights):
        st.caption(words)
    if model.weights == "run":
        _source_run(model)
    if facts.model:
        known = facts.model
        st.caption(
            f"{plain(known.name)}: {known.params / 1e6:.2g} million weights, "
            f"{known.gmacs_at_native:.2g} billion multiply-adds at {known.native_px} px, "
            f"sizes from {known.min_px} px"
            + (f" in steps of {known.step_px}." if known.step_px > 1 else ".")
        )
    elif model.name not in st.session_state.get(UNKNOWN, {}):
        _look_up(model.name)


def _weights(model: ModelSpec) -> None:
    """Where the weights start. The lab's own body is of one architecture: it comes with it."""
    info, key = ModelSpec.model_fields["weights"], editing.key("model.weights")
    options = get_args(info.annotation)
    st.selectbox(
        label_of("weights", info), options, options.index(model.weights), key=key, width=230,
        format_func=lambda choice: words_of(choice, "weights"), help=help_of(info),
        on_change=_put_weights, args=(key,),
    )  # fmt: skip


def _put_weights(key: str) -> None:
    values = dict(st.session_state[editing.OURS]["model"])
    values["weights"] = st.session_state[key]
    if values["weights"] == "small-body":
        values |= {"name": SMALL_BODY, "groups": max(2, values["groups"])}
    editing.put_value(("model",), values, anew=True)


def _source_run(model: ModelSpec) -> None:
    """Which finished run to go on from, and the advice for its rate."""
    rows = [row for row in list_runs(workspace()) if row.status == "finished"]
    names = {row.id: f"{row.name or row.id} ({row.id})" for row in rows}
    if model.run:
        names.setdefault(model.run, f"{model.run} (not here)")
    key = editing.key("model.run")
    st.selectbox(
        "Which run", list(names), list(names).index(model.run) if model.run else None, key=key,
        format_func=names.get, on_change=editing.put, args=(("model", "run"), key),
        placeholder="a finished run", help=ModelSpec.model_fields["run"].description,
    )  # fmt: skip
    _source_stage(model)
    st.caption(
        "To train on, take about a quarter of the rate: these weights need little change. The "
        "network must be of the same kind; other classes get a new head."
    )


def source_words(model: ModelSpec) -> str:
    """`Quick demo after its last stage`: whose weights a run begins with."""
    name = model.run
    with contextlib.suppress(LabError):
        folder = RunFolder(workspace().run(model.run))
        name = (folder.recipe().name if folder.exists() else "") or model.run
    after = "its last stage" if model.run_stage is None else f"its stage {model.run_stage + 1}"
    return f"“{name}” after {after}"


def _source_stage(model: ModelSpec) -> None:
    """Which of the run's stages; the last one, unless somebody says otherwise."""
    with contextlib.suppress(LabError):
        folder = RunFolder(workspace().run(model.run)) if model.run else None
        stages = folder.finished_stages() if folder else []
        source = folder.recipe() if folder and folder.exists() else None
        if source and source.model.name != model.name:
            st.caption(f":orange[It is a {plain(source.model.name)}, not a {plain(model.name)}.]")
        labels = {n: f"stage {n + 1}, {fmt.size(*source.stages[n].hw)}" for n in stages}
        options: list[int | None] = [None, *labels]
        if model.run_stage not in options:
            options.append(model.run_stage)
        key = editing.key("model.run_stage")
        st.selectbox(
            "Which stage of it", options, options.index(model.run_stage), key=key, width=230,
            format_func=lambda n: "its last" if n is None else labels.get(n, f"stage {n + 1}"),
            on_change=editing.put, args=(("model", "run_stage"), key),
        )  # fmt: skip


def _look_up(name: str) -> None:
    """Ask the helper about an architecture that nobody here has used yet; once."""
    if not helper_client.is_warm(workspace()):
        st.caption("Its facts come as soon as the helper process has warmed up.")
        return
    with st.spinner(f"Looking {plain(name)} up …"):
        try:
            helper_client.call(workspace(), "model_facts", {"name": name}, timeout=60)
        except LabError as error:
            problems = [Problem("model.name", p.what, p.fix) for p in error.problems]
            st.session_state.setdefault(UNKNOWN, {})[name] = problems
    st.rerun()


def unknown_network(recipe: Recipe) -> list[Problem]:
    """What was wrong when the network's name was looked up; empty where it is known."""
    return st.session_state.get(UNKNOWN, {}).get(recipe.model.name, [])


def _put_name(key: str) -> None:
    name = (st.session_state[key] or "").strip()
    if name:
        editing.put_value(("model", "name"), name)


def rest_form(recipe: Recipe) -> None:
    """Optimizer, precision, seed, division of the pictures, final scores."""
    st.markdown("**Training**")
    fields_row(type(recipe), recipe, ("seed", "precision", "threads", "ema_decay"), ())
    st.markdown("**Optimizer**")
    fields_row(Optimizer, recipe.optimizer, optimizer_fields(recipe), ("optimizer",))
    st.markdown("**Rules that look at validation**  \n:small[:gray[Off unless you know why.]]")
    fields_row(Rules, recipe.rules, list(Rules.model_fields), ("rules",))
    for words in RULE_WORDS.values():
        st.caption(words)
    st.markdown("**Network**")
    shown = ("name", "weights", "groups", "file", "run", "run_stage")
    rest = [name for name in ModelSpec.model_fields if name not in shown]
    fields_row(ModelSpec, recipe.model, rest, ("model",))
    st.markdown("**Division of the pictures**")
    split = recipe.dataset.split
    fields_row(Split, split, split_fields(split), ("dataset", "split"))
    if recipe.dataset.source == LEAVES:
        field_input(
            Leaves, "fine_scale", recipe.dataset.leaves.fine_scale,
            ("dataset", "leaves", "fine_scale"), width=190,
        )  # fmt: skip
    st.markdown("**Final scores**")
    _final_size(recipe)
    names = [name for name in Evaluation.model_fields if name != "size"]
    fields_row(Evaluation, recipe.evaluation, names, ("evaluation",))


def optimizer_fields(recipe: Recipe) -> list[str]:
    """Those that the chosen optimizer reads: SGD has no beta2 and no epsilon."""
    left_out = {"beta2", "eps"} if recipe.optimizer.name == "sgd" else set()
    tuned = any(stage.frozen_epochs for stage in recipe.stages)
    if not tuned and all(stage.schedule != "one-cycle" for stage in recipe.stages):
        left_out.add("cycle_momentum")
    return [name for name in Optimizer.model_fields if name not in left_out]


def split_fields(split: Split) -> list[str]:
    """Those that the chosen way of dividing reads."""
    left_out = {
        "kfold": {"valid_fraction", "column"},
        "column": {"folds", "fold", "test_seed"},
    }.get(split.method, {"column", "folds", "fold"})
    return [name for name in Split.model_fields if name not in left_out]


def _final_size(recipe: Recipe) -> None:
    size = recipe.evaluation.size
    height, width = hw(size) if size else (None, None)
    with st.container(horizontal=True):
        for name, value in (("height", height), ("width", width if width != height else None)):
            empty = "as the last stage" if name == "height" else "as the height"
            label = "Final size, px" if name == "height" else "Width, px"
            optional_number(
                label, value, key=editing.key(f"evaluation.{name}"), placeholder=empty, width=190,
                min_value=16, max_value=1024, step=16, on_change=_put_final,
                help=Evaluation.model_fields["size"].description,
            )  # fmt: skip


def _put_final() -> None:
    high = st.session_state.get(editing.key("evaluation.height"))
    wide = st.session_state.get(editing.key("evaluation.width"))
    size = high if high is None or wide in (None, high) else [high, wide]
    editing.put_value(("evaluation", "size"), size)
