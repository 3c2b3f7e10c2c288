"""The learning-rate finder of one stage: start it, see its curve, take one of its suggestions.

finder_panel(recipe, stage=0, key="schedule.finder.s1")      # inside a stage's card

The curve stays while the stage's pictures, network and batch stay as they are: a rate that is taken
does not wipe it out.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from lab.recipe import Recipe
from lab.runs.folder import RunFolder, all_runs
from lab.schedules.finder import curve_name
from lab.ui import editing, tasks
from lab.ui import format as fmt
from lab.ui.charts.finder import SUGGESTIONS, rate_curve
from lab.ui.live_chart import live_chart
from lab.ui.messages import guard, plain
from lab.ui.state import workspace
from lab.workspace import read_json

SAID = {
    "valley": "Half-way along the longest fall: what the finder takes where it chooses.",
    "minimum": "A tenth of the rate with the lowest loss.",
    "steep": "Where the loss falls fastest. Chance can mislead it at the low end.",
    "slide": "Coming from the high end, where the slope has become calm.",
}
ADVICE = (
    "The walk-through disagrees: leave it at 0.008 to 0.01; no new search for a new size. "
    "The easy steps search, and search again once the body is unfrozen. Try both."
)
_RUNS_LOOKED_AT = 40


def finder_panel(recipe: Recipe, stage: int, key: str) -> None:
    """Search, curve and suggestions for stage number `stage` (from 0) of the draft."""
    name = curve_name(recipe, stage)
    run = _start(recipe, stage, key) if stage else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            "Find a rate", key=f"{key}.find", icon=":material/query_stats:",
            disabled=run is None or tasks.busy(key),
            help="Trains on one batch at each of a hundred growing rates, and puts everything back "
            "as it was.",
        ):  # fmt: skip
            wanted = {"recipe": recipe.dump(), "stage": stage, "run": run, "curve": name}
            with guard():
                tasks.start(key, "lr-find", wanted)
    st.caption(ADVICE)
    tasks.watch(key, ("lr-find",), about={"curve": name})
    found = read_json(workspace().facts / name)
    if found:
        _shown(recipe, stage, key, found)


def _start(recipe: Recipe, stage: int, key: str) -> str | None:
    """Whose weights a later stage begins with: a run's id; None where there is no such run."""
    runs = _runs_before(recipe, stage)
    if not runs:
        st.caption(
            f"Stage {stage + 1} begins with trained weights, and no run has finished stage {stage} "
            "with these pictures and this network yet. Let the finder choose when it gets there: "
            "the switch above."
        )
        return None
    names = {run.id: run.recipe().name or run.id for run in runs}
    return st.selectbox(
        f"Begin with the weights after stage {stage} of", list(names), key=f"{key}.run", width=420,
        format_func=lambda run_id: f"{names[run_id]} ({run_id})" if names[run_id] else run_id,
    )  # fmt: skip


def _runs_before(recipe: Recipe, stage: int) -> list[RunFolder]:
    """Runs that have finished the stage before with these pictures and this network."""
    wanted = recipe.dump()
    found = []
    for run in all_runs(workspace())[:_RUNS_LOOKED_AT]:
        theirs = read_json(run.recipe_file, {})
        same = theirs.get("dataset") == wanted["dataset"]
        same &= theirs.get("model", {}).get("name") == recipe.model.name
        if same and stage - 1 in run.finished_stages():
            found.append(run)
    return found


def _shown(recipe: Recipe, stage: int, key: str, found: dict[str, Any]) -> None:
    lr = recipe.stages[stage].lr
    now = None if lr == "finder" else lr
    chart, list_ = st.columns([3, 2], gap="medium")
    with chart:
        live_chart(rate_curve(found, now), key=f"{key}.chart", height=300)
        st.caption(_about(found))
    with list_:
        if found["words"]:
            st.info(plain(found["words"]), icon=":material/info:")
        for name in SUGGESTIONS:
            if found[name] is not None:
                _suggestion(stage, key, name, rounded(found[name]), now)


def _suggestion(stage: int, key: str, name: str, rate: float, now: float | None) -> None:
    words, button = st.columns([3, 1], vertical_alignment="center")
    words.markdown(f"**{name.capitalize()} {fmt.rate(rate)}**  \n:small[{SAID[name]}]")
    button.button(
        "Taken" if rate == now else "Take it", key=f"{key}.take.{name}", width="stretch",
        disabled=rate == now, on_click=_take, args=(stage, rate),
        help=f"Stage {stage + 1} then peaks at {fmt.rate(rate)}.",
    )  # fmt: skip


def _take(stage: int, value: float | str) -> None:
    """Callback: put a rate, or `finder`, into the stage."""
    _, rows = editing.current()
    if stage < len(rows):
        editing.put_value(("stages", rows[stage], "lr"), value, anew=True)


def rounded(rate: float) -> float:
    """Two digits: more of them would pretend to know."""
    return float(f"{rate:.2g}")


def _about(found: dict[str, Any]) -> str:
    size = found["size"]
    height, width = (size, size) if isinstance(size, int) else size
    run, _, after = str(found["at"]).removeprefix("run ").partition(" stage ")
    where = f"the weights of {run} after stage {int(after) + 1}" if after else run
    return plain(
        f"{len(found['lrs'])} steps in {fmt.minutes(found['seconds'])} at "
        f"{fmt.size(height, width)}, batch {found['batch']}, from {where}."
    )
