"""The Compare page on an empty, a full and a broken workspace, section by section."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_runs import eight_epochs, fake_run
from streamlit.testing.v1 import AppTest

from lab.analysis.published import published_runs
from lab.recipe.baselines import fixed_same_epochs
from lab.runs.folder import RunFolder
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

    def opened(runs: Sequence[RunFolder | str] = (), section: str = "", **link: str) -> AppTest:
        page = AppTest.from_file(str(PAGE), default_timeout=30)
        if runs:
            ids = [run if isinstance(run, str) else run.id for run in runs]
            page.query_params["runs"] = ",".join(ids)
        if section:
            page.query_params["compare.section"] = section
        for name, value in link.items():
            page.query_params[name] = value
        return page.run()

    return opened


def _pair(workspace: Workspace, **of_second: Any) -> tuple[RunFolder, RunFolder]:
    recipe = eight_epochs().but(name="Growing")
    fixed = fixed_same_epochs(recipe).but(name="Fixed")
    first = fake_run(workspace, "finished", recipe=recipe, experiment="e", skill=0.03)
    return first, fake_run(workspace, "finished", recipe=fixed, experiment="e", **of_second)


def _seeds(workspace: Workspace, n: int = 3, **more: Any) -> list[RunFolder]:
    """n seeds of growing and of fixed sizes, one experiment; a seed's luck is half a point."""
    recipe, runs = eight_epochs(), []
    for arm, one, skill in (("growing", recipe, 0.03), ("fixed", fixed_same_epochs(recipe), 0.0)):
        for seed in range(n):
            named = one.but(seed=seed, name=f"{arm} seed {seed}")
            luck = 0.005 * seed * (1 if arm == "fixed" else -1)
            runs.append(fake_run(workspace, "finished", recipe=named, skill=skill + luck,
                                 experiment="leaves", arm=arm, **more))  # fmt: skip
    return runs


def _count(run: RunFolder, **numbers: float) -> None:
    """Write numbers that grow with the pixels into a run's epochs, as newer workers do."""
    file = run.events / "0.jsonl"
    events = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for event in events:
        if event["kind"] == "epoch":
            event |= {name: each * event["pixels"] for name, each in numbers.items()}
    file.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def _picked(page: AppTest) -> Any:
    return page.multiselect(key="compare.runs")


def _texts(page: AppTest) -> str:
    """Everything said, as it reads: without the escapes that keep it plain text."""
    return _markdown(page).replace("\\", "")


def _markdown(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info]
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
    assert sorted(_picked(page).value) == sorted(run.id for run in runs)


def test_a_pair_gets_an_answer_in_words_with_its_cost(show: Show, workspace: Workspace) -> None:
    page = show(_pair(workspace))
    assert "Growing makes fewer errors: 6.3\u202f% against 9.3\u202f%." in _texts(page)
    assert "less time" in _texts(page)
    assert "300 images" in _texts(page)
    assert "about these two models" in _texts(page)


def test_too_small_a_difference_is_said_not_to_be_evidence(
    show: Show, workspace: Workspace
) -> None:
    page = show(_pair(workspace, skill=0.028))
    assert "Not enough evidence" in _texts(page)


def test_runs_on_other_images_are_refused_in_words(show: Show, workspace: Workspace) -> None:
    page = show(_pair(workspace, split=7))
    assert not page.exception
    assert "Not all of these runs can be compared" in _texts(page)
    assert "Scored on different images" in _texts(page)
    assert "makes fewer errors:" not in _texts(page)
    page = show(_picked(page).value, "Verdict")
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
    assert _picked(page).value == [runs[1].id]


def test_a_run_without_a_readable_recipe_is_said_in_words(show: Show, workspace: Workspace) -> None:
    runs = _pair(workspace)
    runs[0].recipe_file.write_text("[]", encoding="utf-8")
    page = show(runs)
    assert not page.exception


def test_damaged_predictions_are_said_in_words(show: Show, workspace: Workspace) -> None:
    runs = _pair(workspace)
    (runs[0].predictions / "s2-128x128.npz").write_bytes(b"no")
    page = show(runs, "Verdict")
    assert not page.exception
    assert "cannot be read" in _texts(page)


def test_taking_a_run_out_keeps_the_other_and_the_link(show: Show, workspace: Workspace) -> None:
    first, second = _pair(workspace)
    page = show([first, second])
    _picked(page).unselect(first.id).run()
    assert not page.exception
    assert _picked(page).value == [second.id]
    assert page.query_params["runs"] == second.id
    assert list(page.session_state[comparison.STYLES].values()) == [1]


def test_a_hostile_name_never_becomes_markup(show: Show, workspace: Workspace) -> None:
    recipe = eight_epochs().but(name="<img src=x> [a](http://b)")
    page = show([fake_run(workspace, "finished", recipe=recipe) for _ in range(2)])
    assert "<img" not in _markdown(page).replace("\\<", "")


# Sections

SECTIONS = (
    "Curves", "Cost", "Verdict", "Epoch tables", "In hindsight", "Test sizes", "Ensembles",
    "Recipes",
)  # fmt: skip


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_opens_for_methods_with_seeds(
    show: Show, workspace: Workspace, section: str
) -> None:
    page = show(_seeds(workspace), section)
    assert not page.exception
    assert not page.error
    usual = section == "Curves"  # what is usual does not stand in the address
    assert ("compare.section" in page.query_params) != usual


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_opens_for_one_run_that_has_just_begun(
    show: Show, workspace: Workspace, section: str
) -> None:
    page = show([fake_run(workspace, "stopped", share=0.2)], section)
    assert not page.exception


