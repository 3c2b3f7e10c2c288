"""Recipes: what is refused, with which words; what counts for identity; presets and baselines."""

import json

import pytest

from lab.errors import LabError
from lab.recipe import Recipe, recipe_from
from lab.recipe.base import Part
from lab.recipe.baselines import BASELINES, fixed_same_epochs, fixed_same_pixels, small_only
from lab.recipe.check import check, errors_of
from lab.recipe.facts import DataFacts, Facts, ModelFacts
from lab.recipe.model import ModelSpec, load_recipe, with_settings
from lab.recipe.presets import PRESETS, preset_recipe
from lab.recipe.stage import Stage


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
