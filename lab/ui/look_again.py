"""Inspect, picture by picture: a gallery to choose from, and every look at the chosen one.

Numbers are those that were stored with the run; the pictures come from the helper, which makes the
same views again. Where the two disagree the page says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lab.analysis.tta import running_averages
from lab.data.dataset import read_header
from lab.errors import LabError
from lab.jobs import helper_client
from lab.recipe import Recipe
from lab.runs.folder import RunFolder
from lab.ui import format as fmt
from lab.ui import pictures, state
from lab.ui.evidence import Evidence
from lab.ui.gallery import Group, Thumb, gallery
from lab.ui.messages import plain, show_error
from lab.ui.palette import recipe_sides, size_colour
from lab.ui.views import Look, views

PAGE_SIZE = 24
ENOUGH = 0.05  # p below which a difference is called more than chance
AGREE = 1e-3  # of a probability: the same network on another machine or batch differs by less
_WAIT_S = 60.0


def summary(report: dict[str, Any]) -> None:
    """Scores without and with the views, what changed, and what that is worth, in words."""
    before, after = report["plain"], report["tta"]
    one, two, three, four = st.columns(4)
    one.metric(
        "Accuracy with views", fmt.percent(after["accuracy"]),
        _delta(fmt.points(after["accuracy"] - before["accuracy"])),
        delta_description=f"from {fmt.percent(before['accuracy'])}",
    )  # fmt: skip
    two.metric(
        "Log loss with views", fmt.decimal(after["log_loss"]),
        f"{after['log_loss'] - before['log_loss']:+.3f}", delta_color="inverse",
        delta_description=f"from {fmt.decimal(before['log_loss'])}",
        help="How little probability the true classes get; lower is better.",
    )  # fmt: skip
    three.metric(
        "Corrected", fmt.count(report["corrected"]), help="Wrong before, right with views."
    )
    four.metric("Corrupted", fmt.count(report["corrupted"]), help="Right before, wrong with views.")
    st.write(summary_words(report))


def summary_words(report: dict[str, Any]) -> str:
    """The verdict of exact McNemar on corrected against corrupted, with its cost."""
    right, wrong, p = report["corrected"], report["corrupted"], report["p"]
    views, n = report["views"], report["n"]
    price = f"Each answer takes {views + 1} looks instead of one."
    changed = f"Of {fmt.count(n)} pictures it corrected {right} and corrupted {wrong}"
    shown = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    if not right + wrong:
        return f"No answer changed among {fmt.count(n)} pictures. {price}"
    if p >= ENOUGH:
        return (
            f"{changed}: **not enough evidence** that looking again changes the error rate "
            f"(exact McNemar test, {shown}). {price}"
        )
    verb = "helps" if right > wrong else "hurts"
    return f"{changed}: more than chance explains, it **{verb}** here ({shown}). {price}"


def dataset_of(run: RunFolder, recipe: Recipe) -> str:
    """The data set that the item numbers belong to; '' with words where it is gone or changed."""
    dataset = state.dataset_of(recipe)
    trained_on = run.resolved().get("data") or (dataset.fingerprint if dataset else "")
    if dataset is not None and trained_on == dataset.fingerprint:
        return dataset.id
    # The same pictures may be here under another name, such as leaves of an earlier version.
    place = state.workspace().datasets
    for folder in place.iterdir() if place.is_dir() and trained_on else ():
        if (read_header(folder) or {}).get("fingerprint") == trained_on:
            return folder.name
    gone = "have changed since it was trained" if dataset else "are not here (any more)"
    st.warning(f"**Its pictures {gone}:** only the numbers are shown.", icon=":material/warning:")
    return ""


def turn_pages(n: int, key: str, places: Sequence[DeltaGenerator]) -> int:
    """Which page of thumbnails, from 0. `places`: for the words and the two buttons."""
    pages = -(-n // PAGE_SIZE)
    page = min(st.session_state.get(key, 0), pages - 1)
    if pages > 1:
        words, earlier, later = places
        if earlier.button("Earlier", key="inspect.earlier", disabled=page == 0, width="stretch"):
            page -= 1
        last = page >= pages - 1
        if later.button("More", key="inspect.later", disabled=last, width="stretch"):
            page += 1
        first = page * PAGE_SIZE
        words.caption(f"{first + 1} to {min(first + PAGE_SIZE, n)} of {fmt.count(n)}")
    st.session_state[key] = page
    return page


def choose_picture(
    said: Evidence, rows: np.ndarray, average: np.ndarray, dataset_id: str, page: int, chosen: int
) -> int | None:
    """A page of thumbnails; the row of `said` that was clicked just now."""
    shown = rows[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
    items = tuple(int(item) for item in said.item[shown])
    sources = _thumbnails(dataset_id, items)
    thumbs = [
        _thumb(said, average, int(row), source, int(row) == chosen)
        for row, source in zip(shown, sources)
    ]
    item = gallery([Group("", thumbs)], key="inspect.gallery", clickable=True)
    return None if item is None else int(np.flatnonzero(said.item == item)[0])


def _thumbnails(dataset_id: str, items: tuple[int, ...]) -> Sequence[str]:
    stamp = pictures.stamp_of(dataset_id)
    if not stamp:
        return [""] * len(items)
    try:
        return pictures.thumbnails(dataset_id, stamp, items)
    except LabError:
        return [""] * len(items)


def _thumb(said: Evidence, average: np.ndarray, row: int, source: str, chosen: bool) -> Thumb:
    answer, truth = int(average[row].argmax()), int(said.target[row])
    right = answer == truth
    names = said.classes
    share = fmt.percent(float(average[row, answer]), 0)
    alt = f"Picture {said.item[row]}: true {names[truth]}, answer {names[answer]} ({share})"
    caption = f"✓ {share}" if right else f"✗ {names[answer]}"
    return Thumb(int(said.item[row]), source, alt, caption, "good" if right else "bad", chosen)


def show_looks(run: RunFolder, stage: int, said: Evidence, row: int, beta: float, k: int) -> None:
    """Truth, plain answer, every view and the growing average of one picture."""
    item, truth, names = int(said.item[row]), int(said.target[row]), said.classes
    found = _from_helper(run, stage, item, len(said.views[row]) if said.views is not None else k)
    seen = said.views[row] if said.views is not None else None
    pngs: Sequence[bytes | None] = ()
    if found:
        values, pngs = found
        seen = np.asarray(values["views"], np.float32) if seen is None else seen
        _compare(said.plain[row], seen, values)
    if seen is None:
        return
    probs = [said.plain[row], *seen]
    pngs = [*pngs, *[None] * len(probs)][: len(probs)]
    running = running_averages(said.plain[row][None], seen[None], beta)[0]
    st.markdown(verdict(names, truth, said.plain[row], running[-1]))
    looks = [
        Look("Plain picture" if at == 0 else f"View {at}", np.asarray(p), png)
        for at, (p, png) in enumerate(zip(probs, pngs))
    ]
    colour = size_colour(said.size, _sides(run))
    views(looks, running, names, truth, size=said.size, colour=colour, key="inspect.views")


def verdict(
    classes: Sequence[str], truth: int, plain_probs: np.ndarray, average: np.ndarray
) -> str:
    """`True: rust. The plain picture alone says scab, together with the views rust: corrected.`"""
    one, other = int(plain_probs.argmax()), int(average.argmax())
    plain_part = f"**{plain(classes[one])}** ({fmt.percent(float(plain_probs[one]))})"
    with_part = f"**{plain(classes[other])}** ({fmt.percent(float(average[other]))})"
    outcomes = {
        (True, True): "right both times",
        (False, True): "corrected",
        (True, False): "corrupted: it was right before",
        (False, False): "wrong both times",
    }
    outcome = outcomes[one == truth, other == truth]
    return (
        f"True: **{plain(classes[truth])}**. The plain picture alone says {plain_part}, "
        f"together with the views {with_part}: **{outcome}**."
    )


def helper_is_ready() -> bool:
    """Whether the model process is up; if not, it is started without waiting for it."""
    try:
        if helper_client.is_warm(state.workspace()):
            return True
        helper_client.start(state.workspace())
    except LabError:
        return False
    return False


def _from_helper(
    run: RunFolder, stage: int, item: int, k: int
) -> tuple[dict[str, Any], list[bytes]] | None:
    """The views as pictures, with what the network says of them now; None with words instead."""
    if not helper_is_ready():
        st.caption("The pictures of the views come as soon as the model is loaded …")
        return None
    try:
        return _views_of(str(state.workspace().root), run.id, stage, item, k)
    except LabError as error:
        show_error(error)
        return None


@st.cache_data(max_entries=48, show_spinner="Making the views …")
def _views_of(
    root: str, run_id: str, stage: int, item: int, k: int
) -> tuple[dict[str, Any], list[bytes]]:
    asked = {"run": run_id, "stage": stage, "item": item, "views": k}
    return helper_client.call(state.workspace(), "tta_image", asked, timeout=_WAIT_S)


def _compare(plain_probs: np.ndarray, seen: np.ndarray, values: dict[str, Any]) -> None:
    """Say so where the pictures are not those that the stored numbers belong to."""
    now = np.asarray([values["plain"], *values["views"]], np.float64)
    stored = np.stack([plain_probs, *seen])
    worst = float(np.abs(now - stored).max()) if now.shape == stored.shape else 1.0
    if worst > AGREE:
        st.warning(
            f"**These pictures do not match the stored numbers** (they differ by up to "
            f"{fmt.percent(worst)}). The bars show what was stored. Look again to make both anew.",
            icon=":material/warning:",
        )
    if values.get("note"):
        st.caption(plain(values["note"]))


def _sides(run: RunFolder) -> list[Any]:
    try:
        recipe = run.recipe()
    except LabError:
        return []
    return [*recipe_sides(recipe), recipe.final_hw]


def _delta(text: str) -> str:
    """Streamlit reads the sign from an ordinary minus."""
    return text.replace("−", "-")
