"""Inspect, Mistakes: which classes are mixed up, over the epochs; a cell opens its pictures.

panel(seen)
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from lab.analysis.metrics import confusion
from lab.analysis.mistakes import Answers, confused_pairs, most_confused, pair_words
from lab.ui import format as fmt
from lab.ui import mistakes_pictures
from lab.ui.chart_files import chart_files, csv_button
from lab.ui.charts.confusion import confusion_map
from lab.ui.live_chart import live_chart
from lab.ui.messages import plain
from lab.ui.mistakes_seen import Seen

KEY = "mistakes.matrix"
FEW = 16  # classes that are drawn at first; more of them on wish
STEPS = (FEW, 30, 60, 120)
SENTENCES, BUTTONS = 3, 6
Cell = tuple[int, int]


@st.fragment
def panel(seen: Seen) -> None:
    """Its own fragment: another epoch or cell draws nothing above anew."""
    moment = _moment(seen)
    answers = seen.at(moment)
    table = confusion(*answers.pair)
    wrong = int(table.sum() - np.trace(table))
    plain_then = seen.averaged and moment != seen.moments[-1]
    st.markdown(
        f"{seen.words(moment)}: **{fmt.count(wrong)} of {fmt.count(int(table.sum()))} wrong** "
        f"({fmt.percent(wrong / max(int(table.sum()), 1))})."
        + (" An epoch's answers are always to the plain picture." if plain_then else "")
    )
    left, right = st.columns([3, 2], gap="medium")
    with left:  # on a phone the pictures come right below the map, before the pairs
        _pictures(seen, answers, _matrix(seen, table))
    with right:
        _pairs(seen, table, wrong)


def _moment(seen: Seen):
    """A scrubber over the epochs; it stands at the end at first."""
    last = len(seen.moments) - 1
    if not last:
        return seen.moments[0]
    at = st.select_slider(
        "After which epoch" if not seen.second else "After which stage", range(last + 1), last,
        format_func=lambda place: _tick(seen, place), key=f"{KEY}.moment.{seen.key}",
        help="Every epoch was scored at its own stage's size; the end at the final size. "
        "The arrow keys move it too.",
    )  # fmt: skip
    return seen.moments[at]


def _tick(seen: Seen, place: int) -> str:
    moment = seen.moments[place]
    if place == len(seen.moments) - 1:
        return f"end, {fmt.size(*moment.size)}"
    name = f"stage {moment.stage + 1}" if moment.epoch is None else f"{moment.epoch + 1}"
    return f"{name}, {fmt.size(*moment.size)}"


def _matrix(seen: Seen, table: np.ndarray) -> Cell:
    """The map, and the two boxes that do with the keyboard what a click does."""
    key = f"{KEY}.{seen.key}"
    shares, most = _how(seen)
    shown = most_confused(table, most)
    true_key, said_key = f"{key}.true", f"{key}.answered"
    usual = _worst(table)
    cell = (st.session_state.get(true_key, usual[0]), st.session_state.get(said_key, usual[1]))
    chart = confusion_map(seen.classes, table, shares=shares, shown=shown, chosen=cell)
    longest = min(max((len(seen.classes[number]) for number in shown), default=0), 16)
    height = max(260, 26 * len(shown) + 60 + 6 * longest)
    clicked = live_chart(chart, f"{KEY}.chart", height, clickable=True)
    point = clicked.get("customdata") if clicked else None
    if point and tuple(point) != cell:
        st.session_state[true_key], st.session_state[said_key] = map(int, point)
        st.rerun(scope="fragment")
    st.caption(_key_words(table, shown, shares))
    chart_files(
        f"{KEY}.chart", f"{seen.file}-confusion", f"Confusion matrix, {seen.name}",
        lambda: counts_frame(table, seen.classes),
    )  # fmt: skip
    st.session_state.setdefault(true_key, usual[0])
    st.session_state.setdefault(said_key, usual[1])
    one, other = st.columns(2)
    names, numbers = seen.classes, range(len(seen.classes))
    true = one.selectbox("True class", numbers, format_func=lambda n: names[n], key=true_key)
    said = other.selectbox("Answered", numbers, format_func=lambda n: names[n], key=said_key)
    return true, said


def _how(seen: Seen) -> tuple[bool, int]:
    """Whether cells are shares of their row, and how many classes are drawn."""
    n = len(seen.classes)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        unit = st.segmented_control(
            "Cells show", ["Images", "Per cent of the true class"], default="Images",
            required=True, key=f"{KEY}.unit", persist_state="session",
        )  # fmt: skip
        most = n
        if n > FEW:
            options = [step for step in STEPS if step < n] + ([n] if n <= STEPS[-1] else [])
            most = st.selectbox(
                "Classes", options, key=f"{KEY}.most.{seen.key}", width=220,
                format_func=lambda k: "All of them" if k == n else f"The {k} most mixed up",
            )  # fmt: skip
    return unit != "Images", most


def _worst(table: np.ndarray) -> Cell:
    """The cell with the most mistakes; without any, the first of the diagonal."""
    wrong = table - np.diag(np.diag(table))
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return int(row), int(column)


def _key_words(table: np.ndarray, shown: list[int], shares: bool) -> str:
    what = "per cent of the row" if shares else "images"
    words = f"Rows: the true class. Columns: the answer. Orange is wrong, green is right; {what}. "
    words += "Click a cell to see its pictures, or choose it below."
    if len(shown) < len(table):
        wrong = table - np.diag(np.diag(table))
        inside = int(wrong[np.ix_(shown, shown)].sum())
        words += (
            f" Drawn: {len(shown)} of {len(table)} classes, with {fmt.count(inside)} of "
            f"{fmt.count(int(wrong.sum()))} mistakes. The CSV has all."
        )
    return words


def counts_frame(table: np.ndarray, classes: tuple[str, ...]) -> pd.DataFrame:
    """All counts: the first column is the true class, a column an answer."""
    frame = pd.DataFrame(table)
    frame.columns = [f"answered {name}" for name in classes]
    frame.insert(0, "true class", list(classes), allow_duplicates=True)
    return frame


def _pairs(seen: Seen, table: np.ndarray, wrong: int) -> None:
    st.markdown("**Most often mixed up**")
    pairs = confused_pairs(table, seen.classes)
    if not len(pairs):
        st.caption("Nothing: every answer is right.")
        return
    for pair in pairs.head(SENTENCES).itertuples():
        st.markdown(f"- {plain(pair_words(pair, wrong))}")
    st.caption("See the pictures of:")
    with st.container(horizontal=True, gap="small"):
        for place, pair in enumerate(pairs.head(BUTTONS).itertuples()):
            st.button(
                f"{plain(_short(pair.a))} as {plain(_short(pair.b))} ({pair.a_as_b})",
                key=f"{KEY}.pair.{place}", on_click=_choose, args=(seen, pair.one, pair.other),
            )  # fmt: skip
    with st.expander(f"All pairs ({fmt.count(len(pairs))})"):
        _pair_table(seen, pairs)


def _pair_table(seen: Seen, pairs: pd.DataFrame) -> None:
    shown = pd.DataFrame({
        "class": pairs["a"], "and": pairs["b"], "mistakes": pairs["mistakes"],
        "first as second": pairs["a_as_b"], "second as first": pairs["b_as_a"],
        "of all mistakes": 100 * pairs["share"],
    })  # fmt: skip
    config = {"of all mistakes": st.column_config.NumberColumn(format="%.1f %%")}
    st.dataframe(shown, hide_index=True, key=f"{KEY}.pairs", column_config=config, height=260)
    csv_button(f"{seen.file}-mixed-up", lambda: shown, key=f"{KEY}.pairs.csv")


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"


def _choose(seen: Seen, true: int, said: int) -> None:
    key = f"{KEY}.{seen.key}"
    st.session_state[f"{key}.true"], st.session_state[f"{key}.answered"] = true, said


def _pictures(seen: Seen, answers: Answers, cell: Cell) -> None:
    """Those of the cell, the surest answer first; then the same mistake the other way round."""
    true, said = cell
    a, b = plain(seen.classes[true]), plain(seen.classes[said])
    mark = (seen.key, cell)
    if st.session_state.get(f"{KEY}.cell") != mark:
        st.session_state[f"{KEY}.cell"] = mark
        st.session_state.pop(f"{KEY}.page", None)
    rows = cell_rows(answers, true, said)
    if true == said:
        st.markdown(f"True **{a}**, answered so: {fmt.count(len(rows))}.")
        groups = [("", rows)]
    else:
        mirror = cell_rows(answers, said, true)
        st.markdown(
            f"True **{a}**, answered **{b}**: {fmt.count(len(rows))}. "
            f"The other way round: {fmt.count(len(mirror))}."
        )
        names = seen.classes
        groups = [
            (f"True {names[true]}, answered {names[said]}", rows),
            (f"True {names[said]}, answered {names[true]}", mirror),
        ]
    mistakes_pictures.show(seen, answers, groups, KEY)


def cell_rows(answers: Answers, true: int, said: int) -> np.ndarray:
    """Rows of one cell, the surest answer first."""
    keep = (answers.target == true) & (answers.probs.argmax(axis=1) == said)
    order = np.argsort(-answers.probs.max(axis=1), kind="stable")
    return order[keep[order]]
