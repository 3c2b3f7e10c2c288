"""Recipes: what is refused, with which words; what counts for identity; presets and baselines."""

import json
import math

import pytest

from lab.errors import LabError
from lab.recipe import Recipe, recipe_from
from lab.recipe.base import Part
from lab.recipe.baselines import BASELINES, fixed_same_epochs, fixed_same_pixels, small_only
from lab.recipe.check import check, errors_of
from lab.recipe.facts import DataFacts, Facts, ModelFacts
from lab.recipe.model import ModelSpec, load_recipe, with_settings
from lab.recipe.presets import PRESETS, preset_recipe
from lab.recipe.ramp import stage_pixels
from lab.recipe.stage import Stage
from lab.schedules.plan import make_plan


def problems_of(values) -> dict[str, str]:
    with pytest.raises(LabError) as caught:
        recipe_from(values)
    return {problem.where: str(problem) for problem in caught.value.problems}


def test_an_unknown_key_names_the_one_that_was_meant():
    found = problems_of({"stages": [{"size": 64, "epohcs": 3}]})
    assert "Did you mean 'epochs'?" in found["stages.0.epohcs"]


def test_an_unknown_key_deep_inside_is_found():
    found = problems_of({"stages": [{"size": 64, "augment": {"flp": "none"}}]})
    assert "'flip'" in found["stages.0.augment.flp"]


def test_all_problems_come_at_once():
    found = problems_of({"stages": [{"size": 64, "lr": -1}, {"size": 4}], "modle": {}})
    assert set(found) == {"stages.0.lr", "stages.1.size", "modle"}


def test_a_problem_shows_the_value_and_its_bounds():
    found = problems_of({"stages": [{"size": 8}]})
    assert "(it is 8)" in found["stages.0.size"]
    assert "at least 16" in found["stages.0.size"]


def test_a_recipe_without_stages_is_refused():
    assert "stages" in problems_of({"stages": []})


def test_a_recipe_survives_json():
    for name in PRESETS:
        recipe = preset_recipe(name)
        assert recipe_from(json.loads(json.dumps(recipe.dump()))) == recipe


def test_name_and_notes_do_not_count_for_identity():
    recipe = preset_recipe("quick")
    assert recipe.but(name="another", notes="words").identity() == recipe.identity()


def test_a_seed_counts_for_identity():
    recipe = preset_recipe("quick")
    assert recipe.but(seed=1).identity() != recipe.identity()


def test_a_setting_reaches_into_a_stage():
    assert with_settings(preset_recipe("quick"), ["stages.1.epochs=7"]).stages[1].epochs == 7


def test_a_setting_for_a_stage_that_is_not_there_is_refused():
    with pytest.raises(LabError, match="no such place"):
        with_settings(preset_recipe("quick"), ["stages.9.epochs=7"])


def test_a_file_that_is_not_json_is_refused_in_words(tmp_path):
    (tmp_path / "recipe.json").write_text("{oops")
    with pytest.raises(LabError, match="is not JSON"):
        load_recipe(tmp_path / "recipe.json")


def every_part(cls: type[Part] = Part):
    for child in cls.__subclasses__():
        yield child
        yield from every_part(child)


def test_every_field_explains_itself():
    silent = [
        f"{part.__name__}.{name}"
        for part in every_part()
        if part.__module__.startswith("lab.recipe")
        for name, info in part.model_fields.items()
        if not info.description
    ]
    assert silent == []


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_has_an_error(name):
    assert errors_of(check(preset_recipe(name))) == []


def test_the_books_preset_is_the_books():
    first, second = preset_recipe("fastbook-7").stages
    assert (first.size, first.epochs, first.lr, first.batch_size) == (128, 4, 3e-3, 128)
    assert (second.size, second.epochs, second.frozen_epochs, second.lr) == (224, 5, 1, 1e-3)


def test_the_keras_preset_squishes_to_392_before_its_centre_crop():
    assert preset_recipe("keras-fixres").stages[1].valid_crop_pct == 224 / 392


def test_the_walk_through_changes_the_resize_from_stage_to_stage():
    stages = preset_recipe("walkthrough-12").stages
    assert [stage.resize for stage in stages] == ["squish", "pad", "squish", "squish"]
    assert [stage.size for stage in stages] == [128, 160, 192, (256, 192)]


