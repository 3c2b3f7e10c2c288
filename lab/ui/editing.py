"""The draft under the pen: each edit is a callback that changes it before the page is drawn again.

    recipe, rows = editing.current()                  # rows: a lasting id per stage
    path, key = ("stages", "s3", "lr"), editing.key("stages.s3.lr")
    st.number_input("Rate", value=value, key=key, on_change=editing.put, args=(path, key))

Widgets are views; the draft is the truth. Rows have ids of their own, so that a moved stage takes
its values along. A change from elsewhere (preset, undo, link, page) gives all widgets new keys.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from lab.errors import LabError, Problem
from lab.recipe import Recipe, recipe_from
from lab.ui.state import draft, set_draft

ROWS, PAST, OURS = "schedule.rows", "schedule.past", "schedule.ours"
ROUND, NUMBER, REFUSED = "schedule.round", "schedule.number", "schedule.refused"
MOST_UNDO = 50


def current() -> tuple[Recipe, list[str]]:
    """The draft and the ids of its stages. Notices a draft that another page has put there."""
    recipe = draft()
    if st.session_state.get(OURS) != recipe.dump():
        _fresh(recipe)
    return recipe, st.session_state[ROWS]


def key(name: str) -> str:
    """A widget's key: `schedule.<round>.<name>`."""
    return f"schedule.{st.session_state.get(ROUND, 0)}.{name}"


def put(path: tuple[str, ...], widget: str) -> None:
    """Callback: take a widget's value into the draft. What the recipe refuses is told."""
    put_value(path, st.session_state.get(widget))


def put_value(path: tuple[str, ...], value: Any, anew: bool = False) -> None:
    """Change one place of the draft; `anew` where several widgets show it."""
    values = draft().dump()
    place = values
    if path[0] == "stages" and not has(path[1]):
        return
    *parents, last = _numbered(path)
    for name in parents:
        place = place[name]
    place[last] = value
    _commit(values)
    if anew:
        st.session_state[ROUND] += 1


def has(row: str) -> bool:
    """Whether a stage is still there. A widget may call back after its stage has gone."""
    return row in st.session_state.get(ROWS, [])


def load(recipe: Recipe) -> None:
    """Another recipe altogether: a preset, a link, a file."""
    _remember()
    _fresh(recipe)


def undo() -> None:
    """Take the last edit back."""
    past = st.session_state.get(PAST, [])
    if past:
        _fresh(recipe_from(past.pop()))
    st.session_state[REFUSED] = []


def can_undo() -> bool:
    """Whether there is an edit to take back."""
    return bool(st.session_state.get(PAST))


def refused() -> list[Problem]:
    """Why the last edit was not taken; empty where it was."""
    return st.session_state.get(REFUSED, [])


def add() -> None:
    """A stage like the last one, a third larger, at half the rate."""
    stage = draft().stages[-1]
    size = [min(1024, round(side * 1.33 / 32) * 32) for side in stage.hw]
    larger = size[0] if size[0] == size[1] else size
    lr = stage.lr if stage.lr == "finder" else stage.lr / 2
    changes = {"size": larger, "lr": lr}
    _insert(len(st.session_state[ROWS]), stage.model_dump(mode="json") | changes)


def duplicate(row: str) -> None:
    """The same stage once more, just after it."""
    if not has(row):
        return
    index = st.session_state[ROWS].index(row)
    _insert(index + 1, draft().stages[index].model_dump(mode="json"))


def remove(row: str) -> None:
    """Take a stage out."""
    if not has(row):
        return
    rows = st.session_state[ROWS]
    values, index = draft().dump(), rows.index(row)
    del values["stages"][index]
    _commit(values, rows[:index] + rows[index + 1 :])


def move(row: str, by: int) -> None:
    """Move a stage up (-1) or down (+1)."""
    if not has(row):
        return
    rows = list(st.session_state[ROWS])
    values, index = draft().dump(), rows.index(row)
    other = index + by
    if 0 <= other < len(rows):
        for line in (rows, values["stages"]):
            line[index], line[other] = line[other], line[index]
        _commit(values, rows)


def _insert(index: int, stage: dict[str, Any]) -> None:
    rows = list(st.session_state[ROWS])
    values = draft().dump()
    values["stages"].insert(index, stage)
    rows.insert(index, _new_row())
    _commit(values, rows)


def _commit(values: dict[str, Any], rows: list[str] | None = None) -> None:
    try:
        recipe = recipe_from(values)
    except LabError as error:
        st.session_state[REFUSED] = list(error.problems)
        return
    if recipe == draft():
        return  # some inputs call back without a change: that is no edit to undo
    _remember()
    set_draft(recipe)
    st.session_state[OURS] = recipe.dump()
    if rows is not None:
        st.session_state[ROWS] = rows


def _remember() -> None:
    past = st.session_state.setdefault(PAST, [])
    past.append(draft().dump())
    del past[:-MOST_UNDO]
    st.session_state[REFUSED] = []


def _fresh(recipe: Recipe) -> None:
    """Show a recipe in new widgets."""
    set_draft(recipe)
    st.session_state[OURS] = recipe.dump()
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1
    st.session_state[ROWS] = [_new_row() for _ in recipe.stages]


def _new_row() -> str:
    st.session_state[NUMBER] = st.session_state.get(NUMBER, 0) + 1
    return f"s{st.session_state[NUMBER]}"


def _numbered(path: tuple[str, ...]) -> list[Any]:
    """A path with the id of a stage replaced by its number."""
    if len(path) > 1 and path[0] == "stages":
        return ["stages", st.session_state[ROWS].index(path[1]), *path[2:]]
    return list(path)
