"""Published runs on the Runs page: a short list, and one of them opened, read-only and replayable.

if reference_runs.shown():        # one is in the address; the page is drawn
    st.stop()
reference_runs.listing()          # at the end of the page
"""

from __future__ import annotations

import streamlit as st

from lab.analysis.published import (
    PublishedRun,
    is_published,
    published_run,
    published_runs,
    recipe_of,
)
from lab.data.csvsafe import safe_csv
from lab.errors import LabError
from lab.ui import format as fmt
from lab.ui import replay, run_view, state
from lab.ui.epoch_table import plain_table
from lab.ui.messages import plain


def shown() -> bool:
    """Draw the published run that the address names; False where it names none."""
    wanted = st.query_params.get("run", "")
    if not is_published(wanted):
        return False
    try:
        run = published_run(wanted)
    except LabError:
        _close()
        return False
    _page(run)
    return True


def listing() -> None:
    """All of them, each with its source and its outcome."""
    st.subheader("Published runs")
    st.caption("Epoch tables that others have printed. Read-only; open one to see it replayed.")
    for run in published_runs():
        with st.container(border=True, key=f"{run.id}.row"):
            left, right = st.columns([6, 1], vertical_alignment="center")
            left.markdown(f"**{plain(run.name)}**  \n{plain(f'{outcome(run)} {run.dataset}.')}")
            left.caption(source_words(run))
            if right.button("Open", key=f"runs.open.{run.id}", width="stretch"):
                _open(run)
                st.rerun()


def outcome(run: PublishedRun) -> str:
    """`10 epochs in 8:39, at the end 13.7 % of 2 678 pictures wrong.`"""
    n = sum(stage.epochs for stage in run.stages)
    took = f" in {fmt.minutes(run.seconds)}" if run.seconds is not None else ""
    of = f" of {fmt.count(run.n_valid)} pictures" if run.n_valid else ""
    wrong = f"at the end {fmt.percent(run.error_rate)}{of} wrong"
    return f"{n} epochs{took}, {wrong}."


def setup_words(run: PublishedRun) -> str:
    """`4 epochs at 128 px, then 6 at 224 px. Imagenette ...; 2 678 images validate. ...`"""
    parts = [
        f"{stage.epochs} epochs at {fmt.size(stage.size, stage.size)}"
        + (f" ({stage.trainable} alone)" if stage.trainable != "everything" else "")
        for stage in run.stages
    ]
    held = f"; {fmt.count(run.n_valid)} images validate" if run.n_valid else ""
    return f"{', then '.join(parts)}. {run.dataset}{held}. Network: {run.network}."


def source_words(run: PublishedRun) -> str:
    """Authors and title, with a link where there is one, as Markdown."""
    by = f"{plain(run.source.authors)}: " if run.source.authors else ""
    title = plain(run.source.title)
    return f"{by}[{title}]({run.source.url})" if run.source.url else f"{by}{title}"


def _page(run: PublishedRun) -> None:
    _top(run)
    st.markdown(plain(setup_words(run)))
    st.caption(
        f"Source: {source_words(run)}. Machine: {plain(run.hardware)}, so its times say nothing "
        "about yours. Error rates are at each stage's own size."
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        view = run_view.view_controls()
        st.download_button(
            "Epochs as CSV", safe_csv(plain_table(run.epochs)), f"{run.id.partition(':')[2]}.csv",
            "text/csv", key="runs.csv.published", on_click="ignore", icon=":material/download:",
        )  # fmt: skip
        if st.button(
            "Plan this schedule", key="runs.published.plan", icon=":material/stairs:",
            help="Its sizes and epochs as a draft of your own, on your pictures.",
        ):  # fmt: skip
            state.set_draft(recipe_of(run))
            st.switch_page("pages/schedule.py")
    replay.screen(replay.of_published(run), view, start=float(run.epochs["global_epoch"].max() + 1))
    st.subheader("What came of it")  # below: whoever replays it for a class does not tell the end
    st.markdown(f"**{plain(outcome(run))}** {plain(run.words)}")


def _top(run: PublishedRun) -> None:
    """Whose run it is, and the way back."""
    if st.button("Back to your runs", key="runs.published.back", icon=":material/arrow_back:"):
        _close()
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(run.name, width="content")
        st.badge("Published, not yours", icon=":material/menu_book:", color="gray")


def _open(run: PublishedRun) -> None:
    replay.close()
    st.query_params["run"] = run.id


def _close() -> None:
    replay.close()
    st.query_params.pop("run", None)