def test_the_books_pictures_go_through_fastais_transforms_at_460_px():
    for stage in preset_recipe("fastbook-7").stages:
        assert (stage.presize_px, stage.resize, stage.min_scale) == (460, "crop", 0.75)
        light = stage.augment
        assert (light.flip, light.rotate_deg, light.zoom_max, light.warp) == (
            "horizontal", 10, 1.1, 0.2,
        )  # fmt: skip
        assert (light.affine_p, light.lighting, light.lighting_p) == (0.75, 0.2, 0.75)
        assert (light.lighting_space, stage.label_smoothing) == ("logit", 0)
    model = preset_recipe("fastbook-7").model
    assert (model.name, model.groups, model.normalise) == ("resnet50d", 1, "imagenet")


def test_the_books_second_stage_is_fine_tune_of_five_epochs():
    # 9,469 images: 74 steps of 128 (the last of 125), then 148 of 64 (the last of 61)
    plan = make_plan(preset_recipe("fastbook-7"), 9469, 1)
    assert [phase.steps for phase in plan.phases] == [4 * 74, 148, 5 * 148]
    assert [phase.peaks for phase in plan.phases] == [(3e-3,), (1e-3,), (5e-4,)]
    assert [phase.pct_start for phase in plan.phases] == [0.25, 0.99, 0.3]
    assert [phase.div for phase in plan.phases] == [25, 25, 5]


def test_fastais_optimizer_drives_what_was_made_with_fastai():
    for name in ("fastbook-7", "walkthrough-12", "lesson-6-tune", "lesson-6", "lesson-6-deeper"):
        choice = preset_recipe(name).optimizer
        assert (choice.name, choice.beta2, choice.eps, choice.weight_decay) == (
            "adamw", 0.99, 1e-5, 0.01,
        )  # fmt: skip
        assert choice.cycle_momentum


def test_the_walk_through_tunes_at_every_size_at_one_rate():
    stages = preset_recipe("walkthrough-12").stages
    assert [(stage.frozen_epochs, stage.epochs) for stage in stages] == [(1, 5)] * 3 + [(1, 12)]
    assert {(stage.lr, stage.lr_ratio, stage.min_scale) for stage in stages} == {(0.01, 100, 0.75)}


def test_the_walk_through_squishes_to_192_then_pads_with_zeros():
    first, second, *_ = preset_recipe("walkthrough-12").stages
    assert first.presize_px == 192
    assert (second.pad_mode, second.test_resize) == ("zeros", "border")


def test_kerass_adam_does_not_decay_cycle_or_forget_faster():
    recipe = preset_recipe("keras-fixres")
    choice = recipe.optimizer
    assert (choice.name, choice.beta1, choice.beta2, choice.eps) == ("adam", 0.9, 0.999, 1e-7)
    assert (choice.weight_decay, choice.cycle_momentum) == (0, False)
    assert recipe.model.normalise == "half"


def test_the_keras_preset_trains_on_crops_and_adapts_on_test_frames():
    first, second = preset_recipe("keras-fixres").stages
    assert (first.size, first.epochs, first.lr, first.batch_size) == (128, 30, 1e-3, 32)
    assert (first.resize, first.min_scale, first.test_resize) == (
        "random-resized-crop", 0.05, "squash",
    )  # fmt: skip
    assert (second.size, second.epochs, second.lr, second.batch_size) == (224, 10, 1e-4, 32)
    assert (second.resize, second.test_resize) == ("as-test", "squash")
    assert second.trainable == "last-norm+head"
    for stage in (first, second):
        light = stage.augment
        assert stage.schedule == "constant"
        assert light.flip == "horizontal"
        assert light.but(flip="none").is_off


@pytest.mark.parametrize("side", [56, 112, 224])
def test_the_squish_before_keras_centre_crop_is_exactly_seven_quarters(side):
    pixels = math.floor(side / preset_recipe("keras-fixres").stages[1].valid_crop_pct)
    assert pixels == side * 7 // 4


def test_easy_steps_are_a_cached_head_an_augmented_head_and_longer_cycles():
    recipe = preset_recipe("easy-steps")
    cached, head, whole = recipe.stages
    assert (cached.epochs, cached.trainable, cached.cached_activations) == (2, "head", True)
    assert (head.cycles, head.trainable, head.cached_activations) == ((1, 1, 1), "head", False)
    assert (whole.cycles, whole.trainable, whole.cycle_patience) == ((1, 2, 4), "all", 1)
    assert [stage.lr for stage in recipe.stages] == ["finder"] * 3


def test_each_earlier_group_of_easy_steps_learns_five_times_slower():
    plan = make_plan(preset_recipe("easy-steps"), 900, 3)
    first, second, last = plan.phases[2].peaks
    assert (last / second, second / first) == (pytest.approx(5), pytest.approx(5))


