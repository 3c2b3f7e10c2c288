"""Presets: recipes with a story. `PRESETS["quick"].recipe()`; each is one file beside this one."""

from __future__ import annotations

from lab.errors import LabError
from lab.recipe.model import Recipe
from lab.recipe.presets.fastbook import FASTBOOK_7
from lab.recipe.presets.fixres import KERAS_FIXRES
from lab.recipe.presets.preset import Preset
from lab.recipe.presets.quick import QUICK
from lab.recipe.presets.walkthrough import WALKTHROUGH_12

PRESETS: dict[str, Preset] = {
    preset.name: preset for preset in (QUICK, FASTBOOK_7, WALKTHROUGH_12, KERAS_FIXRES)
}


def preset(name: str) -> Preset:
    """A preset by name. Raises LabError with the names there are."""
    if name not in PRESETS:
        raise LabError(f"There is no preset {name!r}.", f"There are: {', '.join(PRESETS)}.")
    return PRESETS[name]


def preset_recipe(name: str) -> Recipe:
    """A fresh recipe of a preset."""
    return preset(name).recipe()
