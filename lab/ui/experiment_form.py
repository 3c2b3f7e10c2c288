"""Asking a question: from what, against what, what is varied, how many seeds; what it will take.

source = choose_source()                     # Source(recipe, run): the reference
design, problems = compose(source, facts_of)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st
from pydantic.fields import FieldInfo

from lab.errors import LabError, Problem
from lab.jobs.experiments import device_of
from lab.recipe import Recipe
from lab.recipe.baselines import ANSWERS, KINDS, SAME_TIME, TITLES
from lab.recipe.experiment import (
    REFERENCE,
    Design,
    arms_of,
    own_arms,
    plain_name,
    problems_of,
    refusals,
)
from lab.recipe.facts import Facts
from lab.recipe.presets import PRESETS, preset_recipe
from lab.recipe.stage import Stage, hw
from lab.recipe.sweep import EVERY, places, value_at, values_of
from lab.runs.folder import RunFolder
from lab.runs.index import RunRow
from lab.schedules.expected import arm_seconds, same_time_epochs
from lab.ui import format as fmt
from lab.ui import state
from lab.ui.choose import run_label, told_apart
from lab.ui.forms import help_of, label_of
from lab.ui.messages import place, plain

SOURCES = {"draft": "The schedule being drafted", "preset": "A preset", "run": "A finished run"}
USUAL = (SAME_TIME, "fixed-same-epochs")
MOST_COLUMNS = 4
ROWS, NUMBER = "experiment.rows", "experiment.number"
FactsOf = Callable[[Recipe], Facts]


@dataclass(frozen=True)
class Source:
    """The reference: its recipe, and the finished run that it is of."""

    recipe: Recipe
    run: RunFolder | None = None

    @property
    def device(self) -> str:
        """Where the other runs are to train: where the finished one did."""
        return device_of(self.run) if self.run else "auto"


def choose_source(rows: list[RunRow], now: float) -> Source:
    """The reference recipe: the draft, a preset, or a run's."""
    finished = {row.id: row for row in rows if row.status == "finished"}
    kinds = [kind for kind in SOURCES if kind != "run" or finished]
    if st.session_state.get("experiment.from") not in (None, *kinds):
        del st.session_state["experiment.from"]
    kind = st.segmented_control(
        "Start from", kinds, format_func=SOURCES.get, key="experiment.from", default="draft",
        required=True, persist_state="session",
    )  # fmt: skip
    if kind == "preset":
        name = st.selectbox(
            "Preset", list(PRESETS), format_func=lambda name: PRESETS[name].title, width=460,
            key="experiment.preset", persist_state="session",
        )  # fmt: skip
        return Source(preset_recipe(name))
    if kind == "run":
        if st.session_state.get("experiment.run") not in (None, *finished):
            del st.session_state["experiment.run"]
        names = told_apart({key: run_label(row, now) for key, row in finished.items()})
        chosen = st.selectbox(
            "Run", list(finished), format_func=lambda key: names.get(key, key), width=620,
            key="experiment.run", persist_state="session",
            help="It is the reference of its own seed and is not trained again.",
        )  # fmt: skip
        run = RunFolder(state.workspace().run(chosen))
        return Source(run.recipe(), run)
    return Source(state.draft())


def reference_words(recipe: Recipe) -> str:
    """`Quick demo: 2 epochs at 64 px, then 4 at 128 px; resnet10t`."""
    parts = [f"{stage.total_epochs} at {_grown(stage)}" for stage in recipe.stages]
    most = ", then ".join(parts[:6]) + (" …" if len(parts) > 6 else "")
    first, _, rest = most.partition(" ")
    epochs = "epoch" if first == "1" else "epochs"
    return f"{plain_name(recipe)}: {first} {epochs} {rest}; {recipe.model.name}."


def _grown(stage: Stage) -> str:
    """`64 px`, or `64 px growing to 128 px`."""
    last = fmt.size(*stage.hw)
    return (
        last if stage.ramp_from is None else f"{fmt.size(*hw(stage.ramp_from))} growing to {last}"
    )


