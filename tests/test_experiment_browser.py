"""A question from the browser to its answer: three tiny runs launched as one, trained, compared."""

import re
from pathlib import Path

import pytest
from browser import ROOT, open_page, serve, settle
from reaper import reaped
from small import small_recipe

from lab.runs.experiments import list_experiments, members
from lab.ui.lesson_link import PARAMETER, pack
from lab.workspace import Workspace

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api")
PATIENCE_MS = 180_000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with reaped(tmp_path_factory.mktemp("question")) as folder:
        yield folder


@pytest.fixture(scope="module")
def session(place: Path):
    """A browser that has opened the tiny schedule by a lesson link."""
    (place / "workspace").mkdir()
    with (
        serve(ROOT / "app.py", place / "workspace") as url,
        sync_api.sync_playwright() as playwright,
        open_page(playwright, f"{url}/schedule?{PARAMETER}={pack(small_recipe())}") as page,
    ):
        page.set_default_timeout(PATIENCE_MS)
        settle(page, 60)
        yield page


def made(place: Path):
    (found,) = list_experiments(Workspace(place / "workspace"))
    return found


def test_1_a_question_is_asked_about_the_draft_and_launched(session, place):
    nav = session.get_by_test_id("stSidebarNav")
    nav.get_by_role("link", name="Experiment", exact=True).click()
    session.get_by_role("heading", name="What do you want to find out?").wait_for()
    settle(session, 60)
    seeds = session.get_by_role("spinbutton", name="Seeds for each arm")
    seeds.fill("1")
    seeds.press("Enter")
    session.get_by_text("3 arms with 1 seed: 3 runs").wait_for()
    session.get_by_role("button", name="Launch the experiment").click()
    session.wait_for_url(re.compile(r"experiment="))
    session.get_by_role("heading", name=made(place).question).wait_for()
    arms = ["reference", "fixed-same-epochs", "fixed-same-time"]
    workspace = Workspace(place / "workspace")
    assert [one.arm for one in members(workspace, made(place))] == arms


def test_2_it_is_seen_to_finish_without_a_touch(session, place):
    session.get_by_text("3 of 3 runs are done.").wait_for()
    settle(session, 60)
    found = members(Workspace(place / "workspace"), made(place))
    assert {one.row.status for one in found} == {"finished"}
    same_time = found[2].run
    assert same_time.recipe().same_time_as == found[0].run.id
    assert same_time.resolved()["resolved"]["stages"]["0"]["steps"] >= 1


def test_3_it_is_compared(session, place):
    session.get_by_role("button", name="Compare", exact=True).click()
    session.get_by_role("heading", name="Did it help?").wait_for()
    settle(session, 60)
    workspace = Workspace(place / "workspace")
    for one in members(workspace, made(place)):
        assert one.run.id in session.url
    assert session.get_by_text("Traceback").count() == 0


@pytest.mark.parametrize("path", ["", "?experiment="])
def test_4_a_phone_needs_no_sideways_scrolling(session, place, path):
    base = re.match(r"https?://[^/]+", session.url)[0]
    wanted = f"{base}/experiment{path}{made(place).id if path else ''}"
    session.set_viewport_size({"width": 390, "height": 844})
    session.goto(wanted)
    session.get_by_role("heading").first.wait_for()
    settle(session, 60)
    assert session.evaluate("document.documentElement.scrollWidth") <= 390
