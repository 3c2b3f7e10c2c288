"""Predict: what a trained network says of pictures that it has never seen."""

import streamlit as st

from lab.ui import (
    choose,
    predict_ask,
    predict_batch,
    predict_folder,
    predict_results,
    predict_sources,
    predict_submission,
    tasks,
)
from lab.ui.messages import guard, plain

st.title("What does it say about new pictures?")
with guard():
    run, stage, info = choose.run_and_stage("predict")
    recipe = run.recipe()
predict_ask.wake()
views, beta = max(recipe.evaluation.tta_views, 1), recipe.evaluation.tta_beta
tta = st.toggle(
    f"Look again through {views} view{'s' if views > 1 else ''}, and average",
    key="predict.tta", persist_state="session",
    help="Test-time augmentation, as in training: random views of each picture. The plain picture "
    f"weighs {beta:g} and the views share the rest; it takes {views + 1} looks instead of one.",
)  # fmt: skip

# Pictures in
batch = predict_batch.current()
predict_sources.offer(batch, run.id, stage, tta)
done = tasks.watch(predict_sources.SLOT, predict_sources.KINDS, {"run": run.id, "stage": stage})
if done:
    predict_folder.remember(done["task"])
    st.rerun()

# Answers out
if len(batch):
    title, button = st.columns([5, 1], vertical_alignment="bottom")
    title.subheader(f"Your {predict_sources.count_words(batch)}", anchor=False)
    if button.button("Clear", key="predict.clear", width="stretch", icon=":material/delete:"):
        predict_batch.clear()
        predict_ask.forget()
        st.rerun()
    found = predict_ask.answered(batch, run.id, stage, tta)
    if found is not None:
        thumbs = predict_ask.thumbs(batch, run.id, stage, tta)
        predict_results.show(found, thumbs.__getitem__, "predict.upload")
        predict_submission.offer(found, "predict.upload")
predict_folder.show(run.id, stage)
if not len(batch) and not predict_folder.chosen():
    classes = info["model"]["classes"]
    named = ", ".join(plain(name) for name in classes[:8])
    more = f" and {len(classes) - 8} more" if len(classes) > 8 else ""
    st.caption(
        f"It knows {named}{more}, and nothing else: of a picture of something else it says one of "
        "these all the same."
    )
