"""From a finished run on: each matched baseline by one click, and the same again with more seeds.

offer_baseline(run, seen, primary=True)
launch_baseline(run, seen, arm);  repeat(experiment, 2)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from lab.jobs import experiments
from lab.recipe import Recipe
from lab.recipe.baselines import ANSWERS, KINDS, SAME_TIME, TITLES, grows, refusal
from lab.recipe.experiment import Arm, Design, arm_recipe, arms_of, suggested_question
from lab.recipe.facts import Facts
from lab.runs.experiments import Experiment, Member, by_cell, members
from lab.runs.folder import RunFolder
from lab.schedules.expected import arm_seconds
from lab.ui import format as fmt
from lab.ui import state
from lab.ui.messages import guard, plain
from lab.ui.run_actions import open_run
from lab.ui.run_cache import Snapshot

# The opponents of growing, from the fairest on; the others answer other questions.
FIXED = (SAME_TIME, "fixed-same-pixels", "fixed-same-epochs")


def baselines_of(seen: Snapshot) -> dict[str, tuple[Arm, Recipe]]:
    """kind -> (arm, recipe) of every baseline that means something for a run, the fairest first.

    Those of equal epochs and pixels are as long as the run was, where a rule ended it early.
    """
    recipe, about = seen.recipe, _measured_epochs(seen)
    found = {}
    for kind in (*FIXED, *(kind for kind in KINDS if kind not in FIXED)):
        if refusal(kind, recipe) is None and not (kind == SAME_TIME and about is None):
            arm = Arm(kind, kind, ANSWERS[kind], _own_length(kind, seen))
            found[kind] = (arm, arm_recipe(recipe, arm, about or 1))
    return found


def _measured_epochs(seen: Snapshot) -> int | None:
    """About how many epochs at the final size take as long as the run did; None: not measured."""
    recipe, epochs = seen.recipe, seen.epochs
    if not len(epochs):
        return None
    final = recipe.stages[-1].hw
    own = epochs[(epochs["height"] == final[0]) & (epochs["width"] == final[1])]
    if seen.plan is not None:  # an epoch on cached activations says nothing of a whole one
        whole_ones = {row.global_epoch for row in seen.plan.epochs if not row.cached}
        own = own[own["global_epoch"].isin(whole_ones)]
    if not len(own):
        return None
    return max(1, round(float(epochs["seconds"].sum()) / float(own["seconds"].median())))


def _own_length(kind: str, seen: Snapshot) -> tuple[tuple[str, int], ...]:
    """What sets the length to that of a run that ended early, as an arm's settings."""
    if kind not in ("fixed-same-epochs", "fixed-same-pixels"):
        return ()
    if seen.plan is None or not seen.ended_early:
        return ()
    height, width = seen.recipe.stages[-1].hw
    each = seen.plan.epochs[-1].images * height * width
    pixels = round(float(seen.epochs["pixels"].max()) / each)
    length = pixels if kind == "fixed-same-pixels" else len(seen.epochs)
    return (("stages.0.epochs", max(1, length)),)


def offer_baseline(run: RunFolder, seen: Snapshot, primary: bool) -> None:
    """Launch an opponent: same pictures, same split, same seed, same choices; or more seeds."""
    kinds = baselines_of(seen)
    fixed = {kind: kinds[kind] for kind in FIXED if kind in kinds}
    with st.container(border=True, key="runs.baseline.box"):
        if fixed:
            _fixed(run, seen, fixed, primary)
        with st.container(horizontal=True, vertical_alignment="center"):
            others = {kind: found for kind, found in kinds.items() if kind not in fixed}
            if others:
                _others(run, seen, others)
            _more_seeds(run)
            if st.button("Another question …", key="runs.ask", icon=":material/science:",
                         type="tertiary", help="Several arms, seeds, any field."):  # fmt: skip
                st.session_state["experiment.from"] = "run"
                st.session_state["experiment.run"] = run.id
                st.switch_page("pages/experiment.py")


