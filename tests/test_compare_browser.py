"""The Compare page in a real browser: 20 runs of 3 experiments, light and dark, wide and narrow."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import ROOT, open_page, serve, settle
from fake_runs import eight_epochs, fake_run
from playwright.sync_api import sync_playwright

from lab.recipe import Recipe
from lab.recipe.baselines import fixed_same_epochs
from lab.workspace import Workspace

pytestmark = pytest.mark.slow
SECTIONS = (
    "Curves", "Cost", "Verdict", "Epoch tables", "In hindsight", "Test sizes", "Ensembles",
    "Recipes",
)  # fmt: skip
LOOKS = [(1280, False), (390, True), (1280, True), (390, False)]
LONG = "a fixed size from the first epoch to the last, with a name that goes on"


def _slower(recipe: Recipe) -> Recipe:
    return recipe.but(stages=tuple(s.but(lr=1e-3).model_dump() for s in recipe.stages))


def _split(recipe: Recipe, seed: int) -> Recipe:
    split = recipe.dataset.split.but(seed=seed).model_dump()
    return recipe.but(dataset=recipe.dataset.but(split=split).model_dump())


def _twenty(workspace: Workspace) -> list[str]:
    """3 + 2 + 2 methods: three seeds each, and the last one two."""
    growing, fixed = eight_epochs(), fixed_same_epochs(eight_epochs())
    short = growing.but(stages=(growing.stages[-1].but(epochs=4).model_dump(),))
    arms = [
        ("leaves", "growing", growing, 0.03, 0), ("leaves", "fixed", fixed, 0.01, 0),
        ("leaves", "short", short, -0.02, 0), ("slow", "growing slowly", _slower(growing), 0.02, 0),
        ("slow", LONG, _slower(fixed), 0.0, 0), ("other", "<b>other</b>", _split(growing, 7), 0, 7),
        ("other", "other, fixed", _split(fixed, 7), 0.02, 7),
    ]  # fmt: skip
    runs = []
    for experiment, arm, recipe, skill, split in arms:
        for seed in range(2 if arm == "other, fixed" else 3):
            named = recipe.but(seed=seed, name=f"{arm} seed {seed}")
            luck = 0.004 * ((seed * 7 + len(arm)) % 3)
            runs.append(fake_run(workspace, "finished", recipe=named, skill=skill + luck,
                                 split=split, experiment=experiment, arm=arm))  # fmt: skip
    return [run.id for run in runs]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("compare")).create()


@pytest.fixture(scope="module")
def ids(place: Workspace) -> list[str]:
    return _twenty(place)


@pytest.fixture(scope="module")
def address(place: Workspace, ids: list[str]) -> Iterator[str]:
    with serve(ROOT / "app.py", place.root, env={"LAB_NO_PROCESSES": "1"}) as url:
        yield f"{url}/compare?runs={','.join(ids)}"


@pytest.fixture
def playwright() -> Iterator[Any]:
    with sync_playwright() as started:
        yield started


def _settled(page: Any) -> None:
    page.get_by_role("heading", name="Did it help?").wait_for(timeout=60_000)
    settle(page, 60)


def _section(page: Any, name: str) -> None:
    page.get_by_test_id("stMain").get_by_role("radio", name=name, exact=True).click()
    page.wait_for_timeout(300)
    settle(page, 60)


def _press(page: Any, label: str) -> None:
    page.get_by_role("button", name=label, exact=True).first.click()
    page.wait_for_timeout(300)
    settle(page, 60)


_DATA = """() => {
  const plot = document.querySelector('.lab-chart[data-key="compare.curves"] .lab-chart-plot')
  return {
    lines: Object.fromEntries(plot.data.filter((t) => t.hovertemplate && t.type == 'scatter')
      .map((t) => [t.hovertemplate, [t.line.color, t.x, t.y]])),
    x: plot.layout.xaxis.range, y: plot.layout.yaxis.range,
    rows: plot.layout.yaxis2?.tickvals.length,
  }
}"""

# Boxes of the page's elements that lie on one another by more than two pixels.
_OVERLAPS = """() => {
  const boxes = '[data-testid=stMain] [data-testid=stElementContainer]'
  const all = [...document.querySelectorAll(boxes)]
    .filter((e) => e.offsetWidth && e.offsetHeight && !e.closest('details:not([open])'))
    .map((e) => [e.getBoundingClientRect(), e.innerText.slice(0, 40)])
  const found = []
  for (let i = 0; i < all.length; i++) for (let j = i + 1; j < all.length; j++) {
    const [a, s] = all[i], [b, t] = all[j]
    const w = Math.min(a.right, b.right) - Math.max(a.left, b.left)
    const h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
    if (w > 2 && h > 2) found.push([s, t, Math.round(w), Math.round(h)])
  }
  return found
}"""
_WIDE = """() => { const main = document.querySelector('[data-testid=stMain]')
  return main.scrollWidth - main.clientWidth }"""


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_every_section_fits_the_screen_and_nothing_lies_on_anything(
    playwright: Any, address: str, width: int, dark: bool
) -> None:
    with open_page(playwright, address, width=width, dark=dark) as page:
        _settled(page)
        for name in SECTIONS:
            _section(page, name)
            assert page.evaluate(_WIDE) <= 0, name
            assert page.evaluate(_OVERLAPS) == [], name
            assert page.get_by_text("Traceback").count() == 0, name
            assert page.get_by_test_id("stException").count() == 0, name


def test_the_legend_names_each_method_once_with_its_n(playwright: Any, address: str) -> None:
    with open_page(playwright, address, width=390) as page:
        _settled(page)
        said = page.locator("button.method").all_inner_texts()
        shown = {" ".join(words.split()) for words in said}
        few = {"other, fixed n = 2"}
        many = {"growing", "fixed", "short", "growing slowly", LONG, "<b>other</b>"}
        assert shown == {f"{name} n = 3" for name in many} | few
        right = page.evaluate(
            "() => Math.max(...[...document.querySelectorAll('[data-testid=stBidiComponentRegular]"
            "')].map((e) => e.getBoundingClientRect().right))"
        )
        assert right <= 390


def test_hiding_a_seed_or_a_method_changes_nothing_of_the_others(
    playwright: Any, address: str
) -> None:
    with open_page(playwright, address) as page:
        _settled(page)
        before = page.evaluate(_DATA)
        _press(page, "Seed 1 of growing")
        without = page.evaluate(_DATA)
        assert len(without["lines"]) == len(before["lines"]) - 1
        _press(page, "fixed n = 3")
        after = page.evaluate(_DATA)
        assert len(after["lines"]) == len(before["lines"]) - 1 - 4  # three seeds and their mean
        assert after["lines"].items() <= before["lines"].items()
        assert [after[name] for name in ("x", "y", "rows")] == [
            before[name] for name in ("x", "y", "rows")
        ]
        _press(page, "fixed n = 3")
        _press(page, "Seed 1 of growing")
        assert page.evaluate(_DATA) == before
        assert "hide" not in parse_qs(urlsplit(page.url).query)


def test_the_address_opened_elsewhere_gives_the_same_view(playwright: Any, address: str) -> None:
    with open_page(playwright, address) as page:
        _settled(page)
        main = page.get_by_test_id("stMain")
        main.get_by_role("radio", name="train loss", exact=True).click()
        settle(page, 60)
        main.get_by_role("radio", name="pixels", exact=True).click()
        settle(page, 60)
        slider = main.get_by_role("slider").first
        slider.focus()
        for _ in range(3):
            slider.press("ArrowLeft")
        page.wait_for_timeout(500)
        page.get_by_text("Log scale", exact=True).click()
        settle(page, 60)
        _press(page, "fixed n = 3")
        seen, link = page.evaluate(_DATA), page.url
    with open_page(playwright, link) as page:
        _settled(page)
        assert page.evaluate(_DATA) == seen
        main = page.get_by_test_id("stMain")
        assert main.get_by_role("slider").first.input_value() == "0.95"
        for name in ("Curves", "train loss", "pixels"):
            assert main.get_by_role("radio", name=name, exact=True).is_checked(), name
        gone = page.get_by_role("button", name="fixed n = 3", exact=True).first
        assert gone.get_attribute("aria-pressed") == "false"
    with open_page(playwright, f"{address}&compare.section=Recipes") as page:
        _settled(page)
        page.get_by_text("fields differ between these 7 methods").wait_for()


def test_a_chart_is_taken_home_as_csv_png_and_svg(
    playwright: Any, address: str, ids: list[str], tmp_path: Path
) -> None:
    with open_page(playwright, address) as page:
        _settled(page)
        files = {}
        for name in ("CSV", "PNG", "SVG"):
            with page.expect_download() as download:
                page.get_by_role("button", name=name, exact=name != "CSV").first.click()
            files[name] = tmp_path / download.value.suggested_filename
            download.value.save_as(files[name])
    assert {path.name for path in files.values()} == {
        "error-by-epoch.csv", "error-by-epoch.png", "error-by-epoch.svg",
    }  # fmt: skip
    assert files["PNG"].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    drawn = files["SVG"].read_text(encoding="utf-8")
    assert "Error rate against epochs done" in drawn
    assert "growing slowly (n = 3)" in drawn
    assert "<b>other" not in drawn
    rows = list(csv.DictReader(io.StringIO(files["CSV"].read_text(encoding="utf-8"))))
    runs = [row for row in rows if row["what"] == "run"]
    assert {row["run"] for row in runs} == set(ids)
    assert len(runs) == 17 * 8 + 3 * 4  # eight epochs each, four of the short ones


def test_an_experiment_brings_all_of_its_runs(
    playwright: Any, address: str, ids: list[str]
) -> None:
    bare = address.partition("?")[0]
    with open_page(playwright, f"{bare}?runs={','.join(ids[-5:])}") as page:
        _settled(page)
        page.get_by_text("5 runs, 2 methods").wait_for()
        page.get_by_text("Choose what is compared").click()
        settle(page, 60)  # a list that opens while the page is drawn anew closes again
        field = page.get_by_role("combobox", name="Experiments")
        field.scroll_into_view_if_needed()
        field.click()
        page.get_by_role("option", name="leaves (9 runs)").click()
        page.get_by_text("14 runs, 5 methods").wait_for()
        assert len(parse_qs(urlsplit(page.url).query)["runs"][0].split(",")) == 14
