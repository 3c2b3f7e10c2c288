"""The Schedule page on growth, cycles, finder, caching, sampling, rules, weights, two labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_runs import eight_epochs, fake_run
from streamlit.testing.v1 import AppTest

from lab.recipe import Recipe, recipe_from
from lab.recipe.augment import Augment
from lab.recipe.models import SMALL_BODY
from lab.recipe.presets import PRESETS, preset_recipe
from lab.recipe.stage import Stage
from lab.schedules.plan import make_plan
from lab.ui import charts
from lab.ui.charts.axis import sides_of, stretches
from lab.ui.forms import in_form_words
from lab.ui.launch import grows, offered
from lab.ui.palette import recipe_sides, size_colour, way_colour
from lab.ui.setup_forms import optimizer_fields, split_fields
from lab.ui.stage_words import epochs_words, specials
from lab.workspace import Workspace

APP = Path(__file__).resolve().parents[1] / "app.py"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("LAB_NO_PROCESSES", "1")
    monkeypatch.setattr("lab.jobs.client.ensure_supervisor", lambda *_: None)
    return Workspace(tmp_path).create()


def opened(recipe: Recipe, **state: Any) -> AppTest:
    page = AppTest.from_file(str(APP), default_timeout=30).run()
    page.session_state["lab.draft"] = recipe.dump()
    page.switch_page("pages/schedule.py").run()
    if state.pop("more", False):
        page.session_state[f"schedule.more.{page.session_state['schedule.rows'][0]}"] = True
    for key, value in state.items():
        page.session_state[key] = value
    page.run()
    assert not page.exception
    return page


def draft(page: AppTest) -> Recipe:
    return Recipe.model_validate(page.session_state["lab.draft"])


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def labels(page: AppTest) -> set[str]:
    kinds = (page.number_input, page.selectbox, page.toggle, page.text_input)
    return {field.label for kind in kinds for field in kind}


def toggle(page: AppTest, label: str) -> Any:
    return next(found for found in page.toggle if found.label.startswith(label))


def one_stage(**changes: Any) -> Recipe:
    """The demo with its last stage alone, changed."""
    recipe = preset_recipe("quick").dump()
    recipe["stages"] = [recipe["stages"][2] | changes]
    return recipe_from(recipe)


def stage(**changes: Any) -> Stage:
    return Stage.model_validate({"size": 128, "augment": Augment().model_dump(), **changes})


# The timeline


def blocks(recipe: Recipe) -> dict[str, Any]:
    return charts.timeline(make_plan(recipe, 640, 1))["data"][0]


def test_a_size_that_grows_by_batch_climbs_in_stairs_within_its_epoch():
    drawn = blocks(one_stage(epochs=2, ramp_from=64, ramp_by="batch", batch_size=64))
    heights = drawn["y"]
    assert heights == sorted(heights)
    assert len(heights) > 8
    assert heights[-1] == 128
    assert "grows from" in drawn["customdata"][0]


def test_a_size_that_grows_by_epoch_is_a_block_per_epoch():
    heights = blocks(one_stage(epochs=4, ramp_from=64, ramp_end=1.0))["y"]
    assert len(heights) == 4
    assert (heights[0], heights[-1]) == (64, 128)


def test_stages_keep_their_colours_however_many_sizes_lie_on_the_way():
    recipe = one_stage(epochs=2, ramp_from=64, ramp_by="batch", batch_size=64)
    plan = make_plan(recipe, 640, 1)
    assert sides_of(plan) == [(64, 64), (128, 128)]
    assert len(stretches(plan)) > 4
    assert way_colour(128, recipe_sides(recipe)) == size_colour(128, [64, 128])
    assert way_colour(96, [64, 128]) not in (
        size_colour(64, [64, 128]),
        size_colour(128, [64, 128]),
    )


def test_frozen_cached_and_unaugmented_epochs_have_signs_and_words_of_their_own():
    recipe = preset_recipe("quick").dump()
    first, second, last = recipe["stages"]
    first |= {"trainable": "head", "cached_activations": True}
    second |= {"frozen_epochs": 1}
    last |= {"augment_off_epochs": 1}
    plan = make_plan(recipe_from(recipe), 640, 1)
    signs = charts.timeline(plan)["data"][0]["marker"]["pattern"]["shape"]
    assert signs == [".", ".", "/", "", "", "", "", "-"]
    said = charts.key_words(plan)
    assert [word for word in ("Hatched", "Dotted", "Striped") if word in said] == [
        "Hatched", "Dotted", "Striped",
    ]  # fmt: skip


def test_an_ordinary_timeline_needs_no_key():
    assert charts.key_words(make_plan(preset_recipe("quick"), 640, 1)) == ""


def test_a_rate_that_the_finder_will_choose_is_dashed_and_said_to_be_a_guess():
    recipe = preset_recipe("quick").dump()
    recipe["stages"][1]["lr"] = "finder"
    chart = charts.timeline(make_plan(recipe_from(recipe), 640, 1), guessed={1})
    rates = {trace["line"]["dash"]: trace for trace in chart["data"][1:]}
    assert set(rates) == {"solid", "dash"}
    assert "a guess" in rates["dash"]["hovertemplate"]
    assert "the finder chooses the rest" in charts.describe(chart)


def test_a_stage_begins_at_a_line_even_where_the_size_stays():
    recipe = preset_recipe("easy-steps")
    chart = charts.timeline(make_plan(recipe, 640, 3))
    assert [line["x0"] for line in chart["layout"]["shapes"]] == [2, 5]


# The cards


def test_a_card_says_what_is_special_and_keeps_silent_on_what_is_usual():
    assert specials(stage()) == []
    said = specials(
        stage(
            ramp_from=64, ramp_by="batch", ramp_start=0.5, ramp_end=0.8, sampling="weighted",
            augment_off_epochs=1, dropout=0.2, augment={"mixup": 0.2, "rand_magnitude": 8.33},
        )
    )  # fmt: skip
    assert said == [
        "grows from 64\u202fpx with every batch, between 50 and 80 % of the stage",
        "weighted sampling", "the last epoch without augmentation", "RandAugment 8.33",
        "MixUp 0.2", "dropout 0.2",
    ]  # fmt: skip


def test_cycles_are_said_with_their_lengths_and_their_end():
    cycles = stage(schedule="restarts", cycle_mult=2, max_cycles=3, cycle_patience=1)
    assert specials(cycles) == ["cycles of 1, 2 and 4 epochs, ends after one without gain"]
    assert epochs_words(cycles) == "7 in 3 cycles"


def test_cycles_say_how_long_the_stage_is_on_the_card(workspace):
    page = opened(one_stage(schedule="restarts", cycle_mult=2))
    fields = [field for field in page.text_input if field.label == "Epochs"]
    assert [(field.value, field.disabled) for field in fields] == [("7 in 3 cycles", True)]


def test_more_shows_only_what_means_something_for_the_stage(workspace):
    plain_stage = labels(opened(one_stage(), more=True))
    assert {"Warm-up share", "Light arithmetic", "Begins at, px"} <= plain_stage
    assert not {"First cycle", "Augmented views kept", "Grows with every"} & plain_stage
    assert "RandAugment steps" not in plain_stage
    cyclic = labels(opened(one_stage(schedule="restarts", ramp_from=64), more=True))
    assert {"First cycle", "Cycles at most", "Grows with every"} <= cyclic
    assert not {"Warm-up share", "Peak over start"} & cyclic


def test_cached_activations_hide_the_augmentation_that_they_have_no_use_for(workspace):
    recipe = one_stage(trainable="head", cached_activations=True)
    page = opened(recipe, more=True)
    assert "It has no effect while activations are cached" in texts(page)
    assert "MixUp" not in labels(page)
    assert "Augmented views kept" in labels(page)


def test_the_finder_is_switched_on_and_off_again_for_one_stage(workspace):
    page = opened(preset_recipe("quick"), more=True)
    toggle(page, "Let the finder choose").set_value(True).run()
    assert [found.lr for found in draft(page).stages] == ["finder", 3e-3, 2e-3]
    assert "Dashed rate" in texts(page)
    toggle(page, "Let the finder choose").set_value(False).run()
    assert draft(page).stages[0].lr == 3e-3


def test_an_automatic_batch_is_shown_as_such_and_taken_back(workspace):
    page = opened(one_stage(batch_size="auto"), more=True)
    assert [f.value for f in page.text_input if f.label == "Batch size"] == ["automatic"]
    toggle(page, "Choose the batch size").set_value(False).run()
    assert draft(page).stages[0].batch_size == 64


def test_a_ramp_is_begun_and_ended_by_its_first_size(workspace):
    page = opened(one_stage(), more=True)
    field = next(found for found in page.number_input if found.label == "Begins at, px")
    field.set_value(64).run()
    assert draft(page).stages[0].ramp_from == 64
    assert "64\u202fpx to 128\u202fpx" in texts(page)


def test_a_check_names_inputs_as_the_page_does():
    assert in_form_words("Set frozen_epochs to 0.") == "Set “Frozen epochs first” to 0."
    assert in_form_words("Set model.weights to none.") == "Set “Weights at the start” to none."
    assert in_form_words("Use a value of at least 3.") == "Use a value of at least 3."


def test_a_warning_stands_beside_the_network_that_it_is_about(workspace):
    recipe = preset_recipe("quick")
    recipe = recipe.but(model=recipe.model.but(weights="run").model_dump())
    assert "No run is named to take weights from." in texts(opened(recipe))


# Over all stages, the network, the rest


def test_values_are_spread_over_all_stages(workspace):
    page = opened(preset_recipe("quick"), **{"schedule.over_stages": True})
    page.button(key="schedule.spread.set").click().run()
    assert [s.augment.rand_magnitude for s in draft(page).stages] == [5, 10, 15]


def test_rates_are_halved_at_every_new_size(workspace):
    page = opened(preset_recipe("quick"), **{"schedule.over_stages": True})
    page.button(key="schedule.halve").click().run()
    assert [s.lr for s in draft(page).stages] == [4e-3, 2e-3, 1e-3]


def test_the_small_body_brings_its_network_and_says_what_it_has_never_seen(workspace):
    page = opened(preset_recipe("quick"))
    box = next(found for found in page.selectbox if found.label == "Weights at the start")
    box.set_value("small-body").run()
    model = draft(page).model
    assert (model.name, model.weights, model.groups) == (SMALL_BODY, "small-body", 2)
    assert "never seen a photo" in texts(page)


def test_the_weights_of_a_run_are_chosen_by_run_and_stage_with_advice(workspace):
    run = fake_run(workspace, "finished", recipe=eight_epochs().but(name="Mine"))
    recipe = preset_recipe("quick")
    recipe = recipe.but(model=recipe.model.but(weights="run", run=run.id).model_dump())
    page = opened(recipe)
    assert "It goes on from the weights of “Mine” after its last stage." in texts(page)
    assert "about a quarter of the rate" in texts(page)
    box = next(found for found in page.selectbox if found.label == "Which stage of it")
    assert box.options == [
        "its last", "stage 1, 64\u202fpx", "stage 2, 96\u202fpx", "stage 3, 128\u202fpx",
    ]  # fmt: skip
    box.select_index(2).run()
    assert draft(page).model.run_stage == 1


@pytest.mark.parametrize("name", ["gone-run", "../../elsewhere"])
def test_a_run_that_is_not_here_does_not_stop_the_page(workspace, name):
    recipe = preset_recipe("quick")
    opened(recipe.but(model=recipe.model.but(weights="run", run=name).model_dump()))


def test_sgd_has_no_beta2_and_no_epsilon():
    recipe = preset_recipe("dawnbench")
    assert recipe.optimizer.name == "sgd"
    assert not {"beta2", "eps"} & set(optimizer_fields(recipe))
    assert {"beta2", "eps"} <= set(optimizer_fields(preset_recipe("quick")))


def test_a_division_shows_only_what_it_reads():
    split = preset_recipe("quick").dataset.split
    assert not {"folds", "fold", "column"} & set(split_fields(split))
    assert {"folds", "fold"} <= set(split_fields(split.but(method="kfold")))
    assert "column" in split_fields(split.but(method="column"))


def test_rules_stand_with_their_caveats(workspace):
    page = opened(preset_recipe("quick"), **{"schedule.rest": True})
    said = texts(page)
    assert "does not sit well with one-cycle" in said
    assert "mostly an accident" in said


def against(page: AppTest) -> Any:
    """The choice of baselines."""
    return next(box for box in page.multiselect if "Also run" in box.label)


def test_a_schedule_of_one_size_is_not_compared_with_itself(workspace):
    recipe = preset_recipe("easy-steps")
    assert not grows(recipe)
    assert offered(recipe) == ["fixed-same-epochs", "fixed-same-time", "head-only"]
    assert offered(one_stage()) == []
    page = opened(recipe)
    assert against(page).value == []
    assert "Error with one size, %" not in labels(page)
    assert "of the pixels of the same" not in texts(page)


def test_a_stage_that_ramps_counts_as_growing():
    assert grows(preset_recipe("composer"))


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_tells_its_story_and_opens_folded_and_unfolded(workspace, name):
    found = PRESETS[name]
    page = opened(found.recipe(), more=True, **{"schedule.rest": True})
    said = texts(page)
    for words in (found.story, found.caution, *found.published, *found.departures):
        assert words.replace("_", "")[:30] in said.replace("_", "")


def test_leaves_offer_their_variety_as_a_second_label_before_they_are_drawn(workspace):
    page = opened(preset_recipe("quick"))
    box = next(found for found in page.selectbox if found.label == "And beside it")
    assert box.options == ["nothing else", "variety"]
    box.set_value("variety").run()
    assert draft(page).dataset.second_target == "variety"
    assert "Its weight" in labels(page)
    assert "First label alone" in against(page).options
