"""The finder's panel on a page of its own: start, progress, curve, words, taking a suggestion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small import small_recipe
from streamlit.testing.v1 import AppTest

from lab.recipe import Recipe
from lab.runs.folder import RunFolder, create_run
from lab.schedules.finder import curve_name, finder_lrs, smoothed
from lab.ui import charts
from lab.ui.charts.finder import rate_curve
from lab.workspace import Workspace, read_json, write_json

PAGE = """
import streamlit as st
from lab.ui import editing
from lab.ui.finder import finder_panel

recipe, rows = editing.current()
for index, row in enumerate(rows):
    st.subheader(f"Stage {index + 1}")
    finder_panel(recipe, index, key=f"schedule.finder.{row}")
"""


def curve(**changes: Any) -> dict[str, Any]:
    """An answer of the finder: flat at 2, a fall, a blow-up with one loss without a value."""
    lrs = list(finder_lrs())
    losses = [2.0 - min(max((i - 50) / 20, 0), 1) + (20 if i > 90 else 0) for i in range(99)]
    values = {
        "lrs": lrs, "losses": [*losses, None], "smooth": [*smoothed(losses), None],
        "valley": 8.3e-3, "minimum": 0.0132, "steep": 8.3e-3, "slide": 0.158, "words": "",
        "stopped": "no value", "stage": 0, "size": 32, "batch": 16, "seconds": 11.6,
        "at": "first weights",
    }  # fmt: skip
    return {**values, **changes}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.setattr("lab.jobs.tasks.ensure_supervisor", lambda *_: None)
    return Workspace(tmp_path / "ws").create()


def opened(recipe: Recipe | None = None) -> AppTest:
    page = AppTest.from_string(PAGE, default_timeout=30)
    page.session_state["lab.draft"] = (recipe or small_recipe()).dump()
    page.run()
    assert not page.exception
    return page


def draft(page: AppTest) -> Recipe:
    return Recipe.model_validate(page.session_state["lab.draft"])


def button(page: AppTest, label: str, which: int = 0) -> Any:
    return [found for found in page.button if found.label == label][which]


def press(page: AppTest, label: str, which: int = 0) -> None:
    button(page, label, which).click().run()
    assert not page.exception


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def remember(workspace: Workspace, recipe: Recipe, stage: int, **changes: Any) -> None:
    write_json(workspace.facts / curve_name(recipe, stage), curve(**changes))


def finished_first_stage(workspace: Workspace, recipe: Recipe) -> RunFolder:
    run = create_run(workspace, recipe)
    run.stage(0).mkdir(parents=True)
    write_json(run.stage(0) / "scores.json", {})
    return run


def requests(workspace: Workspace) -> list[dict[str, Any]]:
    return [read_json(task / "request.json") for task in workspace.tasks.iterdir()]


def test_before_a_search_there_is_a_button_and_the_other_opinion(workspace):
    page = opened()
    assert not button(page, "Find a rate").disabled
    assert "leave it at 0.008 to 0.01; no new search for a new size" in texts(page)
    assert "Take it" not in [found.label for found in page.button]


def test_the_button_queues_a_search_of_its_stage(workspace):
    page = opened()
    press(page, "Find a rate")
    (request,) = requests(workspace)
    assert (request["kind"], request["stage"], request["run"]) == ("lr-find", 0, "")
    assert request["recipe"] == small_recipe().dump()


def test_while_a_search_is_under_way_no_second_one_is_offered(workspace):
    page = opened()
    press(page, "Find a rate")
    assert button(page.run(), "Find a rate").disabled


def test_a_search_of_an_earlier_visit_is_found_again(workspace):
    press(opened(), "Find a rate")
    assert "Stop" in [found.label for found in opened().button]


def test_a_later_stage_needs_a_run_that_finished_the_one_before(workspace):
    page = opened()
    assert button(page, "Find a rate", 1).disabled
    assert "no run has finished stage 1" in texts(page)


def test_a_later_stage_begins_with_the_weights_of_a_chosen_run(workspace):
    run = finished_first_stage(workspace, small_recipe())
    page = opened()
    press(page, "Find a rate", 1)
    (request,) = requests(workspace)
    assert (request["stage"], request["run"]) == (1, run.id)


def test_a_run_of_another_network_is_not_offered(workspace):
    finished_first_stage(workspace, small_recipe(model={"name": "resnet18"}))
    assert button(opened(), "Find a rate", 1).disabled


def test_a_curve_shows_its_four_suggestions_and_where_it_comes_from(workspace):
    remember(workspace, small_recipe(), 0)
    said = texts(opened())
    for words in ("Valley 8.3e-3", "Minimum 1.3e-2", "Steep 8.3e-3", "Slide 1.6e-1"):
        assert words in said
    assert "100 steps in 0:12 at 32" in said
    assert "batch 16, from first weights" in said


def test_taking_a_suggestion_changes_the_rate_of_its_stage_alone_and_keeps_the_curve(workspace):
    remember(workspace, small_recipe(), 0)
    page = opened()
    press(page, "Take it", 1)  # minimum
    assert [stage.lr for stage in draft(page).stages] == [0.013, 2e-3]
    assert button(page, "Taken").disabled
    assert "Valley 8.3e-3" in texts(page)


def test_a_curve_that_says_nothing_shows_its_words_and_no_rate(workspace):
    nothing = dict.fromkeys(("valley", "minimum", "steep", "slide"))
    remember(workspace, small_recipe(), 0, words="The curve is flat.", **nothing)
    page = opened()
    assert "The curve is flat." in texts(page)
    assert "Take it" not in [found.label for found in page.button]


def test_a_curve_of_other_pictures_is_not_shown(workspace):
    remember(workspace, small_recipe(seed=9), 0)
    assert "Valley" not in texts(opened())


def test_a_curve_after_a_stage_of_a_run_says_so(workspace):
    remember(workspace, small_recipe(), 1, at="run 20260101-pets stage 0")
    assert "from the weights of 20260101-pets after stage 1" in texts(opened())


# The chart


def named(chart: dict[str, Any], text: str) -> dict[str, Any]:
    return next(trace for trace in chart["data"] if trace.get("text") == [text])


def test_each_suggestion_is_marked_at_its_rate_and_those_of_one_step_share_a_label():
    chart = rate_curve(curve())
    marks = [trace for trace in chart["data"] if "markers" in trace["mode"]]
    assert sorted(trace["x"][0] for trace in marks) == [8.3e-3, 8.3e-3, 0.0132, 0.158]
    assert named(chart, "valley, steep")["x"] == [8.3e-3]


def test_marks_lie_on_the_smoothed_curve():
    found = curve(lrs=[1e-3, 1e-1], losses=[3.0, 1.0], smooth=[3.0, 1.0], valley=1e-2)
    assert named(rate_curve(found), "valley")["y"] == [pytest.approx(2.0)]


def test_a_blow_up_does_not_flatten_the_curve():
    low, high = rate_curve(curve())["layout"]["yaxis"]["range"]
    assert low < 1.45  # the lowest smoothed loss is 1.457, the last but one 2.6
    assert 2 < high < 2.6


def test_the_rate_that_is_set_now_is_drawn_even_outside_the_rates_tried():
    chart = rate_curve(curve(lrs=[1e-7, 1e-2], losses=[2, 1], smooth=[2, 1]), now=1.0)
    assert chart["layout"]["shapes"][0]["x0"] == 1.0
    assert chart["layout"]["xaxis"]["range"][1] > 0


def test_the_chart_says_in_words_what_it_shows():
    said = charts.describe(rate_curve(curve()))
    assert "1e-7 to 8.32e0" in said
    assert "begins at 2.000 and is lowest, 1.457" in said
    assert "valley 8.3e-3" in said


def test_a_curve_without_any_value_is_still_a_chart():
    nothing = dict.fromkeys(("valley", "minimum", "steep", "slide"))
    found = curve(lrs=[1e-7], losses=[None], smooth=[None], **nothing)
    assert "No loss has a value" in charts.describe(rate_curve(found))
