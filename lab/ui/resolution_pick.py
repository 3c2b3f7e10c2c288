"""Which picture "What resolution does" looks at: a filter, a page of thumbnails.

row = pick(seen)          # a row of seen.said; None where the filter leaves no picture
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st

from lab.errors import LabError
from lab.runs.arrays import DAMAGED
from lab.runs.folder import RunFolder
from lab.ui import format as fmt
from lab.ui import pictures, state
from lab.ui.evidence import Evidence, picked
from lab.ui.gallery import Group, Thumb, gallery
from lab.ui.inspected import Looked

PAGE = 12
FILTERS = {
    "changes": "Answer changes with size",
    "wrong": "Wrong",
    "unsure": "Least certain",
    "all": "All",
}


def pick(seen: Looked) -> int | None:
    """Draw the choice; the chosen row, shared with the other parts of the page."""
    different = answers_by_row(seen.run, seen.said)
    rows = {kind: _rows(seen.said, kind, different) for kind in FILTERS}
    kind = st.segmented_control(
        "Show", list(FILTERS), default="changes" if len(rows["changes"]) else "wrong",
        format_func=lambda kind: _label(kind, len(rows[kind])), required=True,
        key=f"resolution.filter.{seen.here}", persist_state="session",
    )  # fmt: skip
    found = rows[kind]
    if not len(found):
        st.write("There are no such pictures.")
        return None
    key = f"inspect.row.{seen.here}"
    row = st.session_state.get(key)
    if row not in found:
        row = int(found[0])
    shown = _page(found, f"resolution.page.{seen.here}.{kind}")
    clicked = _gallery(seen, shown, row, different)
    if clicked is not None and clicked != row:
        st.session_state[key] = clicked
        st.rerun(scope="fragment")
    return row


def answers_by_row(run: RunFolder, said: Evidence) -> np.ndarray:
    """How many different answers the stored predictions of all stages and sizes give: (n,)."""
    files = []
    for stage in run.finished_stages():
        info = run.scores(stage)
        sizes = {tuple(info["size"]), tuple(info["final_size"])}
        files += [run.predictions / f"s{stage}-{h}x{w}.npz" for h, w in sorted(sizes)]
    known = tuple((str(file), stamp) for file in files if (stamp := _changed(file)))
    return _different(known, said.item)


@st.cache_data(max_entries=16, show_spinner=False)
def _different(files: tuple[tuple[str, int], ...], items: np.ndarray) -> np.ndarray:
    answers = []
    for file, _ in files:
        try:
            with np.load(file, allow_pickle=False) as stored:
                order = np.argsort(stored["item"], kind="stable")
                known, tops = stored["item"][order], stored["probs"].argmax(axis=1)[order]
        except DAMAGED:
            continue
        at = np.minimum(np.searchsorted(known, items), len(known) - 1)
        answers.append(np.where(known[at] == items, tops[at], -1))
    if not answers:
        return np.ones(len(items), int)
    table = np.sort(np.stack(answers), axis=0)
    return 1 + ((np.diff(table, axis=0) != 0) & (table[:-1] >= 0)).sum(axis=0)


def _rows(said: Evidence, kind: str, different: np.ndarray) -> np.ndarray:
    if kind == "changes":
        order = np.argsort(-different, kind="stable")
        return order[different[order] > 1]
    return picked(said, kind, said.beta)


def _label(kind: str, n: int) -> str:
    return f"{FILTERS[kind]} ({fmt.count(n)})" if kind in ("changes", "wrong") else FILTERS[kind]


def _page(rows: np.ndarray, key: str) -> np.ndarray:
    """One page of the rows, with buttons for the others."""
    pages = -(-len(rows) // PAGE)
    page = min(st.session_state.get(key, 0), pages - 1)
    if pages > 1:
        words, earlier, later = st.columns([3, 1, 1], vertical_alignment="bottom")
        if earlier.button("Earlier", key="resolution.earlier", disabled=not page, width="stretch"):
            page -= 1
        last = page >= pages - 1
        if later.button("More", key="resolution.later", disabled=last, width="stretch"):
            page += 1
        words.caption(
            f"{page * PAGE + 1} to {min((page + 1) * PAGE, len(rows))} of {fmt.count(len(rows))}"
        )
    st.session_state[key] = page
    return rows[page * PAGE : (page + 1) * PAGE]


def _gallery(seen: Looked, rows: np.ndarray, chosen: int, different: np.ndarray) -> int | None:
    """The row that was clicked just now."""
    said = seen.said
    items = tuple(int(said.item[row]) for row in rows)
    thumbs = [
        _thumb(said, int(row), source, int(row) == chosen, int(different[row]))
        for row, source in zip(rows, _sources(seen, items))
    ]
    item = gallery([Group("", thumbs)], key="resolution.gallery", clickable=True)
    return None if item is None else int(np.flatnonzero(said.item == item)[0])


def _sources(seen: Looked, items: tuple[int, ...]) -> list[str]:
    dataset = state.dataset_of(seen.recipe)
    if dataset is None or not (stamp := pictures.stamp_of(dataset.id)):
        return [""] * len(items)
    try:
        return pictures.thumbnails(dataset.id, stamp, items)
    except LabError:
        return [""] * len(items)


def _thumb(said: Evidence, row: int, source: str, chosen: bool, different: int) -> Thumb:
    answer, truth, names = int(said.plain[row].argmax()), int(said.target[row]), said.classes
    right = answer == truth
    alt = f"Picture {said.item[row]}: true {names[truth]}, answer {names[answer]}"
    caption = f"{different} answers" if different > 1 else ("✓" if right else "✗")
    return Thumb(int(said.item[row]), source, alt, caption, "good" if right else "bad", chosen)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
