"""The report's page: hostile names, nothing loaded, the same colours, a browser offline, paper."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from browser import APP_HEADER, open_page, serve, settle
from fake_runs import eight_epochs, fake_run
from playwright.sync_api import sync_playwright
from report_runs import Page, experiment_numbers, hostile_numbers, make_experiment

from lab.analysis import report, report_figures
from lab.analysis.report_words import minutes, named, percent, points, rate
from lab.analysis.svg_chart import Chart, Line, Point, svg, ticks
from lab.ui import palette
from lab.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws").create()


def test_hostile_names_become_text_and_never_markup(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = report.html(hostile_numbers(workspace, monkeypatch))
    page = Page(text)
    assert {"script", "img", "iframe", "link", "object", "form"} & {
        tag for tag, _ in page.tags
    } == set()
    assert not [name for _, found in page.tags for name in found if name.startswith("on")]
    assert [tag for tag, _ in page.tags].count("style") == 1
    assert "<script>document.title='hit'</script>" in page.text
    assert "{{ 7*7 }}" in page.text
    assert not set("\u202e\u2066\u200f\x00\x1b") & set(text)


def test_nothing_in_the_page_points_outside_of_it(workspace: Workspace) -> None:
    make_experiment(workspace, arms=2)
    page = Page(report.html(experiment_numbers(workspace)))
    for tag, found in page.tags:
        for name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
            assert (found.get(name) or "#").startswith("#"), (tag, found)
    assert "url(" not in report.html(experiment_numbers(workspace))


def test_a_policy_forbids_scripts_and_loading(workspace: Workspace) -> None:
    page = Page(report.html(report.numbers([fake_run(workspace, "finished")])))
    metas = [found for tag, found in page.tags if tag == "meta"]
    (policy,) = [one["content"] for one in metas if "http-equiv" in one]
    rules = dict(rule.strip().split(" ", 1) for rule in (policy or "").split(";"))
    assert rules["default-src"] == "'none'"
    assert "script-src" not in rules


def test_every_figure_has_words_and_every_table_a_caption(workspace: Workspace) -> None:
    make_experiment(workspace, arms=2)
    text = report.html(experiment_numbers(workspace))
    page = Page(text)
    drawings = [
        found for tag, found in page.tags if tag == "svg" and found.get("class") != "swatch"
    ]
    assert len(drawings) == 6
    assert all(len(found["aria-label"] or "") > 30 for found in drawings)
    assert text.count("<table") == text.count("<caption")


def test_names_of_machines_and_owners_stay_out_unless_asked_for(workspace: Workspace) -> None:
    monkey = "here"  # the host of the fake runs
    make_experiment(workspace, arms=1, seeds=1)
    runs, experiment = report.wanted(workspace, ["exp-1"])
    quiet = json.dumps(report.numbers(runs, experiment))
    assert "Secret Owner" not in quiet
    assert f'"{monkey}"' not in quiet
    assert f'"{monkey}"' in json.dumps(report.numbers(runs, experiment, host=True))


def test_a_path_of_somebodys_machine_is_cut_to_its_end(workspace: Workspace) -> None:
    recipe = eight_epochs()
    data = recipe.dataset.but(source="path", path="/home/somebody/secret/photos").model_dump()
    runs = [
        fake_run(workspace, "finished"),
        fake_run(workspace, "finished", recipe=recipe.but(dataset=data)),
    ]
    text = report.html(report.numbers(runs))
    assert "photos" in text
    assert "somebody" not in text


def test_fifteen_runs_make_a_small_file_quickly(workspace: Workspace) -> None:
    make_experiment(workspace)
    begun = time.perf_counter()
    text = report.html(experiment_numbers(workspace))
    assert time.perf_counter() - begun < 10
    assert len(text.encode()) < 2_000_000


# Small parts


def test_the_report_and_the_screens_have_the_same_colours() -> None:
    assert report_figures.RUN_COLOURS == palette.RUN_COLOURS
    assert report_figures.RUN_DASHES == palette.RUN_DASHES
    for sides in ([64], [64, 96, 128], [32, 224]):
        for side in sides:
            assert report_figures.size_colour(side, sides) == palette.size_colour(side, sides)


def test_words_for_numbers() -> None:
    assert [minutes(v) for v in (0, 221, 3821, None)] == ["0:00", "3:41", "1:03:41", "–"]
    assert [percent(v) for v in (0.1234, 0.0, None)] == ["12.3\u202f%", "0.0\u202f%", "–"]
    assert [points(v) for v in (0.012, -0.012, -0.0001)] == ["+1.2", "−1.2", "+0.0"]
    assert [rate(v) for v in (3e-3, 1.5e-4, "finder", None)] == ["3e-3", "1.5e-4", "finder", "–"]


def test_a_name_is_one_line_of_what_can_be_seen() -> None:
    assert named("  a\x00\n b\u202e ") == "a b"
    assert named("1.0\u202f% errors") == "1.0\u202f% errors"
    assert len(named("W" * 300)) == 80


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert ticks(0, 0.3, 3) == [0, 0.1, 0.2, 0.3]
    assert ticks(0, 95, 5, (15, 30, 60)) == [0, 30, 60, 90]
    assert ticks(1, 1) == [1]


def test_a_chart_breaks_its_line_where_a_value_is_missing_and_escapes_its_words() -> None:
    chart = Chart('"<b>', "<i>", "y")
    chart.lines.append(Line([1, 2, 3, 4], [1.0, float("nan"), 2.0, 3.0], "#000000"))
    chart.points.append(Point(2, 2, "#000000", "<u>"))
    drawn = svg(chart)
    (path,) = re.findall(r'<path d="([^"]*)" fill="none"', drawn)
    assert (path.count("M"), path.count("L")) == (2, 1)
    assert not {"<b>", "<i>", "<u>"} & set(re.findall(r"<\w+>", drawn))


# In a real browser, offline


@pytest.fixture
def playwright() -> Any:
    with sync_playwright() as found:
        yield found


_WIDER = """() => [document.documentElement.scrollWidth, innerWidth,
  [...document.querySelectorAll('figure svg text')].filter(text => {
    const box = text.getBoundingClientRect(), svg = text.ownerSVGElement.getBoundingClientRect()
    return box.left < svg.left - 1 || box.right > svg.right + 1
  }).length]"""


_RIGHT_ENDS = """() => [...document.querySelectorAll('table, figure, pre, .scroll')].map(
  one => one.getBoundingClientRect().right)"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_hostile_names_run_nothing_and_break_nothing_in_a_browser(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, playwright: Any,
    width: int, dark: bool,
) -> None:  # fmt: skip
    file = tmp_path / "report.html"
    text = report.html(hostile_numbers(workspace, monkeypatch))
    file.write_bytes(text.encode("utf-8", errors="replace"))
    with open_page(playwright, "about:blank", width=width, dark=dark) as page:
        page.context.set_offline(True)
        asked, told = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: told.append(message.text))
        page.on("dialog", lambda dialog: told.append(dialog.message))
        page.goto(file.as_uri())
        assert asked == [file.as_uri()]
        assert told == []
        assert "hit" not in page.title().split("'")[0]
        assert page.locator("script, img, iframe").count() == 0
        full, seen, cut = page.evaluate(_WIDER)
        assert (full, cut) == (seen, 0)
        assert page.locator("main").is_visible()
        back = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (back == "rgb(20, 24, 29)") == dark


