"""The library with a thousand runs: how long the list takes, and the page that shows it.

    python -m benchmarks.library             # needs chromium; under a minute
    python -m benchmarks.library --runs 100

Copies a finished run of 8 epochs under a thousand names, lists them with no index, with one, and
after one run has changed, searches, and opens the page in a real browser. The record says how busy
the machine was: on a quiet one the load is below its cores.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from playwright.sync_api import Page, sync_playwright

from benchmarks.record import save
from lab.runs.folder import RunFolder
from lab.runs.index import list_runs
from lab.runs.search import search
from lab.workspace import Workspace

TESTS = Path(__file__).parent.parent / "tests"
sys.path.insert(0, str(TESTS))
from browser import ROOT, open_page, serve, settle  # noqa: E402
from fake_runs import fake_run  # noqa: E402

TIMES = 7


def make(workspace: Workspace, count: int) -> list[RunFolder]:
    """So many finished runs with names, tags and experiments of their own."""
    template = fake_run(workspace, "finished")
    found = []
    for n in range(count):
        run = RunFolder(workspace.runs / f"20261120-{n // 3600:04d}-{n % 60:02d}-run-{n:04x}")
        shutil.copytree(template.path, run.path)
        recipe = json.loads(run.recipe_file.read_text()) | {"name": f"Run {n}", "seed": n}
        run.recipe_file.write_text(json.dumps(recipe))
        about = {"created": 1.7e9 + 60 * n, "experiment": f"e{n // 12}", "tags": [f"tag {n % 7}"]}
        run.meta_file.write_text(json.dumps(about))
        found.append(run)
    shutil.rmtree(template.path)
    return found


def median_s(work: Callable[[], Any]) -> float:
    """Median of several, seconds."""
    times = []
    for _ in range(TIMES):
        since = time.perf_counter()
        work()
        times.append(time.perf_counter() - since)
    return round(statistics.median(times), 3)


def listing(workspace: Workspace, runs: list[RunFolder]) -> dict[str, float]:
    """Seconds of the list: without an index, with it, after a change, and of a search in it."""

    def cold() -> None:
        for file in workspace.root.glob("lab.db*"):
            file.unlink()
        list_runs(workspace)

    def changed() -> None:
        runs[0].set_meta(tags=[str(time.time())])
        list_runs(workspace)

    found = {"no_index_s": median_s(cold)}
    found |= {"list_s": median_s(lambda: list_runs(workspace)), "one_changed_s": median_s(changed)}
    rows = list_runs(workspace)
    words = 'resnet leaves tag:"tag 3" status:finished'
    return found | {"search_s": median_s(lambda: search(rows, words))}


def screen(page: Page, count: int) -> dict[str, float]:
    """Seconds in the browser: opening the page from Home; a search; the second page of the list."""
    nav, shown = page.get_by_test_id("stSidebarNav"), f"{count} run" if count < 1000 else "runs."

    def opened() -> float:
        nav.get_by_role("link", name="Home", exact=True).click()
        page.get_by_role("heading", name="Your runs").wait_for()
        settle(page)
        since = time.perf_counter()
        nav.get_by_role("link", name="Runs", exact=True).click()
        page.get_by_text(shown).first.wait_for()
        page.locator("[data-testid='stDataFrame'] canvas").last.wait_for()
        return time.perf_counter() - since

    def searched(word: str) -> float:
        box = page.get_by_role("textbox", name="Search")
        since = time.perf_counter()
        box.fill(word)
        box.press("Enter")
        page.get_by_text("1 of ").first.wait_for()
        taken = time.perf_counter() - since
        box.fill("")
        box.press("Enter")
        page.get_by_text(shown).first.wait_for()
        settle(page)
        return taken

    found = {"open_s": [opened() for _ in range(TIMES)]}
    settle(page)
    found["search_s"] = [searched(f'name:"run {n}"') for n in range(count - TIMES, count)]
    return {name: round(statistics.median(times), 2) for name, times in found.items()}


def measured(count: int) -> dict[str, Any]:
    """Both, on a workspace of so many runs."""
    place = Path(tempfile.mkdtemp(prefix="lab-library-"))
    os.environ["LAB_NO_PROCESSES"] = "1"
    try:
        workspace = Workspace(place).create()
        found: dict[str, Any] = {"runs": count, **listing(workspace, make(workspace, count))}
        with (
            sync_playwright() as playwright,
            serve(ROOT / "app.py", place) as url,
            open_page(playwright, url) as page,
        ):
            settle(page, 60)
            page.wait_for_timeout(5_000)  # the server imports what it will need
            return found | {"page": screen(page, count)}
    finally:
        shutil.rmtree(place, ignore_errors=True)


@click.command()
@click.option("--runs", "count", default=1000, show_default=True, help="How many.")
def main(count: int) -> None:
    """Measure with few runs and with many, and write the record."""
    rows = [measured(12), measured(count)]
    print(json.dumps(rows, indent=1))
    about = {"times": TIMES, "load": round(os.getloadavg()[1], 1), "rows": rows}
    print(save("library", about, "python -m benchmarks.library"))


if __name__ == "__main__":
    main()
