"""The legend of the Compare page: a line a method with its n, and a click that hides.

    hidden = legend(found, published, key="compare.legend")     # ids of runs that are not drawn

Hiding takes a line off the pictures and changes no number: what is hidden still counts in every
mean, interval and verdict. It is kept for the session and in the address (`?hide=`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from lab.analysis.published import PublishedRun
from lab.ui import comparison
from lab.ui import format as fmt
from lab.ui.palette import run_style, size_colour

HIDDEN, LINK = "compare.hidden", "hide"


def hidden_runs(chosen: Sequence[str]) -> set[str]:
    """Ids that are chosen and not drawn; at first those of the address."""
    if HIDDEN not in st.session_state:
        st.session_state[HIDDEN] = [one for one in st.query_params.get(LINK, "").split(",") if one]
    return set(st.session_state[HIDDEN]) & set(chosen)


def legend(
    methods: Sequence[comparison.Method],
    published: Sequence[tuple[PublishedRun, int]],
    key: str,
) -> set[str]:
    """Draw it; returns the ids of hidden runs. `published`: each with its style."""
    found = comparison.of_methods(methods)
    hidden = hidden_runs([*(entry.run.id for entry in found), *(run.id for run, _ in published)])
    _remember(hidden)
    rows = [_method(method, hidden) for method in methods]
    rows += [_published(run, style, hidden) for run, style in published]
    sides = {side for run, _ in published for side in comparison.epoch_sizes(run.epochs)}
    sides = sorted(sides | set(comparison.all_sides(found)))
    sizes = [{"name": fmt.size(*side), "colour": size_colour(side, sides)} for side in sides]
    _component()(
        key=key, data={"rows": rows, "sizes": sizes}, on_toggled_change=lambda: _toggle(key)
    )
    return hidden


def _toggle(key: str) -> None:
    """Before the page is drawn anew: what a click asks for, as the ids to hide or to show."""
    asked = st.session_state[key].toggled
    if not isinstance(asked, dict):
        return
    runs = {str(run) for run in asked.get("runs", [])}
    before = set(st.session_state.get(HIDDEN, []))
    st.session_state[HIDDEN] = sorted(before | runs if asked.get("hide") else before - runs)


def _remember(hidden: set[str]) -> None:
    """The address says what is hidden; an address without anything hidden is short."""
    if st.query_params.get(LINK, "") == ",".join(sorted(hidden)):
        return
    if hidden:
        st.query_params[LINK] = ",".join(sorted(hidden))
    else:
        st.query_params.pop(LINK, None)


def _method(method: comparison.Method, hidden: set[str]) -> dict[str, Any]:
    runs = [
        {
            "id": entry.run.id,
            "name": str(entry.seen.recipe.seed),
            "words": entry.label,
            "hidden": entry.run.id in hidden,
        }
        for entry in method.entries
    ]
    return {**_look(method.style), "name": method.name, "n": f"n = {method.n}", "runs": runs}


def _published(run: PublishedRun, style: int, hidden: set[str]) -> dict[str, Any]:
    one = {"id": run.id, "name": "", "words": run.name, "hidden": run.id in hidden}
    return {**_look(style), "name": run.name, "n": "published", "runs": [one]}


def _look(style: int) -> dict[str, str]:
    return {"line": comparison.swatch(style), "colour": run_style(style)[0]}


@functools.cache
def _component() -> Callable[..., Any]:
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return st.components.v2.component("lab_compare_legend", js=script, css=_CSS)


_CSS = """
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; font: 0.875rem/1.5 var(--st-font);
  color: var(--st-text-color); font-variant-numeric: tabular-nums; }
.item { display: flex; flex-wrap: wrap; align-items: center; gap: 2px; max-width: 100%; }
button { font: inherit; color: inherit; background: none; border: 1px solid transparent;
  border-radius: 4px; padding: 2px 6px; cursor: pointer; min-width: 0; }
button:hover { border-color: var(--st-border-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
button.method { display: flex; align-items: center; gap: 7px; text-align: left; }
button.method span.name { overflow-wrap: anywhere; }
button.method span.n { opacity: 0.75; white-space: nowrap; }
button[aria-pressed="false"] { opacity: 0.5; text-decoration: line-through; }
button.run { border-color: var(--st-border-color); min-width: 1.9em; padding: 0 5px;
  text-align: center; font-size: 0.8rem; }
img { width: 34px; height: 14px; object-fit: cover; object-position: left; flex: none; }
.sizes { display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: center; opacity: 0.9; }
.sizes i { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 50%;
  margin-right: 5px; vertical-align: -0.08em; }
"""