@pytest.mark.slow
def test_no_table_is_wider_than_the_paper(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, playwright: Any
) -> None:
    file = tmp_path / "report.html"
    text = report.html(hostile_numbers(workspace, monkeypatch))
    file.write_bytes(text.encode("utf-8", errors="replace"))
    paper_px = round((210 - 26) / 25.4 * 96)  # A4 less its margins
    with open_page(playwright, file.as_uri(), width=paper_px, dark=True) as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert max(page.evaluate(_RIGHT_ENDS)) <= paper_px + 1
        back = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert back == "rgb(255, 255, 255)"
        assert page.pdf(prefer_css_page_size=True)[:5] == b"%PDF-"


@pytest.mark.slow
def test_the_button_gives_the_file_in_a_browser(
    workspace: Workspace, tmp_path: Path, playwright: Any
) -> None:
    fake_run(workspace, "finished", experiment="demo")
    script = tmp_path / "app.py"
    script.write_text(APP_HEADER + _BUTTON, encoding="utf-8")
    with serve(script, workspace.root) as url, open_page(playwright, url) as page:
        settle(page)
        with page.expect_download() as download:
            page.get_by_role("button", name="Report").click()
        assert download.value.suggested_filename == "report-my-runs.html"
        assert "Final scores" in Path(download.value.path()).read_text(encoding="utf-8")


_BUTTON = """else:
    from lab.ui import state
    from lab.ui.report_button import report_button
    report_button(state.workspace(), ["demo"], key="test.report", title="My runs")
"""