def _fixed(
    run: RunFolder, seen: Snapshot, kinds: dict[str, tuple[Arm, Recipe]], primary: bool
) -> None:
    size = fmt.size(*seen.recipe.stages[-1].hw)
    words = f"**Did growing help?** Train once at {size} from the start, and compare."
    if not grows(seen.recipe):
        words = "**Did the schedule help?** Train in one plain stage, and compare."
    st.markdown(words)
    kind = st.segmented_control(
        "Matched by", list(kinds), key="runs.baseline.kind", default=next(iter(kinds)),
        format_func=lambda name: f"{_short(name)}: {_length(name, kinds[name][1])}",
        required=True,
        help="Same time is the fairest: both get as long on this machine, measured when it starts. "
        "Same epochs usually costs the fixed size more.",
    )  # fmt: skip
    if st.button(
        "Run the fixed-size baseline", key="runs.baseline", icon=":material/balance:",
        type="primary" if primary else "secondary",
    ):  # fmt: skip
        _go(lambda: launch_baseline(run, seen, kinds[kind][0]))


def _short(kind: str) -> str:
    return TITLES[kind].partition(", ")[2].capitalize()


def _length(kind: str, recipe: Recipe) -> str:
    return f"{'about ' if kind == SAME_TIME else ''}{recipe.total_epochs} epochs"


def _others(run: RunFolder, seen: Snapshot, kinds: dict[str, tuple[Arm, Recipe]]) -> None:
    """A button each, with the question that it answers."""
    with st.popover("Other baselines", icon=":material/alt_route:", key="runs.others"):
        for kind, (arm, _) in kinds.items():
            st.markdown(plain(ANSWERS[kind]))
            if st.button(f"Run “{TITLES[kind]}”", key=f"runs.baseline.{kind}"):
                _go(lambda arm=arm: launch_baseline(run, seen, arm))


def _more_seeds(run: RunFolder) -> None:
    with st.popover("Repeat with more seeds", icon=":material/casino:", key="runs.seeds"):
        st.markdown(
            "One run says something about one network. The same again with other seeds, for every "
            "arm of its experiment, says something about the method: three seeds are a beginning."
        )
        more = st.number_input("More seeds", 1, 20, 2, key="runs.seeds.count", width=140)
        if st.button("Repeat", key="runs.seeds.go", icon=":material/play_arrow:"):
            around = lambda: experiments.around(state.workspace(), run)  # noqa: E731
            _go(lambda: repeat(around(), int(more))[0])


def _go(work: Callable[[], RunFolder]) -> None:
    with guard():
        found = work()
    open_run(found.id)
    st.rerun()


def launch_baseline(run: RunFolder, seen: Snapshot, arm: Arm) -> RunFolder:
    """Queue it in the run's experiment, on the run's device, with what was chosen for the run."""
    workspace, recipe = state.workspace(), seen.recipe
    found = experiments.around(workspace, run)
    arm = _told_apart(found, members(workspace, found), arm, recipe.seed)
    epochs = _measured_epochs(seen) or 1
    design = Design(recipe, (*arms_of(recipe), arm), (recipe.seed,), epochs)
    (made,) = experiments.extend(
        workspace,
        found,
        arms=(arm,),
        seeds=(recipe.seed,),
        only=[(arm.name, recipe.seed)],
        epochs=epochs,
        seconds=arm_seconds(design, lambda made: _facts(made, found)),
        question=suggested_question(design),
        meta={"prediction": run.meta().get("prediction") or {}},
    )
    return made


def _told_apart(found: Experiment, there: list[Member], arm: Arm, seed: int) -> Arm:
    """The arm, by another name where that one is another arm, or has its run with this seed."""
    name, number, cells = arm.name, 2, by_cell(there)
    others = {one.name: one.settings for one in found.arms}
    while (name, seed) in cells or others.get(name, arm.settings) != arm.settings:
        name, number = f"{arm.name} ({number})", number + 1
    return replace(arm, name=name)


def repeat(found: Experiment, more: int) -> list[RunFolder]:
    """Every arm of an experiment with so many more seeds."""
    first = 1 + max(found.seeds, default=0)
    seeds = tuple(range(first, first + more))
    each = arm_seconds(found.design, lambda made: _facts(made, found)) if found.design else {}
    cells = [(arm.name, seed) for seed in seeds for arm in found.arms]
    workspace = state.workspace()
    return experiments.extend(workspace, found, seeds=seeds, only=cells, seconds=each)


def _facts(recipe: Recipe, found: Experiment) -> Facts:
    return state.facts_of(recipe, "cpu" if found.device == "auto" else found.device)