def choose_arms(recipe: Recipe, each: dict[str, float | None]) -> list[str]:
    """A box for each baseline that means something, with its question and its time."""
    refused = refusals(recipe)
    chosen = []
    for kind in KINDS:
        if kind in refused:
            continue
        time = f", about {fmt.minutes(each[kind])} a run" if each.get(kind) else ""
        with st.container(gap="xxsmall"):
            if st.checkbox(
                f"**{TITLES[kind]}**{time}", kind in USUAL, key=f"experiment.arm.{kind}",
                persist_state="session",
            ):  # fmt: skip
                chosen.append(kind)
            st.caption(plain(ANSWERS[kind]))
    if refused:
        lines = [f"{TITLES[kind]}: {problem.what}" for kind, problem in refused.items()]
        st.caption(plain("Not for this schedule. " + " ".join(lines)))
    return chosen


def choose_values(recipe: Recipe) -> tuple[dict[str, tuple[Any, ...]], bool, list[Problem]]:
    """Rows of a field and its values; whether to combine them; what does not fit."""
    fields = places(recipe)
    vary: dict[str, tuple[Any, ...]] = {}
    problems: list[Problem] = []
    rows = st.session_state.setdefault(ROWS, [])
    for row in rows:
        try:
            vary |= _values_row(recipe, fields, row)
        except LabError as error:
            problems += error.problems
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Vary a field" if not rows else "Vary another field", key="experiment.add",
                  icon=":material/add:", on_click=_add_row)  # fmt: skip
        grid = len(vary) > 1 and st.toggle(
            "Every combination", key="experiment.grid", persist_state="session",
            help="Off: an arm a value, the other fields as they are. On: an arm a combination.",
        )  # fmt: skip
    try:
        own_arms(recipe, vary, grid)
    except LabError as error:
        problems += error.problems
    return vary, grid, problems


def _add_row() -> None:
    st.session_state[NUMBER] = st.session_state.get(NUMBER, 0) + 1
    st.session_state[ROWS] = [*st.session_state.get(ROWS, []), st.session_state[NUMBER]]


def _drop_row(row: int) -> None:
    st.session_state[ROWS] = [one for one in st.session_state.get(ROWS, []) if one != row]


def _values_row(recipe: Recipe, fields: dict[str, FieldInfo], row: int) -> dict[str, tuple]:
    """{path: values} of one row; {} while it is empty."""
    key = f"experiment.field.{row}"
    if st.session_state.get(key) not in (None, *fields):
        st.session_state[key] = None  # another recipe, which has no such stage
    with st.container(horizontal=True, vertical_alignment="bottom"):
        path = st.selectbox(
            "Field", list(fields), None, key=key, width=360, persist_state="session",
            format_func=lambda path: _field_words(path, fields), placeholder="Type to search",
        )  # fmt: skip
        text = st.text_input(
            "Values, between commas", key=f"experiment.values.{row}", width=300,
            placeholder=_example(recipe, path), persist_state="session",
            help="Each is an arm, written as in the recipe's JSON: 0.001, 0.003 or true, false or "
            "one-cycle, cosine. A value that the reference has already makes no arm.",
        )  # fmt: skip
        st.button("Remove", key=f"experiment.drop.{row}", icon=":material/delete:",
                  type="tertiary", on_click=_drop_row, args=(row,))  # fmt: skip
    if not path:
        return {}
    now = json.dumps(value_at(recipe, path)).strip('"')
    st.caption(f"It is {plain(now)} in the reference. {help_of(fields[path])}")
    return {path: values_of(text)} if text.strip() else {}


def _field_words(path: str, fields: dict[str, FieldInfo]) -> str:
    """`Stage 1, Learning rate (peak)`, `Every stage, Epochs`, `Optimizer, Beta2`."""
    *above, name = path.replace(f"stages.{EVERY}", "every stage").split(".")
    words = place(".".join(above)) if above else ""
    label = label_of(name, fields[path]) if path in fields else path
    return f"{words}, {label}" if words else label


