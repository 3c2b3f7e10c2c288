"""Inspect, picture by picture: a gallery to choose from, and every look at the chosen one.

Numbers are those that were stored with the run; the pictures come from the helper, which makes the
same views again. Where the two disagree the page says so. Pictures of one's own have no stored
numbers: all of theirs come from the helper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lab.data.dataset import read_header
from lab.errors import LabError
from lab.jobs import helper_client
from lab.recipe import Recipe
from lab.runs.folder import RunFolder
from lab.ui import format as fmt
from lab.ui import pictures, state
from lab.ui.evidence import Evidence
from lab.ui.gallery import Group, Thumb, gallery
from lab.ui.inspected import Looked
from lab.ui.look_choices import Chosen
from lab.ui.messages import plain, show_error
from lab.ui.palette import recipe_sides, size_colour
from lab.ui.views import UNKNOWN, Look, views

PAGE_SIZE = 24
# Of a probability. fp32: the same network on another machine or batch differs by less; in half
# precision a batch of one and one of 64 round differently.
AGREE, AGREE_HALF = 1e-3, 0.03
_WAIT_S = 60.0
Made = tuple[dict[str, Any], list[bytes]]


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


def show_looks(seen: Looked, chosen: Chosen, row: int) -> None:
    """Truth, plain answer, every view and the growing average of one validation picture."""
    said = chosen.said
    stored = said.views[row] if said.views is not None else None
    k = chosen.count if stored is None else len(stored)
    asked = (seen.run.id, seen.stage, chosen.family, k, int(said.item[row]))
    made = from_helper(lambda: _views_of(str(state.workspace().root), *asked))
    if made and stored is not None:
        _compare(said, row, made[0])
    if stored is None and made is None:
        return
    looks = _stored_looks(said, row, made) if stored is not None else made_looks(made)
    draw(seen, chosen, looks, int(said.target[row]))


def _stored_looks(said: Evidence, row: int, made: Made | None) -> list[Look]:
    """What is stored, with the helper's pictures where they came."""
    titles = ("Plain picture", *said.titles)
    probs = [said.plain[row], *said.views[row]]
    sizes, pngs = (made[0].get("sizes", []), made[1]) if made else ([], [])
    return [
        Look(
            title, np.asarray(p), pngs[at] if at < len(pngs) else None,
            tuple(sizes[at]) if at < len(sizes) else None,
        )
        for at, (title, p) in enumerate(zip(titles, probs))
    ]  # fmt: skip


def made_looks(made: Made) -> list[Look]:
    """What the helper says, with its pictures."""
    values, pngs = made
    titles = ["Plain picture", *values["titles"]]
    probs = [values["plain"], *values["views"]]
    return [
        Look(title, np.asarray(p), png, tuple(size))
        for title, p, png, size in zip(titles, probs, pngs, values["sizes"])
    ]


def draw(seen: Looked, chosen: Chosen, looks: Sequence[Look], truth: int) -> None:
    """The component, and above it the sentence of how it begins."""
    probs = np.stack([look.probs for look in looks])
    whole = Evidence(seen.said.size, seen.said.classes, np.zeros(1), np.array([truth]),
                     probs[:1], probs[None, 1:])  # fmt: skip
    average = whole.average(chosen.beta, chosen.way)[0]
    st.markdown(verdict(seen.said.classes, truth, probs[0], average))
    views(
        looks, seen.said.classes, truth, size=seen.said.size, way=chosen.way, beta=chosen.beta,
        colour=size_colour(seen.said.size, [*recipe_sides(seen.recipe), seen.recipe.final_hw]),
        key="inspect.views",
    )  # fmt: skip


def verdict(
    classes: Sequence[str], truth: int, plain_probs: np.ndarray, average: np.ndarray
) -> str:
    """`True: rust. The plain picture alone says scab, together with the views rust: corrected.`"""
    one, other = int(plain_probs.argmax()), int(average.argmax())
    plain_part = f"**{plain(classes[one])}** ({fmt.percent(float(plain_probs[one]))})"
    with_part = f"**{plain(classes[other])}** ({fmt.percent(float(average[other]))})"
    both = f"The plain picture alone says {plain_part}, together with the views {with_part}"
    if truth == UNKNOWN:
        return f"{both}: **{'the same answer' if one == other else 'it flipped'}**."
    outcomes = {
        (True, True): "right both times",
        (False, True): "corrected",
        (True, False): "corrupted: it was right before",
        (False, False): "wrong both times",
    }
    outcome = outcomes[one == truth, other == truth]
    return f"True: **{plain(classes[truth])}**. {both}: **{outcome}**."


def helper_is_ready() -> bool:
    """Whether the model process is up; if not, it is started without waiting for it."""
    try:
        if helper_client.is_warm(state.workspace()):
            return True
        helper_client.start(state.workspace())
    except LabError:
        return False
    return False


def from_helper(call: Any) -> Made | None:
    """The views as pictures, with what the network says of them now; None with words instead."""
    if not helper_is_ready():
        st.caption("The pictures of the views come as soon as the model is loaded …")
        return None
    try:
        made = call()
    except LabError as error:
        show_error(error)
        return None
    if note := made[0].get("note"):
        st.caption(plain(note))
    return made


@st.cache_data(max_entries=48, show_spinner="Making the views …")
def _views_of(root: str, run_id: str, stage: int, family: str, k: int, item: int) -> Made:
    asked = {"run": run_id, "stage": stage, "family": family, "views": k, "item": item}
    return helper_client.call(state.workspace(), "tta_image", asked, timeout=_WAIT_S)


@st.cache_data(max_entries=48, show_spinner="Making the views …")
def views_of_upload(
    root: str, run_id: str, stage: int, family: str, k: int, name: str, data: bytes
) -> Made:
    """The same for a picture file of one's own. Raises LabError for what is no picture."""
    asked = {"run": run_id, "stage": stage, "family": family, "views": k, "name": name}
    return helper_client.call(state.workspace(), "tta_upload", asked, timeout=_WAIT_S, blobs=[data])


def _compare(said: Evidence, row: int, values: dict[str, Any]) -> None:
    """Say so where the pictures are not those that the stored numbers belong to."""
    now = np.asarray([values["plain"], *values["views"]], np.float64)
    stored = np.stack([said.plain[row], *said.views[row]])
    worst = float(np.abs(now - stored).max()) if now.shape == stored.shape else 1.0
    halved = {said.precision, values.get("precision", "fp32")} != {"fp32"}
    if worst > (AGREE_HALF if halved else AGREE):
        st.warning(
            f"**These pictures do not match the stored numbers** (they differ by up to "
            f"{fmt.percent(worst)}). The bars show what was stored. Look again to make both anew.",
            icon=":material/warning:",
        )
