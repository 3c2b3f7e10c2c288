"""Inspect: everything that a trained stage can be asked, part by part."""

import streamlit as st

from lab.ui import (
    choose,
    inspect_all,
    inspect_confidence,
    inspect_mistakes,
    inspect_picture,
    inspect_resolution,
)
from lab.ui.evidence import evidence
from lab.ui.inspected import Looked
from lab.ui.messages import guard, plain

PARTS = {
    "picture": ("One picture", inspect_picture.panel),
    "all": ("Over all pictures", inspect_all.panel),
    "confidence": ("Confidence", inspect_confidence.panel),
    "mistakes": ("Mistakes", inspect_mistakes.panel),
    "resolution": ("Resolution", inspect_resolution.panel),
}

st.title("What does it see, and when does another look help?")
with guard():
    run, stage, info = choose.run_and_stage("inspect")
    recipe = run.recipe()
said = evidence(run, stage)
if said is None:
    st.error(
        "**The predictions of this stage cannot be read.** Choose another stage, or score it "
        f"again: `python -m lab evaluate {plain(run.id)} --stage {stage}`",
        icon=":material/error:",
    )
    st.stop()
part = st.segmented_control(
    "Part", list(PARTS), format_func=lambda name: PARTS[name][0], key="part", default="picture",
    bind="query-params", required=True, label_visibility="collapsed", wrap=True,
)  # fmt: skip
second = info["model"].get("second_target")
if second and part != "mistakes":
    first = info["model"].get("target") or "the first label"
    st.caption(plain(f"It learnt two labels. Here is {first}; for {second} see Mistakes."))
with guard():
    PARTS[part][1](Looked(run, stage, info, recipe, said, f"{run.id}.{stage}"))
