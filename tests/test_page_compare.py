"""The Compare page on an empty, a full and a broken workspace, and the tables behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_runs import eight_epochs, fake_run
from streamlit.testing.v1 import AppTest

from lab.recipe.baselines import fixed_same_epochs
from lab.runs.folder import RunFolder
from lab.runs.index import list_runs
from lab.ui import comparison
from lab.workspace import Workspace

PAGE = Path(__file__).resolve().parents[1] / "pages" / "compare.py"
Show = Callable[..., AppTest]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


@pytest.fixture
def show(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Show:
    monkeypatch.setenv("LAB_WORKSPACE", str(workspace.root))

    def opened(runs: Sequence[RunFolder] = ()) -> AppTest:
        page = AppTest.from_file(str(PAGE), default_timeout=30)
        if runs:
            page.query_params["runs"] = ",".join(run.id for run in runs)
        return page.run()

    return opened


def _pair(workspace: Workspace, **of_second: Any) -> tuple[RunFolder, RunFolder]:
    recipe = eight_epochs().but(name="Growing")
    fixed = fixed_same_epochs(recipe).but(name="Fixed")
    first = fake_run(workspace, "finished", recipe=recipe, experiment="e", skill=0.03)
    return first, fake_run(workspace, "finished", recipe=fixed, experiment="e", **of_second)


def _entries(workspace: Workspace, runs: Sequence[RunFolder]) -> list[comparison.Entry]:
    rows = {row.id: row for row in list_runs(workspace)}
    ids = [run.id for run in runs]
    return comparison.entries(workspace.runs, ids, rows, comparison.styles(ids, {}))[0]


def _texts(page: AppTest) -> str:
    """Everything said, as it reads: without the escapes that keep it plain text."""
    return _markdown(page).replace("\\", "")


def _markdown(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.info]
    return "\n".join(str(part.value) for part in parts)


# The page


def test_an_empty_workspace_says_what_to_do_next(show: Show) -> None:
    page = show()
    assert not page.exception
    assert "Nothing to compare yet" in page.info[0].value
    assert [button.label for button in page.button] == ["Go to the demo"]


def test_the_newest_experiment_is_shown_at_first(show: Show, workspace: Workspace) -> None:
    fake_run(workspace, "finished", experiment="older")
    time.sleep(1.1)  # ids sort by the second
    runs = _pair(workspace)
    page = show()
    assert not page.exception
    assert sorted(page.multiselect[0].value) == sorted(run.id for run in runs)


def test_a_pair_gets_an_answer_in_words_with_its_cost(show: Show, workspace: Workspace) -> None:
    page = show(_pair(workspace))
    assert "Growing makes fewer errors: 6.3\u202f% against 9.3\u202f%." in _texts(page)
    assert "less time" in _texts(page)
    assert "300 images" in _texts(page)


def test_too_small_a_difference_is_said_not_to_be_evidence(
    show: Show, workspace: Workspace
) -> None:
    page = show(_pair(workspace, skill=0.028))
    assert "Not enough evidence" in _texts(page)


def test_runs_on_other_images_are_refused_in_words(show: Show, workspace: Workspace) -> None:
    page = show(_pair(workspace, split=7))
    assert not page.exception
    assert "Not comparable: scored on different images" in _texts(page)


def test_one_run_alone_leads_to_its_baseline(show: Show, workspace: Workspace) -> None:
    page = show([fake_run(workspace, "finished")])
    assert not page.exception
    assert "One run alone answers nothing" in page.info[0].value


def test_a_run_on_its_way_is_shown_without_scores(show: Show, workspace: Workspace) -> None:
    runs = [fake_run(workspace, "finished"), fake_run(workspace, "stopped", share=0.2)]
    page = show(runs)
    assert not page.exception
    assert "Not scored yet" in _texts(page)


def test_a_link_to_runs_that_are_gone_falls_back(show: Show, workspace: Workspace) -> None:
    runs = _pair(workspace)
    runs[0].recipe_file.unlink()
    page = show(runs)
    assert not page.exception
    assert page.multiselect[0].value == [runs[1].id]


def test_a_run_without_a_readable_recipe_is_said_in_words(show: Show, workspace: Workspace) -> None:
    runs = _pair(workspace)
    runs[0].recipe_file.write_text("[]", encoding="utf-8")
    page = show(runs)
    assert not page.exception


def test_damaged_predictions_are_said_in_words(show: Show, workspace: Workspace) -> None:
    runs = _pair(workspace)
    (runs[0].predictions / "s2-128x128.npz").write_bytes(b"no")
    page = show(runs)
    assert not page.exception
    assert "cannot be read" in _texts(page)


def test_every_axis_and_curve_can_be_drawn(show: Show, workspace: Workspace) -> None:
    entries = _entries(workspace, _pair(workspace))
    for x in ("epoch", "time", "pixels"):
        for y in ("error", "valid_loss", "train_loss", "lr"):
            figure = comparison.curves(entries, x, y, log_y=True)
            assert len(figure["data"][0]["y"]) == 8
        assert len(comparison.cost_figure(entries, x)["data"][0]["x"]) == 2


def test_taking_a_run_out_keeps_the_other_and_the_link(show: Show, workspace: Workspace) -> None:
    first, second = _pair(workspace)
    page = show([first, second])
    page.multiselect[0].unselect(first.id).run()
    assert not page.exception
    assert page.multiselect[0].value == [second.id]
    assert page.query_params["runs"] == second.id
    assert page.session_state[comparison.STYLES] == {second.id: 1}


def test_a_hostile_name_never_becomes_markup(show: Show, workspace: Workspace) -> None:
    recipe = eight_epochs().but(name="<img src=x> [a](http://b)")
    page = show([fake_run(workspace, "finished", recipe=recipe) for _ in range(2)])
    assert "<img" not in _markdown(page).replace("\\<", "")


# Tables and words


def test_hiding_a_run_leaves_the_styles_of_the_others() -> None:
    all_three = comparison.styles(["a", "b", "c"], {})
    assert all_three == {"a": 0, "b": 1, "c": 2}
    without = comparison.styles(["a", "c"], all_three)
    assert without == {"a": 0, "c": 2}
    assert comparison.styles(["a", "c", "d"], without) == {"a": 0, "c": 2, "d": 1}


def test_marks_are_filled_with_the_size_and_ringed_with_the_run(workspace: Workspace) -> None:
    entries = _entries(workspace, _pair(workspace))
    growing, fixed = comparison.curves(entries, "epoch", "error", log_y=False)["data"][:2]
    assert len(set(growing["marker"]["color"])) == 3
    assert len(set(fixed["marker"]["color"])) == 1
    assert growing["marker"]["color"][-1] == fixed["marker"]["color"][-1]
    assert growing["marker"]["line"]["color"] == growing["line"]["color"]


def test_scores_carry_an_interval_and_the_cost(workspace: Workspace) -> None:
    table = comparison.scores_table(_entries(workspace, _pair(workspace))).set_index("run")
    assert table.loc["Growing", "error"] == pytest.approx(6.33, abs=0.01)
    # Wilson's interval of 19 in 300, from its formula by hand.
    assert table.loc["Growing", "95 % from"] == pytest.approx(4.1, abs=0.05)
    assert table.loc["Growing", "to"] == pytest.approx(9.7, abs=0.05)
    assert table.loc["Growing", "time"] == "0:28"


def test_each_stage_is_scored_at_its_own_and_the_final_size(workspace: Workspace) -> None:
    table = comparison.stage_table(_entries(workspace, _pair(workspace)))
    assert table["size"].tolist() == [f"{side}\u202fpx" for side in (64, 96, 128, 128)]
    assert table["error, final size"].iloc[0] > table["error, own size"].iloc[0]


def test_differences_name_places_in_words_and_leave_out_what_only_comes_along(
    workspace: Workspace,
) -> None:
    table = comparison.differences(_entries(workspace, _pair(workspace)))
    assert "Stage 1, size" in table.index
    assert "Stage 2, lr" in table.index
    assert "Stage 2, schedule" not in table.index
    assert not any("name" in str(index) for index in table.index)


def test_two_runs_of_one_name_get_names_of_their_own(workspace: Workspace) -> None:
    runs = [fake_run(workspace, "finished") for _ in range(2)]
    labels = [entry.label for entry in _entries(workspace, runs)]
    assert len(set(labels)) == 2


def test_the_guess_stands_beside_the_result(workspace: Workspace) -> None:
    guess = {"progressive": 0.1, "fixed": 0.2}
    run = fake_run(workspace, "finished", prediction=guess, skill=0.03)
    (line,) = comparison.guess_lines(_entries(workspace, [run]))
    assert line == "Quick demo: 10.0\u202f% wrong, came to 6.3\u202f%"


def test_a_swatch_is_a_picture_without_anything_of_the_users() -> None:
    assert comparison.swatch(0).startswith("data:image/svg+xml;utf8,")
    assert comparison.swatch(0) != comparison.swatch(1)
