"""A real Chromium on a real server: what the reader does to a live chart outlives its updates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import APP_HEADER, open_page, serve, settle
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.slow

GROWING = (
    APP_HEADER
    + """
else:
    from lab.ui.live_chart import live_chart

    @st.fragment(run_every=1)
    def live():
        n = st.session_state["n"] = st.session_state.get("n", 40) + 10
        curve = {"type": "scatter", "mode": "lines", "x": list(range(n)), "y": list(range(n))}
        layout = {"xaxis": {"range": [0, 300]}, "hovermode": "x", "uirevision": "a"}
        live_chart({"data": [curve], "layout": layout}, key="test.grow", alt="A line that grows")

    shown = st.toggle("Show", value=True, key="test.show")
    if shown:
        live()
    one, two = st.tabs(["One", "Two"])
    with two:
        bars = {"data": [{"type": "bar", "x": ["a", "b"], "y": [1, 2], "customdata": [7, 8]}]}
        got = live_chart(bars, key="test.bars", clickable=True)
    if got:
        st.write("clicked", got["customdata"])
"""
)
POINTS = "node => node.data[0].x.length"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    script: Path = tmp_path_factory.mktemp("live") / "growing.py"
    script.write_text(GROWING, encoding="utf-8")
    with serve(script) as url:
        yield url


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    with sync_playwright() as playwright, open_page(playwright, address, width=900) as page:
        settle(page)
        yield page


def _wait_for_updates(page: Any, updates: int = 2) -> None:
    """Until the growing curve has been drawn anew so many times."""
    plot = page.locator(".lab-chart-plot").first
    goal = plot.evaluate(POINTS) + 10 * updates
    page.wait_for_function(
        f"document.querySelector('.lab-chart-plot').data[0].x.length >= {goal}", timeout=15_000
    )


def _range(page: Any) -> list[float]:
    return page.locator(".lab-chart-plot").first.evaluate("node => node.layout.xaxis.range")


def _zoom(page: Any) -> list[float]:
    box = page.locator(".lab-chart-plot .nsewdrag").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.1 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], middle, steps=5)
    page.mouse.up()
    page.wait_for_function("document.querySelector('.lab-chart-plot').layout.xaxis.range[1] < 290")
    return _range(page)


def test_zoom_and_node_survive_two_updates(page: Any) -> None:
    page.evaluate("document.querySelector('.lab-chart-plot').dataset.mark = 'same'")
    before = page.locator(".lab-chart-plot").first.evaluate(POINTS)
    zoomed = _zoom(page)
    _wait_for_updates(page)
    plot = page.locator(".lab-chart-plot").first
    assert _range(page) == zoomed
    assert plot.get_attribute("data-mark") == "same"
    assert plot.evaluate(POINTS) >= before + 20


def test_double_click_shows_the_whole_schedule_again(page: Any) -> None:
    _zoom(page)
    box = page.locator(".lab-chart-plot .nsewdrag").first.bounding_box()
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("document.querySelector('.lab-chart-plot').layout.xaxis.range[1] == 300")
    _wait_for_updates(page, 1)
    assert _range(page) == [0, 300]


def test_a_zoomed_chart_offers_a_button_that_shows_all(page: Any) -> None:
    button = page.get_by_role("button", name="Show all")
    assert not button.first.is_visible()
    _zoom(page)
    button.first.click()
    page.wait_for_function("document.querySelector('.lab-chart-plot').layout.xaxis.range[1] == 300")
    assert not button.first.is_visible()


def test_a_tooltip_stays_through_an_update(page: Any) -> None:
    box = page.locator(".lab-chart-plot .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 0.05 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.move(box["x"] + 0.06 * box["width"], box["y"] + box["height"] / 2)
    tip = page.locator(".hoverlayer .hovertext").first
    tip.wait_for(timeout=5000)
    _wait_for_updates(page)
    page.wait_for_timeout(200)
    assert tip.is_visible()


def test_an_update_in_the_middle_of_a_drag_waits_for_its_end(page: Any) -> None:
    box = page.locator(".lab-chart-plot .nsewdrag").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    before = page.locator(".lab-chart-plot").first.evaluate(POINTS)
    page.mouse.move(box["x"] + 0.1 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], middle, steps=5)
    page.wait_for_timeout(2500)
    assert page.locator(".lab-chart-plot").first.evaluate(POINTS) == before
    page.mouse.up()
    page.wait_for_function(
        f"document.querySelector('.lab-chart-plot').data[0].x.length > {before}", timeout=5000
    )
    assert _range(page)[1] < 290


def test_plotly_is_fetched_once_and_kept(page: Any) -> None:
    fetched = page.evaluate(
        "performance.getEntriesByType('resource').filter(r => r.name.includes('lab-assets'))"
        ".map(r => [r.name, r.transferSize])"
    )
    assert len(fetched) == 1
    assert 1e5 < fetched[0][1] < 2e6  # compressed


def test_nothing_is_loaded_from_elsewhere(page: Any, address: str) -> None:
    names = page.evaluate("performance.getEntriesByType('resource').map(r => r.name)")
    assert [name for name in names if not name.startswith((address, "blob:", "data:"))] == []


def test_a_chart_in_a_hidden_tab_is_drawn_when_it_shows_and_reports_clicks(page: Any) -> None:
    page.get_by_role("tab", name="Two").click()
    bars = page.locator(".lab-chart-plot").nth(1)
    bars.locator(".main-svg").first.wait_for(timeout=5000)
    assert bars.bounding_box()["width"] > 300
    box = bars.locator(".nsewdrag").first.bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.8 * box["height"])
    page.get_by_text("clicked 8").wait_for(timeout=5000)


def test_a_chart_follows_the_theme_and_has_words(page: Any) -> None:
    plot = page.locator(".lab-chart-plot").first
    assert plot.get_attribute("aria-label") == "A line that grows"
    colour = "node => node._fullLayout.font.color"
    light = plot.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "light => document.querySelector('.lab-chart-plot')._fullLayout.font.color != light",
        arg=light,
        timeout=5000,
    )


def test_a_chart_that_leaves_the_page_is_taken_down(page: Any) -> None:
    page.evaluate("window.gone = document.querySelector('.lab-chart-plot')")
    page.get_by_text("Show", exact=True).click()
    page.wait_for_function("!window.gone.isConnected && !window.gone._fullLayout", timeout=8000)


def test_a_missing_script_is_said_in_words(address: str) -> None:
    with sync_playwright() as playwright, open_page(playwright, "about:blank") as page:
        page.route("**/lab-assets/**", lambda route: route.abort())
        page.goto(address)
        page.get_by_text("This chart could not load its script").first.wait_for(timeout=15_000)
