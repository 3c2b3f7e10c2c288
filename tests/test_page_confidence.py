"""The part "Confidence" of the Inspect page: its sentence, diagram, table and what is missing."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from browser import APP_HEADER, open_page, serve, settle
from fake_runs import fake_run
from streamlit.testing.v1 import AppTest

from lab.analysis.metrics import calibration_table, scores
from lab.runs.folder import RunFolder
from lab.ui.charts.base import describe
from lab.ui.charts.calibration import Line, reliability
from lab.workspace import Workspace

LAST = 2
_PART = """
import streamlit as st
from lab.runs.folder import find_run
from lab.ui import inspect_confidence, state
from lab.ui.evidence import evidence
from lab.ui.inspected import Looked

run = find_run(state.workspace(), "last")
stage = run.finished_stages()[-1]
said = evidence(run, stage)
inspect_confidence.panel(
    Looked(run, stage, run.scores(stage), run.recipe(), said, f"{run.id}.{stage}")
)
"""
Show = Callable[[], AppTest]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path))
    return Workspace(tmp_path).create()


@pytest.fixture
def show() -> Show:
    return lambda: AppTest.from_string(_PART, default_timeout=30).run()


def look_again(run: RunFolder, views: int = 4, n: int = 300) -> None:
    """Leave what the task leaves: an over-confident network, and views that waver."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.7, (n, 6))
    chances = _softmax(logits)
    target = (chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    plain = _softmax(2 * logits).astype(np.float32)
    wavering = 2 * logits[:, None] + rng.normal(0, 2.0, (n, views, 6))
    np.savez(
        run.predictions / f"s{LAST}-128x128-tta.npz", item=np.arange(n), target=target,
        plain=plain, views=_softmax(wavering).astype(np.float32), beta=0.25,
    )  # fmt: skip


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info]
    return "\n".join(str(part.value) for part in parts).replace("\u202f", " ")


def test_without_views_it_says_where_to_look_again(workspace: Workspace, show: Show) -> None:
    fake_run(workspace, "finished")
    page = show()
    assert not page.exception
    assert "Nobody has looked again" in texts(page)
    assert page.dataframe[0].value[""].tolist() == ["plain", "plain, temperature"]


def test_with_views_the_claim_is_judged_first(workspace: Workspace, show: Show) -> None:
    look_again(fake_run(workspace, "finished"))
    page = show()
    assert not page.exception
    first = page.markdown[0].value
    assert first.startswith("Without TTA it is ")
    assert "on these 300 images" in first
    assert "Nobody has looked again" not in texts(page)


def test_the_table_shows_the_scores_that_the_lab_gives_everywhere(
    workspace: Workspace, show: Show
) -> None:
    run = fake_run(workspace, "finished")
    look_again(run)
    with np.load(run.predictions / f"s{LAST}-128x128-tta.npz") as stored:
        expected = scores(stored["plain"], stored["target"])
    row = show().dataframe[0].value.iloc[0]
    assert row["log loss"].startswith(f"{expected['log_loss']:.3f} (")
    assert row["ECE"].startswith(f"{100 * expected['ece']:.1f} (")


def test_another_average_gets_its_own_row_with_a_temperature(
    workspace: Workspace, show: Show
) -> None:
    look_again(fake_run(workspace, "finished"))
    page = show()
    way = next(box for box in page.selectbox if box.key.startswith("inspect.way"))
    way.set_value("geometric").run()
    names = page.dataframe[0].value[""].tolist()
    assert not page.exception
    assert "with 4 views (geometric mean), temperature" in names


def test_a_mean_of_logits_is_not_a_second_row(workspace: Workspace, show: Show) -> None:
    look_again(fake_run(workspace, "finished"))
    names = show().dataframe[0].value[""].tolist()
    assert not [name for name in names if "logits" in name]


def test_bins_of_equally_many_images_can_be_chosen(workspace: Workspace, show: Show) -> None:
    look_again(fake_run(workspace, "finished"))
    page = show()
    page.segmented_control(key="inspect.confidence.bins").set_value(
        "of equally many images"
    ).run()  # fmt: skip
    assert not page.exception


def test_a_handful_of_images_is_warned_of(workspace: Workspace, show: Show) -> None:
    look_again(fake_run(workspace, "finished"), n=30)
    page = show()
    assert not page.exception
    assert "Only 30 images" in page.warning[0].value


def test_views_that_came_since_are_seen_at_once(workspace: Workspace, show: Show) -> None:
    run = fake_run(workspace, "finished")
    page = show()
    look_again(run)
    assert "with 4 views" in texts(page.run())


# The diagram


def _line(confidence: list[float], right: list[int], name: str = "plain") -> Line:
    table = calibration_table(np.array(confidence), np.array(right))
    return Line(name, table, table["n"])


def test_a_mark_stands_at_its_confidence_and_accuracy_as_large_as_its_count() -> None:
    # A bin of four, 90 % sure and half right, and one image alone at 30 %.
    chart = reliability([_line([0.9, 0.9, 0.9, 0.9, 0.3], [1, 1, 0, 0, 1])])
    marks = next(trace for trace in chart["data"] if "error_y" in trace)
    assert marks["x"] == pytest.approx([30, 90])
    assert marks["y"] == pytest.approx([100, 50])
    small, large = marks["marker"]["size"]
    assert large**2 == pytest.approx(4 * small**2)


def test_empty_bins_have_no_mark_but_a_bar_of_zero() -> None:
    chart = reliability([_line([0.9, 0.3], [1, 1])])
    marks = next(trace for trace in chart["data"] if "error_y" in trace)
    bars = next(trace for trace in chart["data"] if trace["type"] == "bar")
    assert (len(marks["x"]), len(bars["y"]), sum(bars["y"])) == (2, 15, 2)


def test_the_interval_of_a_mark_is_wilsons() -> None:
    # Wilson, 5 of 10: 23.7 to 76.3 %, as in any table.
    chart = reliability([_line([0.9] * 10, [1] * 5 + [0] * 5)])
    marks = next(trace for trace in chart["data"] if "error_y" in trace)
    assert marks["error_y"]["array"] == pytest.approx([26.3], abs=0.05)
    assert marks["error_y"]["arrayminus"] == pytest.approx([26.3], abs=0.05)


def test_the_diagram_says_its_numbers_to_those_who_cannot_see_it() -> None:
    said = describe(reliability([_line([0.9, 0.9], [1, 0], "<b>views")])).replace("\u202f", " ")
    assert "mean confidence 90.0 %, right 50.0 %" in said


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_part_is_drawn_and_fits(workspace: Workspace, tmp_path: Path, width: int) -> None:
    from playwright.sync_api import sync_playwright

    look_again(fake_run(workspace, "finished"))
    script = tmp_path / "part.py"
    script.write_text(APP_HEADER + "else:\n" + textwrap.indent(_PART, "    "))
    with serve(script, workspace.root) as url, sync_playwright() as playwright:  # noqa: SIM117
        with open_page(playwright, url, width=width) as page:
            settle(page)
            assert page.locator(".lab-chart-plot .scatterlayer .trace").count() == 4
            page.get_by_text("Stage by stage").click()
            page.get_by_text("Each stage's weights at the final size").wait_for()
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0
