"""Inspect, Mistakes, in a real browser: a click on a cell shows its images; every view fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import ROOT, open_page, serve, settle
from mistaken_runs import HOSTILE, mistaken_run
from playwright.sync_api import sync_playwright

from lab.workspace import Workspace

pytestmark = pytest.mark.slow
VIEWS = ("Mixed up", "Largest losses", "Class by class", "How sure", "Labels to check")
LOOKS = [(1280, False), (390, True), (1280, True), (390, False)]

_WIDE = """() => { const main = document.querySelector('[data-testid=stMain]')
  return main.scrollWidth - main.clientWidth }"""
# Where a cell of the map lies on the screen.
_CELL = """([row, column]) => {
  const chart = document.querySelector(".lab-chart[data-key='mistakes.matrix.chart']")
  const plot = chart.querySelector(".lab-chart-plot")
  plot.scrollIntoView({ block: 'center' })
  const { xaxis, yaxis } = plot._fullLayout, box = plot.getBoundingClientRect()
  return [box.left + xaxis._offset + xaxis.c2p(column), box.top + yaxis._offset + yaxis.c2p(row)]
}"""
_COUNTS = """() => document.querySelector(
  '.lab-chart[data-key="mistakes.matrix.chart"] .lab-chart-plot').data[0].text"""


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, str]]:
    """Classes -> the address of a run's mistakes; the run of six has two labels and views."""
    place = Workspace(tmp_path_factory.mktemp("ws")).create()
    many = mistaken_run(place, tmp_path_factory.mktemp("many"), classes=30, each=8)
    few = mistaken_run(
        place, tmp_path_factory.mktemp("few"), flips=[3, 27], second=True, views=True
    )
    with serve(ROOT / "app.py", place.root, env={"LAB_NO_PROCESSES": "1"}) as url:
        yield {n: f"{url}/inspect?run={run.id}&part=Mistakes" for n, run in ((6, few), (30, many))}


@pytest.fixture
def playwright() -> Iterator[Any]:
    with sync_playwright() as started:
        yield started


def _ready(page: Any) -> None:
    page.get_by_text("on the validation images").first.wait_for(timeout=60_000)
    settle(page, 60)


def _pick(page: Any, name: str) -> None:
    page.get_by_test_id("stMain").get_by_role("radio", name=name, exact=True).click()
    page.wait_for_timeout(400)
    settle(page, 60)


def _pictures(page: Any) -> list[str]:
    return [one.get_attribute("alt") for one in page.locator(".thumb img").all()]


def test_a_click_on_a_cell_shows_its_images(playwright: Any, addresses: dict[int, str]) -> None:
    with open_page(playwright, addresses[6]) as page:
        _ready(page)
        page.wait_for_timeout(500)
        page.mouse.click(*page.evaluate(_CELL, [2, 0]))
        page.get_by_text(f"True class 02, answered {HOSTILE}: 2.").wait_for()
        settle(page)
        found = _pictures(page)
        assert len(found) == 2
        assert all(f"labelled class 02, ✗ {HOSTILE}" in words for words in found)


def test_a_click_on_an_image_shows_it_large_with_its_file_name(
    playwright: Any, addresses: dict[int, str]
) -> None:
    with open_page(playwright, addresses[6]) as page:
        _ready(page)
        page.locator("button.thumb").first.click()
        page.get_by_text(f"{HOSTILE}/000.jpg").wait_for()
        settle(page)
        assert page.locator("[data-testid=stImage] img").evaluate("img => img.naturalWidth") == 32


def test_the_scrubber_moves_with_the_keyboard_and_redraws_the_cells(
    playwright: Any, addresses: dict[int, str]
) -> None:
    with open_page(playwright, addresses[6]) as page:
        _ready(page)
        _pick(page, "With views")
        assert page.evaluate(_COUNTS)[0][1] == ""  # the views mend that
        slider = page.get_by_test_id("stMain").get_by_role("slider").first
        slider.focus()
        slider.press("ArrowLeft")
        page.get_by_text("Epoch 8, stage 3").wait_for()
        settle(page)
        assert page.evaluate(_COUNTS)[0][1] == "4"


@pytest.mark.parametrize(("width", "dark"), LOOKS)
@pytest.mark.parametrize("classes", [6, 30])
def test_every_view_fits_the_screen(
    playwright: Any, addresses: dict[int, str], width: int, dark: bool, classes: int
) -> None:
    with open_page(playwright, addresses[classes], width=width, dark=dark) as page:
        _ready(page)
        for name in VIEWS:
            _pick(page, name)
            assert page.evaluate(_WIDE) <= 0, name
            assert page.get_by_test_id("stException").count() == 0, name


def test_a_link_opens_the_same_view(playwright: Any, addresses: dict[int, str]) -> None:
    with open_page(playwright, addresses[6]) as page:
        _ready(page)
        _pick(page, "Labels to check")
        page.get_by_text("2 labels are contradicted").wait_for()
        link = page.url
    with open_page(playwright, link) as page:
        page.get_by_text("2 labels are contradicted").wait_for(timeout=60_000)


def test_the_list_of_suspects_is_taken_home(
    playwright: Any, addresses: dict[int, str], tmp_path: Path
) -> None:
    with open_page(playwright, f"{addresses[6]}&mistakes.view=Labels+to+check") as page:
        page.get_by_text("2 labels are contradicted").wait_for(timeout=60_000)
        settle(page)
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Export the list").click()
        waiting.value.save_as(tmp_path / "list.csv")
    lines = (tmp_path / "list.csv").read_text().splitlines()
    assert lines[0] == "item,file,label,suggested,confidence,label's probability,agree"
    assert {line.split(",")[1] for line in lines[1:]} == {
        f"'{HOSTILE}/003.jpg", "class 01/007.jpg",
    }  # fmt: skip
