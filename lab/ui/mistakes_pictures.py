"""Inspect, Mistakes: the pictures behind a number, in pages; a click opens one with its answer.

show(seen, answers, rows, key="mistakes.losses", title="...", caption=lambda row: ("✗ rust", "bad"))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from lab.analysis.metrics import log_losses
from lab.analysis.mistakes import Answers
from lab.errors import LabError
from lab.ui import charts, pictures, state
from lab.ui import format as fmt
from lab.ui.gallery import Group, Thumb, gallery
from lab.ui.live_chart import live_chart
from lab.ui.messages import plain
from lab.ui.mistakes_seen import Seen

PAGE = 24
SIDE_PX, LARGE_PX = 112, 320
Caption = Callable[[int], tuple[str, str]]  # row -> words, tone


def answer_caption(seen: Seen, answers: Answers) -> Caption:
    """`✗ rust 71 %` or `✓ 92 %`."""

    def caption(row: int) -> tuple[str, str]:
        said = int(answers.probs[row].argmax())
        share = fmt.percent(float(answers.probs[row, said]), 0)
        right = said == answers.target[row]
        return (f"✓ {share}", "good") if right else (f"✗ {seen.classes[said]} {share}", "bad")

    return caption


def show(
    seen: Seen,
    answers: Answers,
    groups: Sequence[tuple[str, np.ndarray]],
    key: str,
    caption: Caption | None = None,
) -> None:
    """`groups`: a title and rows of `answers` each, in the order to be shown; within a fragment."""
    caption = caption or answer_caption(seen, answers)
    total = sum(len(rows) for _, rows in groups)
    if not total:
        st.caption("There are no such pictures.")
        return
    first = _page(total, key)
    opened = st.session_state.get(f"{key}.open")
    shown, drawn, at = {}, [], 0
    for title, rows in groups:
        kept = rows[max(first - at, 0) : max(first + PAGE - at, 0)]
        at += len(rows)
        shown |= {int(answers.item[row]): int(row) for row in kept}
        if len(kept):
            thumbs = _thumbs(seen, answers, kept, caption, opened)
            drawn.append(Group(title, thumbs, f"{fmt.count(len(rows))}" if title else ""))
    clicked = gallery(drawn, key=f"{key}.gallery", side_px=SIDE_PX, clickable=True)
    if clicked is not None and clicked != opened:
        st.session_state[f"{key}.open"] = clicked
        st.rerun(scope="fragment")
    if opened in shown:
        _one(seen, answers, shown[opened], key)


def _page(total: int, key: str) -> int:
    """The first place of the page that is open; buttons only where there are several pages."""
    pages = -(-total // PAGE)
    at = min(st.session_state.get(f"{key}.page", 0), pages - 1)
    if pages > 1:
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button("Earlier", key=f"{key}.earlier", disabled=at == 0):
                at -= 1
            if st.button("More", key=f"{key}.more", disabled=at == pages - 1):
                at += 1
            end = min((at + 1) * PAGE, total)
            st.caption(f"{at * PAGE + 1} to {end} of {fmt.count(total)}", width="content")
    st.session_state[f"{key}.page"] = at
    return at * PAGE


def _thumbs(
    seen: Seen, answers: Answers, rows: np.ndarray, caption: Caption, opened: int | None
) -> list[Thumb]:
    items = tuple(int(item) for item in answers.item[rows])
    found = []
    for row, item, source in zip(rows, items, _sources(seen.dataset_id, items)):
        text, tone = caption(int(row))
        truth = seen.classes[answers.target[row]]
        alt = f"Picture {item}: labelled {truth}, {text}"
        found.append(Thumb(item, source, alt, text, tone, item == opened))
    return found


def _sources(dataset_id: str, items: tuple[int, ...]) -> Sequence[str]:
    stamp = pictures.stamp_of(dataset_id) if dataset_id else 0
    try:
        return pictures.thumbnails(dataset_id, stamp, items) if stamp else [""] * len(items)
    except LabError:
        return [""] * len(items)


def _one(seen: Seen, answers: Answers, row: int, key: str) -> None:
    """The picture that was clicked, large, with its name and all that the answer says."""
    item, truth = int(answers.item[row]), seen.classes[answers.target[row]]
    loss = float(log_losses(answers.probs[row][None], answers.target[row][None])[0])
    with st.container(border=True, key=f"{key}.one"):
        left, right = st.columns([1, 1], gap="medium")
        picture = _large(seen.dataset_id, item)
        if picture is not None:
            left.image(picture, width=LARGE_PX)
        else:
            left.caption("The picture is not here.")
        name = seen.file_names().get(item, f"picture {item}")
        right.markdown(
            f"{plain(name)}  \nLabelled **{plain(truth)}**; log loss {fmt.decimal(loss, 2)}."
        )
        with right:
            bars = charts.probability_bars(list(seen.classes), answers.probs[row].tolist(), truth)
            live_chart(bars, key=f"{key}.bars", height=40 + 30 * min(5, len(seen.classes)))
            if st.button("Close", key=f"{key}.close"):
                del st.session_state[f"{key}.open"]
                st.rerun(scope="fragment")


def _large(dataset_id: str, item: int):
    try:
        dataset = state.opened(dataset_id, pictures.stamp_of(dataset_id)) if dataset_id else None
    except LabError:
        return None
    return pictures.original(dataset, item, LARGE_PX) if dataset is not None else None
