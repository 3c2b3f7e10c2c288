"""The sections on test sizes and ensembles: what they offer, start, show and refuse."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import APP_HEADER, open_page, serve, settle
from fake_runs import CLASSES, eight_epochs, fake_run
from streamlit.testing.v1 import AppTest

from lab.analysis.test_sizes import SizeCurve
from lab.jobs.tasks import TaskStatus
from lab.runs.folder import RunFolder
from lab.runs.locked import looks
from lab.runs.speeds import note_speeds
from lab.ui.charts.test_sizes import SizeLine, size_grid
from lab.ui.test_sizes import size_from
from lab.workspace import Workspace, write_json

Show = Callable[[str], AppTest]
Started = list[tuple[str, dict[str, Any]]]

_SECTION = """
import streamlit as st
from lab.runs.index import list_runs
from lab.ui import comparison, ensembles, state, test_sizes

rows = {row.id: row for row in list_runs(state.workspace())}
by_age = sorted(rows)
styles = {run_id: at for at, run_id in enumerate(by_age)}
found, broken = comparison.entries(state.workspace().runs, by_age, rows, styles)
NAME.panel(found)
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path))
    return Workspace(tmp_path).create()


@pytest.fixture
def show(workspace: Workspace) -> Show:
    def opened(name: str) -> AppTest:
        page = AppTest.from_string(_SECTION.replace("NAME", name), default_timeout=30).run()
        assert not page.exception, page.exception
        return page

    return opened


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    found: Started = []

    def submit(_: Workspace, kind: str, arguments: dict[str, Any], **__: Any) -> str:
        found.append((kind, arguments))
        return "task-1"

    monkeypatch.setattr("lab.ui.tasks.submit_task", submit)
    monkeypatch.setattr("lab.ui.tasks.task_status", lambda *_: TaskStatus("queued", {}, None))
    return found


def texts(page: AppTest) -> str:
    blocks = (page.markdown, page.caption, page.warning, page.error, page.info)
    return "\n".join(str(element.value) for block in blocks for element in block)


def keep_locked(run: RunFolder, *, right: float, seed: int, n: int = 100) -> None:
    """Leave behind what the task leaves: predictions of the locked items 5000 and up."""
    rng = np.random.default_rng(seed)
    target = np.arange(n) % len(CLASSES)
    probs = rng.dirichlet(np.ones(len(CLASSES)), n)
    sure = rng.random(n) < right
    probs[sure] = 0.02 + 0.88 * np.eye(len(CLASSES))[target[sure]]
    np.savez(
        run.predictions / "s2-128x128-test.npz", item=np.arange(5000, 5000 + n), target=target,
        probs=probs.astype(np.float32), weights=np.array(""), touched=np.empty(0, np.int32),
        unsure=np.array(False),
    )  # fmt: skip


def two_runs(workspace: Workspace, **second: Any) -> list[RunFolder]:
    one = fake_run(workspace, "finished", recipe=eight_epochs().but(name="One"))
    other = eight_epochs().but(name=second.pop("name", "Other"), seed=1)
    return [one, fake_run(workspace, "finished", recipe=other, skill=0.02, **second)]


def test_sizes_offer_what_is_not_scored_yet_with_the_expected_time(workspace, show):
    note_speeds(workspace, "cpu", {"valid_speeds": {"resnet10t|128x128|fp32": 300.0}})
    fake_run(workspace, "finished", recipe=eight_epochs())
    page = show("test_sizes")
    sizes = page.multiselect[1]
    assert sizes.value == ["64", "80", "96", "112", "128", "144", "160"]
    assert "Score 6 sizes" in [button.label for button in page.button]
    # 300 pictures take a second at 128 px: (64² + 80² + 96² + 112² + 144² + 160²) / 128² = 4.8.
    assert "About 0:05 of scoring" in texts(page)


def test_the_button_starts_one_task_for_all_chosen_stages(workspace, show, started):
    runs = two_runs(workspace)
    page = show("test_sizes")
    page.button(key="sizes.score").click().run()
    kind, asked = started[0]
    assert kind == "test_sizes"
    assert asked["runs"] == [
        {"run": run.id, "stage": 2} for run in sorted(runs, key=lambda r: r.id)
    ]
    assert [64, 64] in asked["sizes"]
    assert page.button(key="sizes.score").disabled


def test_a_typed_size_that_is_none_is_named(workspace, show):
    fake_run(workspace, "finished", recipe=eight_epochs())
    page = show("test_sizes")
    page.multiselect[1].set_value(["64", "<b>huge</b>", "9000"]).run()
    shown = page.error[0].value
    assert "9000" in shown
    assert "huge" in shown
    assert "<b>" not in shown.replace("\\<", "")


@pytest.mark.parametrize(
    ("word", "size"),
    [("160", (160, 160)), ("256x192", (256, 192)), (" 96 px ", (96, 96)), ("256×192", (256, 192)),
     ("8", None), ("2000", None), ("a", None), ("64x", None), ("-64", None), ("", None)],
)  # fmt: skip
def test_sizes_are_read_as_people_write_them(word: str, size: tuple[int, int] | None):
    assert size_from(word) == size


def test_sizes_without_a_finished_stage_say_what_to_wait_for(workspace, show):
    fake_run(workspace, "stopped", share=0.1)
    assert "As soon as one of these runs has finished a stage" in texts(show("test_sizes"))


