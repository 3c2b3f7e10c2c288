"""Sizes and strengths that grow: Composer's ramp, EfficientNetV2's steps, the matched test size."""

from __future__ import annotations

import pytest

from lab.errors import LabError
from lab.recipe.presets import preset_recipe
from lab.recipe.ramp import ramped_px, share_grown, stage_hw, stage_pixels
from lab.recipe.stage import Stage
from lab.schedules.growth import halved_rates, matched_test_px, spread, spread_over
from lab.schedules.plan import make_plan
from tests.small import small_recipe


def test_composers_ramp_waits_grows_and_is_grown_for_the_last_fifth():
    # initial .5, delay .5, finetune .2: scale = .5 + .5 * clip((e - .5) / .3, 0, 1)
    sides = [ramped_px(112, 224, p, 0.5, 0.8, 4) for p in (0, 0.5, 0.575, 0.65, 0.725, 0.8, 0.99)]
    assert sides == [112, 112, 140, 168, 196, 224, 224]


def test_sizes_on_the_way_are_multiples_and_the_last_is_exact():
    assert ramped_px(100, 225, 0.5, 0.0, 1.0, 32) == 160  # 162.5
    assert ramped_px(100, 225, 1.0, 0.0, 1.0, 32) == 225


def test_a_ramp_of_no_length_is_a_step():
    assert (share_grown(0.49, 0.5, 0.5), share_grown(0.5, 0.5, 0.5)) == (0.0, 1.0)


def test_a_ramp_by_epoch_begins_at_its_first_size_and_ends_at_the_stages():
    stage = Stage(size=128, epochs=5, ramp_from=64)
    assert [stage_hw(stage, epoch, 5)[0] for epoch in range(5)] == [64, 80, 96, 112, 128]


def test_ffcv_grows_late_in_steps_of_32():
    stage = preset_recipe("ffcv").stages[0]
    assert [stage_hw(stage, epoch, 16)[0] for epoch in range(16)] == [160] * 13 + [192] * 3


def test_a_rectangle_grows_in_both_directions():
    stage = Stage(size=(256, 192), epochs=3, ramp_from=(128, 96), ramp_multiple=16)
    assert [stage_hw(stage, epoch, 3) for epoch in range(3)] == [(128, 96), (192, 144), (256, 192)]


def test_the_plan_counts_the_pixels_of_every_size_within_an_epoch():
    ramp = {"size": 64, "ramp_from": 32, "ramp_by": "batch", "ramp_multiple": 16}
    plan = make_plan(small_recipe([{**ramp, "epochs": 1, "batch_size": 10}]), 40, 1)
    (row,) = plan.epochs
    # Four steps of 10 images; the ramp ends with the last step: 32, 42.7 -> 48, 53.3 -> 48, 64.
    assert row.sizes == ((1, 32, 32), (2, 48, 48), (1, 64, 64))
    assert row.pixels == 10 * 32**2 + 20 * 48**2 + 10 * 64**2
    assert [row.size_at(step)[0] for step in range(4)] == [32, 48, 48, 64]


def test_a_partial_batch_counts_its_own_images_only():
    ramp = {"size": 64, "ramp_from": 32, "ramp_by": "batch", "ramp_multiple": 32}
    plan = make_plan(small_recipe([{**ramp, "epochs": 1, "batch_size": 10}]), 25, 1)
    assert plan.epochs[0].shares == ((10, 32, 32), (15, 64, 64))


def test_a_baseline_of_equal_pixels_counts_what_the_ramp_saves():
    assert stage_pixels(Stage(size=128, epochs=5, ramp_from=64)) == sum(
        side**2 for side in (64, 80, 96, 112, 128)
    )


def test_efficientnetv2_spreads_linearly_in_the_stage():
    assert spread(5, 15, 4) == pytest.approx((5, 8.3333, 11.6667, 15), abs=1e-4)
    assert spread(128, 300, 4) == pytest.approx((128, 185.33, 242.67, 300), abs=0.01)


def test_one_stage_takes_the_last_value():
    assert spread(5, 15, 1) == (15,)


def test_spreading_a_field_sets_it_in_every_stage_and_nowhere_else():
    recipe = preset_recipe("quick")
    grown = spread_over(recipe, "augment.rand_magnitude", 4, 8)
    assert [stage.augment.rand_magnitude for stage in grown.stages] == [4, 6, 8]
    assert [s.size for s in grown.stages] == [s.size for s in recipe.stages]


def test_spreading_beyond_a_fields_bounds_is_refused_in_words():
    with pytest.raises(LabError) as caught:
        spread_over(preset_recipe("quick"), "dropout", 0.1, 3.0)
    places = {problem.where for problem in caught.value.problems}
    assert places == {"stages.1.dropout", "stages.2.dropout"}


def test_rates_are_halved_at_every_new_size_only():
    sizes = [64, 64, 96, 128]
    recipe = small_recipe([{"size": side, "epochs": 1, "lr": 0.008} for side in sizes])
    assert [s.lr for s in halved_rates(recipe).stages] == [0.008, 0.008, 0.004, 0.002]


def test_rates_from_the_finder_stay_with_the_finder():
    recipe = small_recipe([{"size": 32, "lr": "finder"}, {"size": 48, "lr": 0.01}])
    assert [s.lr for s in halved_rates(recipe).stages] == ["finder", 0.005]


def test_the_matched_test_size_of_imagenets_usual_crops():
    # a = .08, crop .875: E[sigma] = 2/3 * (1 - .08**1.5) / .92 = .7083; .875 / .7083 = 1.2354
    assert matched_test_px(224, 0.08, 0.875) == pytest.approx(224 * 1.2354, abs=0.1)


def test_without_random_crops_the_matched_size_is_the_training_size():
    assert matched_test_px(160, 1.0, 1.0) == 160
