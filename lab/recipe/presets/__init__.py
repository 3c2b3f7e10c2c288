"""Presets: recipes with a story. `PRESETS["quick"].recipe()`; each is one file beside this one."""

from __future__ import annotations

from lab.errors import LabError
from lab.recipe.model import Recipe
from lab.recipe.presets.easy_steps import EASY_STEPS
from lab.recipe.presets.fastbook import FASTBOOK_7
from lab.recipe.presets.fixres import KERAS_FIXRES
from lab.recipe.presets.lesson_six import LESSON_6, LESSON_6_DEEPER, LESSON_6_TUNE
from lab.recipe.presets.preset import Preset
from lab.recipe.presets.quick import QUICK
from lab.recipe.presets.systems import COMPOSER, DAWNBENCH, EFFICIENTNETV2, FFCV
from lab.recipe.presets.walkthrough import WALKTHROUGH_12

_ALL = (
    QUICK, FASTBOOK_7, WALKTHROUGH_12, KERAS_FIXRES, EASY_STEPS, LESSON_6_TUNE, LESSON_6,
    LESSON_6_DEEPER, EFFICIENTNETV2, COMPOSER, FFCV, DAWNBENCH,
)  # fmt: skip
PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}


def preset(name: str) -> Preset:
    """A preset by name. Raises LabError with the names there are."""
    if name not in PRESETS:
        raise LabError(f"There is no preset {name!r}.", f"There are: {', '.join(PRESETS)}.")
    return PRESETS[name]


def preset_recipe(name: str) -> Recipe:
    """A fresh recipe of a preset."""
    return preset(name).recipe()
