"""Compare, Verdict: is it more than luck? One sentence, then the numbers behind it.

    panel(methods)
    rows = verdicts(methods)         # cached; corrected for how many are compared

Two methods with several seeds each are compared over seeds; else one pair of runs, image by image.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lab.analysis.compare import compare_pair, final_predictions
from lab.analysis.methods import compare_seeds, finished_seeds
from lab.analysis.verdict import Comparison, corrected
from lab.errors import LabError
from lab.runs.folder import RunFolder
from lab.ui import compare_saved, comparison
from lab.ui.chart_files import csv_button
from lab.ui.compare_apart import score_stamp
from lab.ui.compare_saved import Key, group_of, key_of, stamps_of
from lab.ui.comparison import Entry, Method
from lab.ui.messages import plain

_P = st.column_config.NumberColumn(format="%.4f")
_CORRECTED = st.column_config.NumberColumn(
    format="%.4f",
    help="Holm's correction for all the comparisons here that are of the same kind and score. "
    "Below 0.05 counts as evidence.",
)
_P_COLUMNS = {"p": _P, "p, corrected": _CORRECTED}
PATIENCE_S = 0.5  # without a word
METRICS = {"error_rate": "error", "balanced_error": "balanced error", "log_loss": "log loss"}


def panel(methods: Sequence[Method]) -> None:
    """Sentences about errors, every number in a table, and what was saved."""
    rows = verdicts(methods)
    if not rows:
        st.caption("A verdict needs two runs that are finished and scored.")
        return
    kinds = {row.kind for row in rows if row.difference is not None}
    st.markdown(_kind_words(kinds, rows))
    _sentences([row for row in rows if row.metric == "error_rate"], methods)
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        st.subheader("All numbers", anchor=False)
        csv_button("verdicts", lambda: verdict_table(rows), key="compare.csv.pairs")
    st.dataframe(
        verdict_table(rows).drop(columns="verdict"), hide_index=True, key="compare.pairs",
        placeholder="–", column_config=_P_COLUMNS,
    )  # fmt: skip
    compare_saved.panel(scored(methods))


def _sentences(rows: Sequence[Comparison], methods: Sequence[Method]) -> None:
    """Against the reference in full, the other pairs folded; refusals are counted."""
    ready = scored(methods)
    first = comparison.reference(ready).name if len(ready) > 3 else ""
    known = [row for row in rows if row.difference is not None]
    near = [row for row in known if not first or first in (row.name_a, row.name_b)]
    odd = [row for row in rows if row.difference is None and not _refused(row)]
    for row in [*near, *odd]:
        st.markdown(f"- {plain(sentence(row))}")
    refused = [row for row in rows if _refused(row)]
    if len(refused) == 1:
        st.markdown(f"- {plain(sentence(refused[0]))}")
    elif refused:
        st.markdown(f"- {len(refused)} pairs cannot be compared: what differs stands above.")
    others = [row for row in known if row not in near]
    if others:
        with st.expander(f"{len(others)} pairs without {plain(first)}"):
            for row in others:
                st.markdown(f"- {plain(sentence(row))}")


def _refused(row: Comparison) -> bool:
    return row.difference is None and row.verdict.startswith("Not comparable")


def _kind_words(kinds: set[str], rows: Sequence[Comparison]) -> str:
    many = max((row.comparisons for row in rows), default=1)
    said = {
        frozenset({"method"}): "Several seeds of each: the verdict is about these **methods, on "
        "this data**. The intervals are t intervals over seeds.",
        frozenset({"models"}): "One run of each: the verdict is about **these two models**, on "
        "these images. About the methods, only more seeds can tell.",
    }.get(frozenset(kinds), "")
    if kinds == {"method", "models"}:
        said = (
            "Where both have several seeds the verdict is about the **methods, on this data**; "
            "else about **two models** only."
        )
    if many > 1:
        said += (
            f" With {many} comparisons one may come out by luck alone, so p values are corrected "
            "(Holm)."
        )
    return said


def verdicts(methods: Sequence[Method]) -> list[Comparison]:
    """Every two methods with scored runs; of a single method every two of its runs.

    Refusals stand in words; predictions that cannot be read make a row that says so.
    """
    ready = scored(methods)
    if len(ready) == 1:
        return corrected(_each(list(combinations(ready[0].done, 2)), _runs_against))
    return corrected(_each(list(combinations(ready, 2)), _against))


def _each(
    pairs: Sequence[tuple[Any, Any]], compare: Callable[[Any, Any], list[Comparison]]
) -> list[Comparison]:
    """The rows of all pairs. 276 pairs of models take half a minute once: how far it is is said."""
    rows, place, began = [], st.empty(), time.monotonic()
    for number, pair in enumerate(pairs):
        if time.monotonic() - began > PATIENCE_S:
            words = f"Comparing image by image: {number + 1} of {len(pairs)} pairs"
            place.progress(number / len(pairs), words)
        rows += compare(*pair)
    place.empty()
    return rows


def scored(methods: Sequence[Method]) -> list[Method]:
    """Those with a run whose stages are all finished."""
    return [method for method in methods if any(entry.scored for entry in method.entries)]


def _against(a: Method, b: Method) -> list[Comparison]:
    try:
        return _methods(key_of(a), key_of(b), stamps_of(a, b))
    except LabError as error:
        return [_unreadable(a.name, b.name, error)]


@st.cache_data(max_entries=512, show_spinner=False)
def _methods(a: Key, b: Key, stamps: tuple[float, ...]) -> list[Comparison]:
    """Resampling takes 0.1 s for 300 images and a second for 10,000: once per pair."""
    groups = [group_of(a), group_of(b)]
    found = [finished_seeds(group) for group in groups]
    return compare_seeds(a[0], b[0], *found) if all(found) else []


def _runs_against(a: Entry, b: Entry) -> list[Comparison]:
    stamps = tuple(score_stamp(entry) for entry in (a, b))
    try:
        return _runs(str(a.run.path), str(b.run.path), stamps, (a.label, b.label))
    except LabError as error:
        return [_unreadable(a.label, b.label, error)]


@st.cache_data(max_entries=256, show_spinner=False)
def _runs(a: str, b: str, stamps: tuple[float, ...], names: tuple[str, str]) -> list[Comparison]:
    both = [final_predictions(RunFolder(Path(path))) for path in (a, b)]
    return compare_pair(*(replace(one, name=name) for one, name in zip(both, names)))


def _unreadable(a: str, b: str, error: LabError) -> Comparison:
    words = f"{error.what} {error.fix}"
    nothing = Comparison(a, b, "error_rate", None, None, None, None, 0, words)
    return replace(nothing, name_a=a, name_b=b)


def sentence(row: Comparison) -> str:
    """The verdict; a refusal with the names it is about."""
    if row.difference is not None or not row.name_a:
        return row.verdict
    return f"{row.name_a} and {row.name_b}: {row.verdict}"


def verdict_table(rows: Sequence[Comparison]) -> pd.DataFrame:
    """Every comparison with its numbers; errors in per cent."""
    found = []
    for row in rows:
        scale = 1 if row.metric == "log_loss" else 100
        numbers = (row.value_a, row.value_b, row.difference, row.low, row.high)
        a, b, gap, low, high = (None if v is None else round(scale * v, 4) for v in numbers)
        found.append({
            "first": row.name_a or row.a, "second": row.name_b or row.b,
            "score": METRICS.get(row.metric, row.metric) + ("" if scale == 1 else " %"),
            "of first": a, "of second": b, "first - second": gap, "95 % from": low, "to": high,
            "p": row.p, "p, corrected": row.p_corrected, "about": row.kind,
            "seeds": row.seeds or None, "images": row.n,
            "verdict": row.verdict,
        })  # fmt: skip
    return pd.DataFrame(found)
