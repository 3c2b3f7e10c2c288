"""The Schedule page: edits, rows, problems, JSON, links, launch; on empty and broken workspaces."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lab.errors import LabError, Problem
from lab.recipe import Recipe, recipe_from
from lab.recipe.augment import Augment
from lab.recipe.presets import PRESETS, preset_recipe
from lab.recipe.stage import Stage
from lab.runs.folder import all_runs
from lab.ui import editing
from lab.ui.forms import help_of, label_of, simple
from lab.ui.lesson_link import LONGEST_TEXT, pack, unpack
from lab.ui.stage_cards import row_of
from lab.ui.stage_more import AUGMENT, BESIDE_AUGMENT, FOLDED, FRONT, other_fields
from lab.workspace import Workspace

APP = Path(__file__).resolve().parents[1] / "app.py"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("LAB_NO_PROCESSES", "1")
    monkeypatch.setattr("lab.jobs.client.ensure_supervisor", lambda *_: None)
    return Workspace(tmp_path).create()


def opened(recipe: Recipe | dict[str, Any] | None = None) -> AppTest:
    page = AppTest.from_file(str(APP), default_timeout=30).run()
    if recipe is not None:
        page.session_state["lab.draft"] = recipe if isinstance(recipe, dict) else recipe.dump()
    page.switch_page("pages/schedule.py").run()
    assert not page.exception
    return page


def draft(page: AppTest) -> Recipe:
    return Recipe.model_validate(page.session_state["lab.draft"])


def sizes(page: AppTest) -> list[Any]:
    return [stage.size for stage in draft(page).stages]


def shown(page: AppTest, label: str) -> list[Any]:
    return [field.value for field in page.number_input if field.label == label]


def field(page: AppTest, label: str, which: int = 0) -> Any:
    return [found for found in page.number_input if found.label == label][which]


def press(page: AppTest, label: str) -> None:
    next(button for button in page.button if button.label == label).click().run()
    assert not page.exception


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def test_an_empty_workspace_opens_with_the_demo_as_draft(workspace):
    page = opened()
    assert page.title[0].value.endswith("?")
    assert shown(page, "Size, px") == [64, 96, 128]
    assert not page.button(key="schedule.launch").disabled


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_opens(workspace, name):
    page = opened(preset_recipe(name))
    assert len(shown(page, "Frozen first")) == len(preset_recipe(name).stages)


def test_an_edit_changes_the_draft_and_nothing_else(workspace):
    page = opened()
    before = draft(page).dump()
    field(page, "Epochs", 1).set_value(7).run()
    before["stages"][1]["epochs"] = 7
    assert draft(page).dump() == before


def test_a_moved_stage_takes_its_values_along(workspace):
    page = opened()
    field(page, "Epochs", 0).set_value(9).run()
    press(page, "Move stage 1 down")
    assert sizes(page) == [96, 64, 128]
    assert shown(page, "Size, px") == [96, 64, 128]
    assert shown(page, "Epochs") == [1, 9, 4]


def test_an_edit_after_a_move_hits_the_stage_it_is_written_in(workspace):
    page = opened()
    press(page, "Move stage 3 up")
    field(page, "Epochs", 1).set_value(5).run()
    assert [(stage.size, stage.epochs) for stage in draft(page).stages] == [
        (64, 2), (128, 5), (96, 1),
    ]  # fmt: skip


def test_stages_are_duplicated_removed_and_added(workspace):
    page = opened()
    press(page, "Duplicate stage 1")
    assert sizes(page) == [64, 64, 96, 128]
    press(page, "Remove stage 2")
    assert sizes(page) == [64, 96, 128]
    press(page, "Add a stage")
    assert sizes(page) == [64, 96, 128, 160]


def test_the_only_stage_cannot_be_removed(workspace):
    recipe = preset_recipe("quick")
    page = opened(recipe.but(stages=recipe.dump()["stages"][:1]))
    button = next(button for button in page.button if button.label == "Remove stage 1")
    assert button.disabled


def test_undo_takes_edits_back_one_by_one_and_a_preset_too(workspace):
    page = opened()
    before = draft(page)
    field(page, "Epochs", 0).set_value(9).run()
    choice = next(box for box in page.selectbox if box.label == "Start from")
    choice.set_value("fastbook-7").run()
    assert draft(page).preset == "fastbook-7"
    press(page, "Undo")
    assert draft(page).stages[0].epochs == 9
    press(page, "Undo")
    assert draft(page) == before
    assert page.button(key="schedule.undo").disabled


def test_the_draft_survives_a_change_of_page(workspace):
    page = opened()
    field(page, "Size, px", 0).set_value(80).run()
    page.switch_page("pages/home.py").run()
    page.switch_page("pages/schedule.py").run()
    assert shown(page, "Size, px") == [80, 96, 128]


def test_a_draft_from_another_page_replaces_what_the_inputs_show(workspace):
    page = opened()
    field(page, "Size, px", 0).set_value(80).run()
    page.session_state["lab.draft"] = preset_recipe("fastbook-7").dump()
    page.run()
    assert shown(page, "Size, px") == [128, 224]


def test_a_rectangle_keeps_its_width_when_its_height_is_edited(workspace):
    recipe = preset_recipe("quick").dump()
    recipe["stages"][2]["size"] = [160, 128]
    page = opened(recipe)
    field(page, "Height, px").set_value(192).run()
    assert sizes(page)[2] == (192, 128)


def test_problems_stand_beside_their_stage(workspace):
    recipe = preset_recipe("quick").dump()
    recipe["stages"][1]["epochs"] = 0
    page = opened(recipe)
    assert "The stage trains nothing" in texts(page)
    assert page.button(key="schedule.launch").disabled


def test_all_errors_are_said_at_the_launch_button(workspace):
    recipe = preset_recipe("quick").dump()
    recipe["stages"][0]["epochs"] = recipe["stages"][1]["epochs"] = 0
    said = [error.value for error in opened(recipe).error]
    assert len([words for words in said if "trains nothing" in words.replace("\\", "")]) == 2


def test_a_schedule_of_no_epochs_at_all_still_opens(workspace):
    recipe = preset_recipe("quick").dump()
    for stage in recipe["stages"]:
        stage["epochs"] = 0
    assert "trains nothing" in texts(opened(recipe))


def test_a_data_set_that_is_gone_is_said_in_words(workspace):
    recipe = preset_recipe("quick").dump()
    recipe["dataset"] |= {"source": "imported", "id": "pets-1234"}
    page = opened(recipe)
    assert "Choose pictures first" in texts(page)


def test_the_cost_is_told_against_the_fixed_size(workspace):
    page = opened()
    # 2 epochs at 64, 1 at 96, 4 at 128, against 7 at 128
    share = (2 * 64**2 + 1 * 96**2 + 4 * 128**2) / (7 * 128**2)
    assert f"{100 * share:.0f}" in texts(page)
    assert "of the pixels of the same 7 epochs at 128" in texts(page)
    assert "nothing was measured on this machine yet" in texts(page)


def test_launch_queues_the_schedule_with_its_words_and_its_baseline(workspace):
    page = opened()
    field(page, "Error with growing sizes, %").set_value(12.0).run()
    next(box for box in page.text_input if box.label == "Name").set_value("Mine").run()
    page.button(key="schedule.launch").click().run()
    assert not page.exception
    runs = {run.meta()["role"]: run for run in all_runs(workspace)}
    assert set(runs) == {"progressive", "baseline"}
    assert runs["progressive"].recipe().name == "Mine"
    assert runs["progressive"].meta()["prediction"]["progressive"] == pytest.approx(0.12)
    assert runs["baseline"].meta()["baseline_of"] == runs["progressive"].id
    assert page.session_state["lab.watch"] == runs["progressive"].id


def test_launch_without_a_baseline_is_one_run_of_no_experiment(workspace):
    page = opened()
    next(box for box in page.multiselect if "Also run" in box.label).set_value([]).run()
    page.button(key="schedule.launch").click().run()
    (run,) = all_runs(workspace)
    assert run.meta()["experiment"] == ""


def test_a_lesson_link_opens_its_schedule(workspace):
    recipe = preset_recipe("fastbook-7").but(seed=41)
    assert draft(_by_link(pack(recipe))) == recipe


def test_a_damaged_link_leaves_the_draft_and_says_so(workspace):
    page = _by_link("bm90IGEgcmVjaXBl")
    assert "This lesson link is damaged" in texts(page)
    assert sizes(page) == [64, 96, 128]


def _by_link(text: str) -> AppTest:
    page = AppTest.from_file(str(APP), default_timeout=30).run()
    page.switch_page("pages/schedule.py")
    page.query_params["recipe"] = text
    page.run()
    assert not page.exception
    return page


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_link_carries_every_preset_unchanged(name):
    recipe = preset_recipe(name)
    text = pack(recipe)
    assert unpack(text) == recipe
    assert len(text) < LONGEST_TEXT / 3


def test_a_link_that_unpacks_to_a_flood_is_refused():
    bomb = base64.urlsafe_b64encode(zlib.compress(b" " * 4_000_000)).decode().rstrip("=")
    with pytest.raises(LabError, match="damaged"):
        unpack(bomb)


@pytest.mark.parametrize(
    "dataset", [{"source": "path", "path": "/etc"}, {"source": "leaves", "path": "/etc"}]
)
def test_a_link_names_no_folder_of_this_machine(dataset):
    values = preset_recipe("quick").dump()
    values["dataset"] |= dataset
    text = base64.urlsafe_b64encode(zlib.compress(json.dumps(values).encode())).decode()
    with pytest.raises(LabError, match="no folders"):
        unpack(text.rstrip("="))


def test_every_field_of_a_stage_has_an_input_and_help():
    shown_fields = {"size", "augment", "ramp_from", *FRONT, *BESIDE_AUGMENT, *other_fields()}
    shown_fields |= {name for names in FOLDED.values() for name in names}
    assert shown_fields == set(Stage.model_fields)
    assert set(AUGMENT) == set(Augment.model_fields)
    for part in (Stage, Augment):
        for name, info in part.model_fields.items():
            assert help_of(info), name
            assert label_of(name, info), name
    assert all(simple(info) for info in Augment.model_fields.values())


def test_a_problem_belongs_to_the_stage_that_it_names():
    assert row_of(Problem("stages.1.size", "", "")) == 1
    assert row_of(Problem("stages.12", "", "")) == 12
    assert row_of(Problem("stages", "", "")) is None
    assert row_of(Problem("dataset.split", "", "")) is None


def problems_of(values: Any) -> LabError:
    with pytest.raises(LabError) as caught:
        recipe_from(values)
    return caught.value


def test_a_refused_edit_is_told_and_changes_nothing(workspace):
    page = opened()
    before = draft(page)
    error = problems_of({"stages": [{"size": 64, "epochs": "x"}]})
    page.session_state[editing.REFUSED] = list(error.problems)
    page.run()
    assert draft(page) == before
    assert any("Stage 1, epochs" in error.value for error in page.error)


def json_text(page: AppTest) -> Any:
    return next(area for area in page.text_area if area.label == "The recipe")


def with_json_open() -> AppTest:
    page = opened()
    page.session_state["schedule.json"] = True
    return page.run()


def test_json_is_taken_over(workspace):
    page = with_json_open()
    values = json.loads(json_text(page).value)
    values["stages"][0]["epochs"] = 11
    json_text(page).set_value(json.dumps(values)).run()
    press(page, "Take it over")
    assert draft(page).stages[0].epochs == 11
    assert shown(page, "Epochs")[0] == 11


def test_wrong_json_is_answered_with_all_its_problems_and_kept(workspace):
    page = with_json_open()
    wrong = json.dumps({"stages": [{"size": 64, "epocs": 3}, {"size": 8}]})
    json_text(page).set_value(wrong).run()
    press(page, "Take it over")
    said = texts(page)
    assert "Did you mean 'epochs'" in said
    assert "Stage 2, size" in said
    assert json_text(page).value == wrong
    assert sizes(page) == [64, 96, 128]


def test_a_text_that_is_no_json_is_answered_in_words(workspace):
    page = with_json_open()
    json_text(page).set_value("{ stages").run()
    press(page, "Take it over")
    assert "This is not JSON" in texts(page)