def test_only_the_open_section_is_made(show: Show, workspace: Workspace) -> None:
    page = show(_pair(workspace), "Recipes")
    assert len(page.dataframe) == 1


@pytest.mark.parametrize("x", ["steps", "time", "pixels", "FLOPs"])
@pytest.mark.parametrize("y", ["error", "valid loss", "train loss", "rate", "size"])
def test_the_address_says_axis_and_curve(show: Show, workspace: Workspace, x: str, y: str) -> None:
    page = show(_pair(workspace), **{"compare.x": x, "compare.y": y, "compare.log_y": "true"})
    assert not page.exception
    names = {"steps": "step", "FLOPs": "flops"}
    assert page.session_state["compare.x"] == names.get(x, x)


def test_runs_whose_operations_were_not_counted_are_named(show: Show, workspace: Workspace) -> None:
    counted, older = _pair(workspace)
    _count(counted, flops=1800.0)
    page = show([counted, older], **{"compare.x": "FLOPs"})
    assert "Not drawn: Fixed." in _texts(page)
    assert "operations were not counted" in _texts(page)


def test_what_is_hidden_stands_in_the_address_and_counts_all_the_same(
    show: Show, workspace: Workspace
) -> None:
    first, second = _pair(workspace)
    page = show([first, second], hide=first.id)
    assert not page.exception
    assert page.session_state["compare.hidden"] == [first.id]
    assert page.query_params["hide"] == first.id
    assert "Growing makes fewer errors" in _texts(page)


def test_several_seeds_make_a_verdict_about_the_methods(show: Show, workspace: Workspace) -> None:
    page = show(_seeds(workspace), "Verdict")
    assert "6 runs, 2 methods" in _texts(page)
    assert "over 3 seeds" in _texts(page)
    assert "methods, on this data" in _texts(page)
    table = page.dataframe[0].value
    assert table["about"].tolist() == ["method"] * 3
    assert table["score"].tolist() == ["error %", "log loss", "balanced error %"]


def test_three_methods_are_corrected_for_three_comparisons(
    show: Show, workspace: Workspace
) -> None:
    runs = _seeds(workspace)
    base = eight_epochs()
    for seed in range(3):
        recipe = base.but(seed=seed, stages=tuple(s.but(lr=1e-3) for s in base.stages))
        runs.append(fake_run(workspace, "finished", recipe=recipe, skill=0.01 + 0.003 * seed))
    page = show(runs, "Verdict")
    assert "corrected for 3 comparisons" in _texts(page)
    table = page.dataframe[0].value
    assert (table["p, corrected"] >= table["p"]).all()


def test_runs_that_differ_in_the_seed_alone_are_said_to_be_luck(
    show: Show, workspace: Workspace
) -> None:
    page = show(_seeds(workspace)[:3])
    assert "3 runs of one recipe" in _texts(page)


def test_recipes_are_compared_between_methods_not_seeds(show: Show, workspace: Workspace) -> None:
    page = show(_seeds(workspace), "Recipes")
    table = page.dataframe[0].value
    assert list(table.columns) == ["growing", "fixed"]
    assert "Seed" not in table.index


def test_a_published_run_is_drawn_and_takes_no_part_in_verdicts(
    show: Show, workspace: Workspace
) -> None:
    reference = published_runs()[0].id
    page = show([*_pair(workspace), reference])
    assert not page.exception
    assert "take no part in verdicts" in _texts(page)
    assert "2 runs, 2 methods, 1 published run" in _texts(page)
    page = show([*_picked(page).value], "Verdict")
    shown = page.dataframe[0].value
    assert set(shown["first"]) | set(shown["second"]) == {"Growing", "Fixed"}


def test_published_runs_can_be_looked_at_without_any_of_ones_own(show: Show) -> None:
    for section in SECTIONS:
        page = show([run.id for run in published_runs()], section)
        assert not page.exception


def test_an_experiment_is_taken_whole_and_given_back_whole(
    show: Show, workspace: Workspace
) -> None:
    runs, single = _seeds(workspace), fake_run(workspace, "finished")
    page = show([single])
    page.multiselect(key="compare.experiments").select("leaves").run()
    assert set(_picked(page).value) == {run.id for run in [*runs, single]}
    page.multiselect(key="compare.experiments").unselect("leaves").run()
    assert _picked(page).value == [single.id]


def test_coming_back_to_the_page_shows_what_was_compared_last(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("LAB_NO_PROCESSES", "1")
    _seeds(workspace)
    single = fake_run(workspace, "finished")
    page = AppTest.from_file(str(PAGE.parents[1] / "app.py"), default_timeout=60).run()
    page.session_state["compare.runs"] = [single.id]
    page.switch_page(str(PAGE)).run()
    assert _picked(page).value == [single.id]
    page.switch_page(str(PAGE.with_name("home.py"))).run()
    page.switch_page(str(PAGE)).run()
    assert _picked(page).value == [single.id]
