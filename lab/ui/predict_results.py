"""Answers for new pictures: how many of each class, sorted and filtered cards, the table to take.

predict_results.show(found, thumb_of, key="predict.upload")      # thumb_of(row) -> JPEG bytes
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
import streamlit as st

from lab.analysis.predicted import SORTS, Predicted, frame, ordered
from lab.data.csvsafe import safe_csv
from lab.ui import format as fmt
from lab.ui.messages import plain
from lab.ui.predict_gallery import Bar, Card, bars, cards

PAGE_SIZE = 24
_NAMED = 5  # unreadable files named at once; the rest are one click away


def show(found: Predicted, thumb_of: Callable[[int], bytes], key: str) -> None:
    """Everything about these answers. `key` tells the two places of the page apart."""
    _unreadable(found)
    if not found.good.any():
        return
    st.write(summary_words(found))
    words = [second_words(found), "A tick on a bar: without views." if found.about["tta"] else ""]
    if any(words):
        st.caption(plain(" ".join(words)))
    rows = _choice(found, key)
    shown = _page(rows, f"{key}.page")
    if not len(rows):
        st.write("No picture is left by this choice.")
    cards([card(found, int(row), thumb_of(int(row))) for row in shown], f"{key}.cards")
    st.download_button(
        "CSV with all probabilities", partial(csv_text, found), csv_name(found), "text/csv",
        key=f"{key}.csv", on_click="ignore", icon=":material/download:",
    )  # fmt: skip


def summary_words(found: Predicted) -> str:
    """`**12 pictures**: rust 7, healthy 5. Looking again through 4 views changed 2 answers.`"""
    good = np.flatnonzero(found.good)
    tops = Counter(int(at) for at in found.probs[good].argmax(axis=1))
    most = [f"{plain(found.classes[at])} {fmt.count(n)}" for at, n in tops.most_common(8)]
    rest = "" if len(tops) <= 8 else f" and {len(tops) - 8} more classes"
    words = f"**{_pictures(len(good))}**: {', '.join(most)}{rest}."
    if found.average is not None and len(good):
        n, views = int(found.changed().sum()), found.about["tta"]
        looks = f"{views} view{'' if views == 1 else 's'}"
        changed = "no answer" if not n else f"{fmt.count(n)} answer{'' if n == 1 else 's'}"
        words += f" Looking again through {looks} changed {changed}."
    return words


def second_words(found: Predicted) -> str:
    """What the cards' second bars are; '' where one label was learnt."""
    if found.second is None:
        return ""
    first, second = found.about.get("target") or "the first label", found.about["second_target"]
    views = ", always without views" if found.average is not None else ""
    return f"It learnt two labels: {first} first, below it {second}{views}."


def card(found: Predicted, row: int, thumb: bytes) -> Card:
    """One picture's card."""
    before = found.plain[row] if found.average is not None else None
    change = ""
    if before is not None and found.changed()[row]:
        was = int(before.argmax())
        share = fmt.percent(float(before[was]))
        change = f"Changed by the views: without them it said {found.classes[was]} ({share})."
    second: list[Bar] = []
    if found.second is not None:
        second = bars(found.second[row], list(found.about["second_classes"]), most=2)
    name = found.about["second_target"] if second else ""
    note = found.notes[row]
    note = f"{note[:1].upper()}{note[1:]}." if note else ""
    top = bars(found.probs[row], found.classes, before)
    return Card(found.names[row], thumb, top, change, note, name, second)


def csv_text(found: Predicted) -> bytes:
    """Every picture, also the unreadable ones, with all probabilities."""
    return safe_csv(frame(found)).encode("utf-8", errors="replace")


def csv_name(found: Predicted) -> str:
    """`predictions-<run>.csv`."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", str(found.about.get("run", ""))).strip("-")[:60]
    return f"predictions-{slug}.csv" if slug else "predictions.csv"


def _unreadable(found: Predicted) -> None:
    bad = [f"- {plain(found.errors[row])}" for row in np.flatnonzero(~found.good)]
    if not bad:
        return
    verb = "has no answer" if len(bad) == 1 else "have no answer"
    st.warning(
        f"**{_pictures(len(bad))} {verb}:**\n\n" + "\n".join(bad[:_NAMED]),
        icon=":material/broken_image:",
    )
    if len(bad) > _NAMED:
        with st.expander(f"The other {len(bad) - _NAMED}"):
            st.markdown("\n".join(bad[_NAMED : _NAMED + 500]))


def _choice(found: Predicted, key: str) -> np.ndarray:
    """Sorted, filtered rows."""
    sort, which, below = st.columns([3, 3, 4], vertical_alignment="bottom", gap="medium")
    sorts = [kind for kind in SORTS if kind != "changed" or found.average is not None]
    kind = sort.selectbox(
        "Order", sorts, format_func=SORTS.get, key=f"{key}.sort", persist_state="session"
    )
    names = dict(enumerate(found.classes))
    of_class = which.selectbox(
        "Answered", [-1, *names], format_func=lambda at: names.get(at, "Every class"),
        key=f"{key}.class.{found.about['run']}", persist_state="session",
    )  # fmt: skip
    share = below.slider(
        "Only where it is less certain than, %", 0, 100, 100, 5, key=f"{key}.below",
        persist_state="session", help="100 shows all. Lower it to find what a person should check.",
    )  # fmt: skip
    return ordered(found, kind or "unsure", of_class=int(of_class or 0), below=share / 100)


def _page(rows: np.ndarray, key: str) -> np.ndarray:
    """The rows of this page, with what turns the pages."""
    pages = max(1, -(-len(rows) // PAGE_SIZE))
    page = min(st.session_state.get(key, 0), pages - 1)
    if pages > 1:
        words, earlier, later = st.columns([6, 1, 1], vertical_alignment="center")
        if earlier.button("Earlier", key=f"{key}.earlier", disabled=page == 0, width="stretch"):
            page -= 1
        if later.button("More", key=f"{key}.later", disabled=page >= pages - 1, width="stretch"):
            page += 1
        first = page * PAGE_SIZE
        last = min(first + PAGE_SIZE, len(rows))
        words.caption(f"{fmt.count(first + 1)} to {fmt.count(last)} of {fmt.count(len(rows))}")
    st.session_state[key] = page
    return rows[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]


def _pictures(n: int) -> str:
    return f"{fmt.count(n)} picture{'' if n == 1 else 's'}"
