"""Changes to all stages at once: values that grow with the stages, half the rate at every new size.

stage_tools(recipe)
"""

from __future__ import annotations

import streamlit as st

from lab.errors import LabError
from lab.recipe import Recipe
from lab.schedules.growth import halved_rates, spread, spread_over
from lab.ui import editing
from lab.ui.messages import plain, show_error

SPREADABLE = {
    "augment.rand_magnitude": ("RandAugment strength", 5.0, 15.0),
    "augment.mixup": ("MixUp", 0.0, 0.2),
    "augment.cutmix": ("CutMix", 0.0, 1.0),
    "dropout": ("Dropout", 0.1, 0.3),
    "label_smoothing": ("Label smoothing", 0.0, 0.1),
}


def stage_tools(recipe: Recipe) -> None:
    """A popover with both."""
    box = st.popover(
        "Over all stages", icon=":material/stacked_line_chart:", key="schedule.over_stages",
        on_change="rerun", disabled=len(recipe.stages) < 2,
        help="For two or more stages: regularisation that grows with the size, or falling rates.",
    )  # fmt: skip
    with box:
        if not box.open:
            return
        st.markdown("**Grow with the stages.** Small pictures need little regularisation, large "
                    "ones much (EfficientNetV2).")  # fmt: skip
        name = st.selectbox(
            "What grows", list(SPREADABLE), key="schedule.spread.name",
            format_func=lambda name: SPREADABLE[name][0],
        )  # fmt: skip
        _, low, high = SPREADABLE[name]
        with st.container(horizontal=True):
            first = st.number_input("First stage", 0.0, 30.0, low, key=f"schedule.spread.{name}.a")
            last = st.number_input("Last stage", 0.0, 30.0, high, key=f"schedule.spread.{name}.b")
        steps = spread(first, last, len(recipe.stages))
        st.caption("Stage by stage: " + ", ".join(f"{value:.3g}" for value in steps))
        st.button("Set it", key="schedule.spread.set", on_click=_spread, args=(name, first, last))
        if problem := st.session_state.get("schedule.spread.problem"):
            show_error(problem)
        st.divider()
        st.markdown("**Half the rate at every new size**, from the first stage's on.")
        rates = [stage.lr for stage in halved_rates(recipe).stages]
        shown = ", ".join(lr if lr == "finder" else f"{lr:.2g}" for lr in rates)
        st.caption(plain(f"Stage by stage: {shown}"))
        st.button("Halve them", key="schedule.halve", on_click=_halve)


def _spread(name: str, first: float, last: float) -> None:
    recipe, _ = editing.current()
    st.session_state["schedule.spread.problem"] = None
    try:
        editing.load(spread_over(recipe, name, first, last))
    except LabError as error:
        st.session_state["schedule.spread.problem"] = error


def _halve() -> None:
    recipe, _ = editing.current()
    editing.load(halved_rates(recipe))
