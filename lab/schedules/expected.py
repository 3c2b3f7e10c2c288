"""What an experiment will take, before it is launched: each arm from its own forecast.

seconds = arm_seconds(design, facts_of)        # {"reference": 41.0, "fixed-same-time": 41.0 ...}
total = total_seconds(design, seconds)         # None where one of them is not known
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lab.errors import LabError
from lab.recipe.baselines import SAME_TIME, fixed_same_epochs, fixed_same_pixels
from lab.recipe.experiment import REFERENCE, Design, arm_recipe
from lab.recipe.facts import Facts
from lab.recipe.model import Recipe
from lab.schedules.budget import epoch_seconds, forecast
from lab.schedules.plan import Plan, make_plan

ASSUMED_TRAIN = 1000  # pictures of a data set that is not there yet, for drawing only
FactsOf = Callable[[Recipe], Facts]


def plan_before(recipe: Recipe, facts: Facts) -> Plan:
    """The plan as far as it is known before the launch."""
    n_train = facts.data.n_train if facts.data else ASSUMED_TRAIN
    most = facts.model.groups if facts.model else recipe.model.groups
    return make_plan(recipe, max(n_train, 1), min(recipe.model.groups, most))


def expected_seconds(recipe: Recipe, facts: Facts) -> float | None:
    """Training and validation of a whole run; None where nothing was measured."""
    return forecast(recipe, plan_before(recipe, facts), facts).seconds


def same_time_epochs(recipe: Recipe, facts: Facts) -> int:
    """About how many epochs at the final size take as long as the recipe, by the forecast.

    Where nothing was measured: as many as have its pixels.
    """
    fixed = fixed_same_epochs(recipe)
    each = epoch_seconds(fixed, plan_before(fixed, facts).epochs[0], facts)
    whole = expected_seconds(recipe, facts)
    if not each or not whole:
        return fixed_same_pixels(recipe).total_epochs
    return max(1, round(whole / each))


def arm_seconds(design: Design, facts_of: FactsOf) -> dict[str, float | None]:
    """Seconds of one run of each arm. One of the same time takes what the reference takes."""
    found: dict[str, float | None] = {}
    for arm in design.arms:
        if arm.kind == SAME_TIME:
            found[arm.name] = found.get(REFERENCE)
            continue
        try:
            recipe = arm_recipe(design.recipe, arm, design.epochs)
        except LabError:
            found[arm.name] = None
            continue
        found[arm.name] = expected_seconds(recipe, facts_of(recipe))
    return found


def total_seconds(
    design: Design, seconds: Mapping[str, float | None], done: int = 0
) -> float | None:
    """All runs one after the other, less `done` references that are there already; None where an
    arm's time is not known."""
    each = [seconds.get(arm.name) for arm in design.arms]
    if None in each:
        return None
    return len(design.seeds) * sum(each) - done * (seconds.get(REFERENCE) or 0.0)