def test_a_refused_size_is_told_in_the_networks_words(workspace, show):
    run = fake_run(workspace, "finished", recipe=eight_epochs())
    refused = {"size": 72, "refused": "vit refuses pictures of 72×72 px", "fix": ""}
    write_json(run.stage(2) / "test_sizes.json", {"weights": None, "sizes": {"72x72": refused}})
    assert "vit refuses pictures of 72×72 px" in texts(show("test_sizes"))


def grid_of_two() -> dict[str, Any]:
    """Trained at 64 and at 96, tested at 64, 96 and 128; the second never at 64."""
    lines = [
        SizeLine(name, at, SizeCurve("run", name, 0, (side, side), (), float(side), None))
        for at, (name, side) in enumerate((("<i>small</i>", 64), ("large", 96)))
    ]
    sizes = [(64, 64), (96, 96), (128, 128)]
    return size_grid(lines, sizes, [[0.3, 0.2, 0.25], [np.nan, 0.12, 0.1]], sizes)


def test_the_grid_shows_each_error_with_the_lowest_of_a_row_in_bold():
    texts_of_cells = grid_of_two()["data"][1]
    assert texts_of_cells["text"] == ["30.0", "<b>20.0</b>", "25.0", "12.0", "<b>10.0</b>"]
    assert list(zip(texts_of_cells["x"], texts_of_cells["y"])) == [
        (0, 0), (1, 0), (2, 0), (1, 1), (2, 1),
    ]  # fmt: skip


def test_the_grid_frames_the_cells_whose_training_size_is_the_test_size():
    frames = [shape for shape in grid_of_two()["layout"]["shapes"] if shape["type"] == "rect"]
    assert [(round(f["x0"] + 0.47), round(f["y0"] + 0.45)) for f in frames] == [(0, 0), (1, 1)]


def test_names_in_the_grid_stay_words():
    assert "<i>" not in str(grid_of_two()["layout"]["yaxis"]["ticktext"])


def test_numbers_on_dark_cells_are_white_and_on_light_ones_black():
    colours = grid_of_two()["data"][1]["textfont"]["color"]
    assert colours[0] == "#000000"  # 30 %, the highest
    assert colours[-1] == "#ffffff"  # 10 %, the lowest


def test_an_ensemble_of_one_run_asks_for_another(workspace, show):
    fake_run(workspace, "finished")
    assert "needs two finished runs" in texts(show("ensembles"))


def test_nothing_is_shown_and_no_look_counted_before_the_button(workspace, show, started):
    runs = two_runs(workspace)
    page = show("ensembles")
    assert "Nobody has looked" in texts(page)
    page.button(key="ensembles.look").click().run()
    kind, asked = started[0]
    assert kind == "score_test"
    assert sorted(one["run"] for one in asked["runs"]) == sorted(run.id for run in runs)
    assert all(looks(run) == [] for run in runs)


def test_the_look_shows_the_verdicts_and_counts_once(workspace, show):
    runs = two_runs(workspace)
    for at, run in enumerate(runs):
        keep_locked(run, right=0.6, seed=at)
    page = show("ensembles")
    assert not page.dataframe
    page.toggle(key="ensembles.stack").set_value(False).run()
    page.button(key="ensembles.look").click().run()
    table = page.dataframe[0].value
    assert len(table) == 4  # two members, average, weighted average
    assert "Average" in texts(page)
    assert "looked at once so far" in texts(page)
    page.run()
    assert [len(looks(run)) for run in runs] == [1, 1]
    assert show("ensembles").dataframe  # the same question again: shown, and not counted again
    assert [len(looks(run)) for run in runs] == [1, 1]


def test_hostile_names_stay_words(workspace, show):
    runs = two_runs(workspace, name="<img src=x onerror=alert(1)> **bold**")
    for at, run in enumerate(runs):
        keep_locked(run, right=0.6, seed=at)
    page = show("ensembles")
    page.toggle(key="ensembles.stack").set_value(False).run()
    page.button(key="ensembles.look").click().run()
    shown = texts(page)
    assert "<img" not in shown.replace("\\<img", "")
    assert "**bold**" not in shown


def test_runs_without_a_locked_part_are_named_with_the_remedy(workspace, show, monkeypatch):
    monkeypatch.setitem(__import__("fake_runs").DATA, "n_test", 0)
    two_runs(workspace)
    page = show("ensembles")
    assert "No locked test part\\: One, Other" in page.error[0].value
    assert not page.button


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)])
def test_both_sections_fit_a_real_browser(workspace, tmp_path, width, dark):
    from playwright.sync_api import sync_playwright

    for at, run in enumerate(two_runs(workspace)):
        keep_locked(run, right=0.6, seed=at)
    both = "".join(_SECTION.replace("NAME", name) for name in ("test_sizes", "ensembles"))
    script = tmp_path / "sections.py"
    script.write_text(f"{APP_HEADER}else:\n" + textwrap.indent(both, "    "))
    with (
        serve(script, workspace.root) as url,
        sync_playwright() as playwright,
        open_page(playwright, url, width=width, dark=dark) as page,
    ):
        page.get_by_role("button", name="Look at the locked test part").click()
        page.get_by_role("button", name="CSV").nth(0).wait_for(timeout=60_000)
        settle(page, 60)
        assert page.locator(".lab-chart-plot").count() == 3  # curves, grid, errors
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.get_by_text("Traceback").count() == 0