def test_the_head_of_easy_steps_is_all_that_learns_before_unfreezing():
    assert not preset_recipe("easy-steps").model.frozen_norms_train


def test_lesson_sixs_first_form_is_fine_tune_with_its_defaults():
    plan = make_plan(preset_recipe("lesson-6-tune"), 640, 3)
    frozen, open_ = plan.phases
    assert (frozen.epochs, frozen.peaks) == (1, pytest.approx((2e-4, 2e-4, 2e-3)))
    assert (open_.epochs, open_.peaks) == (2, pytest.approx((1e-5, 1e-4, 1e-3)))


def test_lesson_sixs_second_form_spreads_its_slice_over_the_groups():
    head, whole = preset_recipe("lesson-6").stages
    assert (head.epochs, head.trainable, whole.epochs) == (3, "head", 12)
    plan = make_plan(preset_recipe("lesson-6"), 640, 3)
    assert plan.phases[0].peaks == (3e-3, 3e-3, 3e-3)
    assert plan.phases[1].peaks == pytest.approx((1e-6, 1e-5, 1e-4))


def test_lesson_sixs_third_form_is_deeper_in_half_precision():
    recipe = preset_recipe("lesson-6-deeper")
    (stage,) = recipe.stages
    assert (recipe.model.name, recipe.precision) == ("resnet50", "fp16")
    assert (stage.frozen_epochs, stage.epochs, stage.lr) == (3, 6, 2e-3)


def test_lesson_six_shows_460_px_pictures_at_224_px():
    for name in ("lesson-6-tune", "lesson-6", "lesson-6-deeper"):
        recipe = preset_recipe(name)
        assert {(stage.presize_px, stage.size) for stage in recipe.stages} == {(460, 224)}
        assert (recipe.model.weights, recipe.model.groups) == ("hub", 3)


def test_efficientnetv2_grows_size_and_regularisation_in_equal_steps():
    stages = preset_recipe("efficientnetv2").stages
    assert [stage.size for stage in stages] == [128, 185, 243, 300]
    assert [stage.augment.rand_magnitude for stage in stages] == pytest.approx(
        [5, 8.333, 11.667, 15], abs=0.005
    )
    assert [stage.dropout for stage in stages] == pytest.approx([0.1, 1 / 6, 7 / 30, 0.3], abs=1e-3)
    assert [stage.augment.mixup for stage in stages] == pytest.approx(
        [0, 1 / 15, 2 / 15, 0.2], abs=1e-3
    )
    assert {stage.epochs for stage in stages} == {5}


def test_composer_grows_from_half_with_every_batch_by_fours():
    (stage,) = preset_recipe("composer").stages
    assert (stage.ramp_from, stage.size, stage.ramp_multiple) == (112, 224, 4)
    assert (stage.ramp_start, stage.ramp_end, stage.ramp_by) == (0.5, 0.8, "batch")


def test_composer_takes_half_of_the_pixels_of_the_full_size():
    (stage,) = preset_recipe("composer").stages
    # .5 at a quarter, .3 on a rise from 1/2 to 1 (mean square 7/12), .2 in full: .5
    assert stage_pixels(stage) / (18 * 224**2) == pytest.approx(0.5, abs=0.005)


def test_ffcv_is_tested_at_256_px_on_seven_eighths():
    recipe = preset_recipe("ffcv")
    assert (recipe.final_hw, recipe.evaluation.crop_pct) == ((256, 256), 0.875)
    assert recipe.evaluation.resize == "center"


def test_ffcvs_rate_rises_for_two_of_sixteen_epochs():
    (stage,) = preset_recipe("ffcv").stages
    assert stage.pct_start * stage.epochs == 2
    assert stage.lr / stage.batch_size == 0.5 / 256


def test_dawnbench_scales_its_rate_with_its_batch():
    stages = preset_recipe("dawnbench").stages
    assert [stage.size for stage in stages] == [128, 224, 288]
    assert [stage.epochs for stage in stages] == [round(n / 3) for n in (14, 18, 3)]
    assert {stage.lr / stage.batch_size for stage in stages} == {0.2 / 128}
    assert [stage.min_scale for stage in stages] == [0.08, 0.08, 0.5]


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "quick"])
def test_a_preset_names_its_source_and_how_it_differs(name):
    assert PRESETS[name].source
    assert PRESETS[name].departures