def _example(recipe: Recipe, path: str | None) -> str:
    if not path:
        return "0.001, 0.003"
    now = value_at(recipe, path)
    if isinstance(now, bool):
        return "true, false"
    if isinstance(now, int | float):
        return f"{now / 2:g}, {now * 2:g}" if isinstance(now, float) else f"{now}, {now * 2}"
    return "values"


def choose_seeds(recipe: Recipe) -> tuple[int, ...]:
    """How many, and the first."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.number_input(
            "Seeds for each arm", 1, 20, 3, key="experiment.seeds", width=170,
            persist_state="session",
            help="The seed decides first weights, order and augmentation; the division of the "
            "pictures stays. One seed compares two networks; three or more compare the methods.",
        )  # fmt: skip
        first = st.number_input(
            "First seed", 0, 2**31 - 1, recipe.seed, key=f"experiment.first.{recipe.seed}",
            width=170, persist_state="session",
        )  # fmt: skip
    return tuple(range(int(first), int(first) + int(count)))


def following(key: str, suggestion: str) -> None:
    """Let a text field follow a suggestion until somebody writes in it."""
    before = st.session_state.get(f"{key}.suggested")
    if st.session_state.get(key) in (None, "", before):
        st.session_state[key] = suggestion
    st.session_state[f"{key}.suggested"] = suggestion


def compose(source: Source, facts_of: FactsOf) -> tuple[Design, dict[str, float | None]]:
    """The inputs of the page; (what is asked for, seconds of each arm). Says what does not fit."""
    recipe = source.recipe
    epochs = same_time_epochs(recipe, facts_of(recipe))
    offered = [kind for kind in KINDS if kind not in refusals(recipe)]
    everything = Design(recipe, arms_of(recipe, offered), (recipe.seed,), epochs)
    each = arm_seconds(everything, facts_of)
    st.subheader("Against what?")
    kinds = choose_arms(recipe, each)
    st.subheader("What if it were different?")
    st.caption("Any field of the schedule, over a list of values: each is an arm of its own.")
    vary, grid, problems = choose_values(recipe)
    st.session_state["experiment.problems"] = problems
    st.subheader("How often?")
    seeds = choose_seeds(recipe)
    own = {} if problems else vary
    design = Design(recipe, arms_of(recipe, kinds, own, grid), seeds, epochs)
    return design, arm_seconds(design, facts_of)


def problems_with(design: Design, facts_of: FactsOf) -> list[tuple[str, Problem]]:
    """Everything wrong or doubtful by arm, the fields that are varied included."""
    own = [("", problem) for problem in st.session_state.get("experiment.problems", [])]
    return [*own, *problems_of(design, facts_of)]


def outlook(design: Design, each: dict[str, float | None], done: int | None) -> pd.DataFrame:
    """A row an arm, a column a seed with the time of that run; of many seeds the first few.

    `done`: the seed whose reference is trained already.
    """
    seeds = design.seeds if len(design.seeds) <= MOST_COLUMNS else design.seeds[: MOST_COLUMNS - 1]
    rows = []
    for arm in design.arms:
        about = fmt.minutes(each.get(arm.name)) if each.get(arm.name) else "to train"
        cells = {
            f"seed\u00a0{seed}": "done" if seed == done and arm.kind == REFERENCE else about
            for seed in seeds
        }
        if len(seeds) < len(design.seeds):
            cells[f"to\u00a0{design.seeds[-1]}"] = "…"
        rows.append({"": plain(arm_title(arm.name)), **cells})
    return pd.DataFrame(rows).set_index("")


def outlook_words(design: Design) -> str:
    """`3 arms with 3 seeds: 9 runs`."""
    arms, seeds = len(design.arms), len(design.seeds)
    return f"{_many(arms, 'arm')} with {_many(seeds, 'seed')}: {_many(arms * seeds, 'run')}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def arm_title(name: str) -> str:
    """What people read for an arm."""
    return {REFERENCE: "The schedule itself", **TITLES}.get(name, name[:1].upper() + name[1:])
