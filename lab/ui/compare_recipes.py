"""Compare, Recipes: only what differs, between methods rather than between their seeds.

panel(methods)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lab.analysis.compare import recipe_differences
from lab.recipe import Recipe
from lab.ui.chart_files import csv_button
from lab.ui.comparison import Method
from lab.ui.messages import place


def panel(methods: Sequence[Method]) -> None:
    """The table, or the word that there is nothing to tell."""
    table = differences(methods)
    if not len(table):
        st.caption("Nothing: these runs have the same recipe, but for the seed.")
        return
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        st.caption(
            f"{len(table)} fields differ between these {len(methods)} methods. All others are the "
            "same; seeds are left out."
        )
        csv_button("recipes", lambda: table, key="compare.csv.recipes", index=True)
    st.dataframe(table, key="compare.recipes", height="content")


def differences(methods: Sequence[Method]) -> pd.DataFrame:
    """Recipes of methods side by side, only where they differ, the places in words.

    Of a stage that some method does not have, only what sets it apart from its own first stage.
    """
    recipes = {method.name: method.entries[0].seen.recipe for method in methods}
    table = recipe_differences(recipes)
    kept = [
        path
        for path in table.index
        if str(path) != "seed" and _tells(str(path), list(recipes.values()))
    ]
    return table.loc[kept].rename(index=lambda path: place(str(path))).astype(str)


def _tells(path: str, recipes: Sequence[Recipe]) -> bool:
    parts = path.split(".")
    if parts[0] != "stages" or parts[-1] in ("size", "epochs"):
        return True
    number = int(parts[1])
    if all(len(recipe.stages) > number for recipe in recipes):
        return True
    return any(
        _at(recipe, number, parts[2:]) != _at(recipe, 0, parts[2:])
        for recipe in recipes
        if len(recipe.stages) > number
    )


def _at(recipe: Recipe, stage: int, path: Sequence[str]) -> Any:
    value: Any = recipe.stages[stage]
    for name in path:
        value = getattr(value, name)
    return value
