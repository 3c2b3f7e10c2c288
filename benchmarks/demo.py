"""The demo as a newcomer meets it: from the click to a moving curve, to a finished comparison.

    python -m benchmarks.demo            # needs chromium; takes about two minutes
    python -m benchmarks.demo --cold     # the click as soon as the button is there

Serves the real app on an empty workspace, opens Home in a real browser, waits until it is idle,
presses "Run the demo" and reads the clock. Also: how soon the first page is served, and how long
pages take to open while idle and while the demo trains. Cold, nobody has waited: no spare worker is
ready and no leaf is drawn.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.record import save
from lab.runs.events import read_events
from lab.runs.folder import all_runs
from lab.workspace import Workspace

TESTS = Path(__file__).parent.parent / "tests"
sys.path.insert(0, str(TESTS))
from browser import ROOT, open_page, serve, settle  # noqa: E402
from reaper import reaped  # noqa: E402

PAGES = ("Data", "Schedule", "Compare", "Inspect", "Export", "Home")
TITLES = {
    "Home": "Does it help to start small?",
    "Data": "What should it learn from?",
    "Schedule": "How should the sizes grow?",
    "Compare": "Did it help?",
    "Inspect": "What does it see, and when does another look help?",
    "Export": "How do you take it home?",
}
MOVING = (
    "() => { const p = document.querySelector('.lab-chart-plot');"
    " return p && p._fullLayout && p._fullLayout.uirevision.startsWith('loss')"
    " && p.data.some((t) => t.x && t.x.length > 1) }"
)


def opened(page: Page, name: str) -> float:
    """Seconds from the click on a page's name until its title stands there."""
    since = time.perf_counter()
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
    page.get_by_role("heading", name=TITLES[name]).wait_for()
    return time.perf_counter() - since


def all_pages(page: Page, rest_s: float = 1.5) -> dict[str, float]:
    """How long each page takes to open, seconds; `rest_s` lets the page before it come to rest."""
    found = {}
    for name in PAGES:
        page.wait_for_timeout(1000 * rest_s)
        found[name] = round(opened(page, name), 2)
    return found


def demo(page: Page, workspace: Workspace) -> dict[str, Any]:
    """Press the button and watch."""
    page.get_by_role("button", name="Run the demo").wait_for()
    since = time.perf_counter()
    page.get_by_role("button", name="Run the demo").click()
    page.wait_for_function(MOVING)
    found: dict[str, Any] = {"curve_moves_s": round(time.perf_counter() - since, 1)}
    found["pages_while_training_s"] = all_pages(page)
    while not (done := finished(workspace)):
        time.sleep(0.2)
    opened(page, "Compare")
    page.get_by_text("these two models").first.wait_for()
    found["compared_s"] = round(time.perf_counter() - since, 1)
    found["runs"] = done
    return found


def finished(workspace: Workspace) -> list[dict[str, Any]]:
    """What both runs came to; empty until both have finished."""
    runs = sorted(all_runs(workspace), key=lambda run: run.meta()["created"])
    if len(runs) < 2 or any(run.status() != "finished" for run in runs):
        return []
    return [summary(run) for run in runs]


def summary(run: Any) -> dict[str, Any]:
    """Sizes, error, seconds, and the choices that the timing depends on."""
    epochs = [event for event in read_events(run) if event["kind"] == "epoch"]
    recipe, resolved = run.recipe(), run.resolved()["resolved"]
    return {
        "sizes": [stage.label for stage in recipe.stages],
        "epochs": [stage.total_epochs for stage in recipe.stages],
        "network": recipe.model.name,
        "precision": resolved["precision"],
        "threads": resolved["threads"],
        "error_rate": run.scores(len(recipe.stages) - 1)["final"]["error_rate"],
        "seconds": round(sum(event["seconds"] for event in epochs), 1),
    }


def main(cold: bool = False) -> None:
    """Measure and write the record."""
    place = Path(tempfile.mkdtemp(prefix="lab-demo-"))
    with reaped(place), sync_playwright() as playwright:
        since = time.perf_counter()
        with serve(ROOT / "app.py", place) as url, open_page(playwright, "about:blank") as page:
            up = time.perf_counter() - since
            page.set_default_timeout(300_000)
            since = time.perf_counter()
            page.goto(url)
            page.get_by_role("button", name="Run the demo").wait_for()
            first = time.perf_counter() - since
            found = {"server_up_s": round(up, 1), "first_page_s": round(first, 1)}
            if not cold:
                settle(page, 60)
                page.wait_for_timeout(15_000)  # a reader reads; the spare worker gets ready
                idle = [all_pages(page) for _ in range(3)]
                medians = {name: statistics.median(row[name] for row in idle) for name in PAGES}
                found["pages_idle_s"] = medians
            found |= demo(page, Workspace(place))
    print(found)
    name, command = ("demo-cold", " --cold") if cold else ("demo", "")
    print(save(name, found, f"python -m benchmarks.demo{command}"), file=sys.stderr)


if __name__ == "__main__":
    main(cold="--cold" in sys.argv[1:])