PUBLISHED = {
    "fastbook-7": (".7980", ".8633", ".8738", ".3913 .5172 .6572 .7718 .8245"),
    "walkthrough-12": (".0418", ".09", ".0336", ".029", ".0221", ".045", ".048"),
    "keras-fixres": ("75.48 %", "75.20 %", "71.39 %", "78.20 %"),
    "easy-steps": ("180,000", ".8312", ".8330", "1, 5 and 45"),
    "efficientnetv2": ("83.9", "85.7"),
    "composer": ("76.6", "27 minutes", ".50 to .66"),
    "ffcv": ("73.8", "76.6", "78.4"),
    "dawnbench": ("93 %", "109 minutes"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_shows_the_published_figures(name):
    words = " ".join(PRESETS[name].published)
    assert [figure for figure in PUBLISHED[name] if figure not in words] == []


@pytest.mark.parametrize("kind", BASELINES)
@pytest.mark.parametrize("name", PRESETS)
def test_a_baseline_keeps_data_split_seed_and_network(name, kind):
    recipe = preset_recipe(name)
    baseline = BASELINES[kind](recipe)
    kept = ("dataset", "seed", "model", "optimizer", "precision")
    assert [getattr(baseline, part) for part in kept] == [getattr(recipe, part) for part in kept]


def test_the_fixed_baseline_trains_all_epochs_at_the_final_size():
    baseline = fixed_same_epochs(preset_recipe("quick"))
    epochs = sum(stage.total_epochs for stage in preset_recipe("quick").stages)
    assert [(stage.size, stage.epochs) for stage in baseline.stages] == [(128, epochs)]


def test_equal_pixels_come_out_by_hand():
    # 4 epochs at 64 px and 2 at 128 px are 4 / 4 + 2 = 3 epochs at 128 px
    recipe = Recipe(stages=(Stage(size=64, epochs=4), Stage(size=128, epochs=2)))
    assert fixed_same_pixels(recipe).stages[0].epochs == 3


def test_the_small_baseline_is_scored_at_the_final_size():
    assert small_only(preset_recipe("quick")).final_hw == (128, 128)


DATA = DataFacts("d", "d", "f", "t", ("a", "b"), 60, 40, 10, short_px=(90, 100, 110))
VIT = ModelFacts("vit", 5_000_000, "set", 16, 64, 224, 1.25, 3, True)


def where(recipe: Recipe, facts: Facts) -> dict[str, str]:
    return {problem.where: problem.level for problem in check(recipe, facts)}


def test_a_size_above_what_is_on_disk_is_pointed_out():
    found = where(Recipe(stages=(Stage(size=128, batch_size=16),)), Facts(data=DATA))
    assert found["stages.0.size"] == "warning"


def test_a_batch_larger_than_the_data_is_pointed_out():
    found = where(Recipe(stages=(Stage(size=64, batch_size=64),)), Facts(data=DATA))
    assert found["stages.0.batch_size"] == "warning"


def test_few_validation_images_are_pointed_out():
    found = where(Recipe(stages=(Stage(size=64, batch_size=16),)), Facts(data=DATA))
    assert found["dataset.split"] == "warning"


def test_a_size_that_drops_edge_pixels_is_pointed_out():
    assert where(Recipe(stages=(Stage(size=100),)), Facts(model=VIT))["stages.0.size"] == "warning"


def test_a_size_below_what_the_network_takes_is_an_error():
    assert where(Recipe(stages=(Stage(size=32),)), Facts(model=VIT))["stages.0.size"] == "error"


def test_a_fixed_network_refuses_other_sizes():
    fixed = ModelFacts("halonet", 1, "fixed", 1, 64, 224, 1.0, 3, True)
    assert where(Recipe(stages=(Stage(size=128),)), Facts(model=fixed))["stages.0.size"] == "error"


def test_freezing_with_one_group_is_pointed_out():
    recipe = Recipe(stages=(Stage(size=64, frozen_epochs=1),))
    assert "stages.0.frozen_epochs" in where(recipe, Facts())


def test_a_stage_that_trains_nothing_is_an_error():
    recipe = Recipe(stages=(Stage(size=64, epochs=0),))
    assert where(recipe, Facts())["stages.0.epochs"] == "error"


def test_a_random_body_that_never_learns_is_pointed_out():
    recipe = Recipe(stages=(Stage(size=64, trainable="head"),), model=ModelSpec(groups=2))
    assert where(recipe, Facts())["stages.0.trainable"] == "warning"


def test_unset_data_is_an_error():
    recipe = recipe_from({"stages": [{"size": 64}], "dataset": {"source": "path"}})
    assert where(recipe, Facts())["dataset.path"] == "error"
