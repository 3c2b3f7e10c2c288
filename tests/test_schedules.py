"""Rates, group rates and plans against numbers worked by hand from fastai 2.8's definitions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.recipe import Recipe
from lab.recipe.facts import DataFacts, DeviceFacts, Facts, ModelFacts
from lab.recipe.model import ModelSpec
from lab.recipe.stage import Stage
from lab.schedules.budget import forecast
from lab.schedules.curves import group_peaks, one_cycle_lr, one_cycle_momentum
from lab.schedules.plan import make_plan, steps_per_epoch


def recipe_of(*stages: Stage, groups: int = 1) -> Recipe:
    return Recipe(stages=stages, model=ModelSpec(groups=groups))


def test_one_cycle_starts_at_peak_over_div():
    assert one_cycle_lr(1.0, 0.0, 0.25, 25, 1e5) == pytest.approx(0.04)


def test_one_cycle_is_half_way_up_in_the_middle_of_the_warm_up():
    # cosine from 0.04 to 1 at its middle: (0.04 + 1) / 2
    assert one_cycle_lr(1.0, 0.125, 0.25, 25, 1e5) == pytest.approx(0.52)


def test_one_cycle_peaks_at_pct_start():
    assert one_cycle_lr(1.0, 0.25, 0.25, 25, 1e5) == pytest.approx(1.0)


def test_one_cycle_is_half_way_down_in_the_middle_of_the_descent():
    assert one_cycle_lr(1.0, 0.625, 0.25, 25, 1e5) == pytest.approx((1 + 1e-5) / 2)


def test_one_cycle_ends_near_the_peak_over_div_final():
    assert one_cycle_lr(3e-3, 1.0, 0.25, 25, 1e5) == pytest.approx(3e-8)


def test_momentum_goes_down_while_the_rate_goes_up():
    assert [one_cycle_momentum(p, 0.25) for p in (0, 0.25, 1)] == pytest.approx([0.95, 0.85, 0.95])


def test_a_tenth_for_all_groups_but_the_last():
    assert group_peaks(2e-3, 3, "tenth", 100) == pytest.approx((2e-4, 2e-4, 2e-3))


def test_geometric_rates_spread_in_equal_ratios():
    assert group_peaks(1e-3, 3, "geometric", 100) == pytest.approx((1e-5, 1e-4, 1e-3))


def test_fine_tune_freezes_at_the_base_rate_then_halves_it():
    plan = make_plan(
        recipe_of(Stage(size=64, epochs=1, frozen_epochs=1, lr=2e-3), groups=3), 128, 3
    )
    frozen, unfrozen = plan.phases
    assert frozen.peaks == pytest.approx((2e-4, 2e-4, 2e-3))
    assert unfrozen.peaks == pytest.approx((1e-5, 1e-4, 1e-3))


def test_fine_tune_uses_its_own_warm_ups():
    plan = make_plan(recipe_of(Stage(size=64, epochs=1, frozen_epochs=1)), 128, 1)
    assert [(phase.pct_start, phase.div) for phase in plan.phases] == [(0.99, 25), (0.3, 5)]


def test_the_books_schedule_has_the_books_steps():
    # 9,469 images: ceil(9469 / 128) = 74 steps at 128 px, ceil(9469 / 64) = 148 at 224 px
    plan = make_plan(
        recipe_of(
            Stage(size=128, epochs=4, batch_size=128), Stage(size=224, epochs=5, frozen_epochs=1)
        ),
        9469,
        1,
    )
    assert plan.total_steps == 4 * 74 + 6 * 148


def test_each_stage_begins_its_cycle_anew():
    plan = make_plan(
        recipe_of(Stage(size=64, epochs=2, lr=1.0), Stage(size=96, epochs=2, lr=0.5)), 640, 1
    )
    assert plan.lrs(0) == pytest.approx((0.04,))
    assert plan.lrs(20) == pytest.approx((0.02,))


def test_a_constant_rate_stays():
    plan = make_plan(recipe_of(Stage(size=64, epochs=2, lr=1e-3, schedule="constant")), 640, 1)
    assert {plan.lrs(step) for step in range(plan.total_steps)} == {(1e-3,)}


def test_a_single_leftover_image_makes_no_step():
    assert steps_per_epoch(65, 64) == 1


def test_two_leftover_images_make_a_step():
    assert steps_per_epoch(66, 64) == 2


def test_pixels_count_what_goes_through_the_network():
    plan = make_plan(recipe_of(Stage(size=(256, 192), epochs=2, batch_size=50)), 100, 1)
    assert plan.total_pixels == 2 * 100 * 256 * 192


@given(
    n=st.integers(2, 500),
    batch=st.integers(2, 64),
    stages=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=4),
)
def test_every_step_belongs_to_just_one_epoch(n, batch, stages):
    usable = [(e, f) for e, f in stages if e + f]
    if not usable:
        return
    made = [Stage(size=32, epochs=e, frozen_epochs=f, batch_size=batch) for e, f in usable]
    plan = make_plan(recipe_of(*made), n, 2)
    steps = [step for row in plan.epochs for step in range(row.first_step, row.last_step)]
    assert steps == list(range(plan.total_steps))
    assert all(plan.row_at(step).first_step <= step < plan.row_at(step).last_step for step in steps)


@given(st.integers(1, 300), st.floats(1e-5, 1))
def test_a_rate_is_never_above_its_peak_nor_below_zero(steps, peak):
    plan = make_plan(recipe_of(Stage(size=32, epochs=1, lr=peak, batch_size=2)), 2 * steps, 1)
    rates = [plan.lrs(step)[0] for step in range(plan.total_steps)]
    assert min(rates) > 0
    assert max(rates) <= peak * (1 + 1e-12)


def facts(**device) -> Facts:
    data = DataFacts("d", "d", "f", "t", ("a", "b"), 100, 50, 0)
    model = ModelFacts("resnet18", 11_000_000, "any", 1, 32, 224, 1.8, 3, True)
    return Facts(data, model, DeviceFacts(**device))


def test_a_forecast_divides_images_by_measured_speed():
    recipe = Recipe(stages=(Stage(size=64, epochs=2, batch_size=50),), precision="fp32")
    known = facts(
        speeds={"resnet18|64x64|50|fp32": 100.0}, valid_speeds={"resnet18|64x64|fp32": 500.0}
    )
    # two epochs of 100 / 100 + 50 / 500 seconds
    assert forecast(recipe, make_plan(recipe, 100, 1), known).seconds == pytest.approx(2.2)


def test_a_forecast_scales_a_measured_size_by_pixels():
    recipe = Recipe(stages=(Stage(size=128, epochs=1, batch_size=50),), precision="fp32")
    known = facts(speeds={"resnet18|64x64|50|fp32": 100.0})
    # a quarter of the speed: 100 / 25 s, validation three times as fast: 50 / 75 s
    assert forecast(recipe, make_plan(recipe, 100, 1), known).seconds == pytest.approx(4 + 50 / 75)


def test_a_forecast_without_measurements_gives_no_seconds():
    recipe = Recipe(stages=(Stage(size=64),), precision="fp32")
    found = forecast(recipe, make_plan(recipe, 100, 1), facts())
    assert found.seconds is None
    assert "nothing was measured" in found.basis


def test_multiply_adds_grow_with_the_square_of_the_side():
    model = facts().model
    assert model is not None
    assert math.isclose(model.gmacs(448, 448), 4 * model.gmacs(224, 224))


def test_with_automatic_precision_the_fastest_measured_one_counts():
    recipe = Recipe(stages=(Stage(size=64, epochs=1, batch_size=50),), precision="auto")
    known = facts(
        speeds={"resnet18|64x64|50|fp32": 100.0, "resnet18|64x64|50|bf16": 200.0},
        valid_speeds={"resnet18|64x64|bf16": 500.0},
    )
    found = forecast(recipe, make_plan(recipe, 100, 1), known)
    assert found.seconds == pytest.approx(100 / 200 + 50 / 500)
    assert "for each size" in found.basis
