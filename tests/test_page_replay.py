"""Replays and published runs on the Runs page: the words, the links, and what a tick shows."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import ROOT, open_page, serve, settle
from fake_runs import fake_run, living
from streamlit.testing.v1 import AppTest

from lab.runs.folder import RunFolder
from lab.ui import replay
from lab.ui.player import Player
from lab.workspace import Workspace

PAGE = ROOT / "pages" / "runs.py"
Show = Callable[..., AppTest]
BOOK = "published:fastbook-7"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


@pytest.fixture
def show(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Open the page with an address; nothing is started in the background."""
    monkeypatch.setenv("LAB_WORKSPACE", str(workspace.root))
    for module in ("client", "status"):
        monkeypatch.setattr(f"lab.jobs.{module}.ensure_supervisor", lambda *_: None)

    def opened(**address: str) -> AppTest:
        page = AppTest.from_file(str(PAGE), default_timeout=30)
        for name, value in address.items():
            page.query_params[name] = value
        return page.run()

    return opened


def _texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.info, *page.subheader]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def _metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def _at_s(page: AppTest) -> float:
    """Where the replay stands, in seconds of the run."""
    (player,) = page.session_state[replay._PLAYER].values()
    return player.position(time.monotonic())


def _plays(page: AppTest) -> bool:
    return page.button(key="replay.play").label == "Pause"


# Published runs


def test_they_are_listed_where_there_is_no_run_yet(show: Show) -> None:
    page = show()
    assert not page.exception
    assert "Published runs" in _texts(page)
    assert sum(button.label == "Open" for button in page.button) == 5


def test_one_opens_at_its_end_with_its_source(show: Show) -> None:
    page = show()
    page.button(key=f"runs.open.{BOOK}").click().run()
    assert not page.exception
    assert page.query_params["run"] == BOOK
    assert _metrics(page)["Error rate then"] == "13.7\u202f%"
    assert _metrics(page)["Time then"] == "8:39 of 8:39"
    assert "Jeremy Howard and Sylvain Gugger" in _texts(page)
    assert not _plays(page)


def test_it_offers_nothing_that_would_change_it(show: Show) -> None:
    labels = {button.label for button in show(run=BOOK).button}
    assert not labels & {"Continue", "Delete for good", "Stop now", "Clone and change", "Save"}


def test_the_way_back_leads_to_the_runs(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    page = show(run=BOOK)
    page.button(key="runs.published.back").click().run()
    assert page.selectbox(key="runs.run").value == run.id
    assert "replay" not in page.query_params


def test_an_unknown_published_run_opens_the_page_as_usual(show: Show) -> None:
    page = show(run="published:<b>no such</b>")
    assert not page.exception
    assert "No run yet" in page.info[0].value


@pytest.mark.parametrize("name", ["fastbook-7-baseline", "keras-fixres", "easy-steps"])
def test_each_opens(show: Show, name: str) -> None:
    page = show(run=f"published:{name}")
    assert not page.exception
    assert "Replay of" in _texts(page)


# Replays


def test_a_run_is_replayed_from_its_start_and_says_so(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    page = show(run=run.id)
    page.button(key="replay.offer").click().run()
    assert not page.exception
    assert "Replay of Quick demo, 0.9×." in _texts(page)  # 28.2 s in 30 s
    assert "Before the first of 8 epochs." in _texts(page)
    assert _metrics(page)["Error rate then"] == "–"
    assert page.query_params["replay"] == "0"


def test_a_link_opens_the_moment_and_the_speed(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    page = show(**{"run": run.id, "replay": "4.5", "replay.speed": "10"})
    assert "Stage 2 of 3 at 96\u202fpx, epoch 5 of 8." in _texts(page)
    assert "10×" in _texts(page)
    # 828 images at 585.9 and at 260.4 a second, 0.6 s to validate: 4 x 2.0131 s + 3.7795 s / 2
    assert _at_s(page) == pytest.approx(9.9422, abs=0.001)


@pytest.mark.parametrize("place", ["a lot", "-3", "1e9", "nan", "inf"])
def test_a_strange_place_in_a_link_does_no_harm(
    show: Show, workspace: Workspace, place: str
) -> None:
    run = fake_run(workspace, "finished")
    page = show(run=run.id, replay=place)
    assert not page.exception
    assert 0 <= _at_s(page) <= 28.2


def test_before_a_new_size_it_asks_for_a_guess(show: Show) -> None:
    assert "Next: 224\u202fpx." in _texts(show(run=BOOK, replay="4"))
    assert "Next:" not in _texts(show(run=BOOK, replay="5"))


def test_play_and_pause_is_one_button(show: Show) -> None:
    page = show(run=BOOK, replay="2")
    page.button(key="replay.play").click().run()
    assert _plays(page)
    page.button(key="replay.play").click().run()
    assert not _plays(page)


def _played_for(page: AppTest, seconds: float) -> AppTest:
    """As if it had been playing so long."""
    (name, player), = page.session_state[replay._PLAYER].items()  # fmt: skip
    assert isinstance(player, Player)
    now = time.monotonic()
    late = Player(player.length_s, player.at_s, now - seconds, player.speed, player.stops)
    page.session_state[replay._PLAYER] = {name: late}
    return page.run()


def test_after_a_third_of_its_time_it_shows_a_third(show: Show) -> None:
    page = show(run=BOOK, replay="0")
    page.button(key="replay.play").click().run()
    _played_for(page, 10)  # all of 8:39 in 30 s: 2:53, in the second epoch at 224
    assert "epoch 5 of 10" in _texts(page)
    assert _plays(page)


def test_it_waits_at_a_new_size_where_that_is_wanted(show: Show) -> None:
    page = show(run=BOOK, replay="0")
    page.toggle(key="replay.stops").set_value(True).run()
    page.button(key="replay.play").click().run()
    _played_for(page, 10)
    assert not _plays(page)
    assert _at_s(page) == 120
    assert "Next: 224\u202fpx." in _texts(page)


def test_it_stops_at_its_end(show: Show) -> None:
    page = show(run=BOOK, replay="0")
    page.button(key="replay.play").click().run()
    _played_for(page, 31)
    assert not _plays(page)
    assert page.query_params["replay"] == "10"


def test_a_run_that_trains_can_be_replayed_up_to_now(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.62, identity=living())
    page = show(run=run.id, replay="1")
    assert not page.exception
    assert "after epoch 1 of 8" in _texts(page)
    page.button(key="replay.offer").click().run()
    assert "Replay of" not in _texts(page)


def test_without_a_whole_epoch_there_is_nothing_to_replay(show: Show, workspace: Workspace) -> None:
    page = show(run=fake_run(workspace, "stopped", share=0.02).id)
    assert "replay.offer" not in {button.key for button in page.button}


def test_another_run_is_not_in_the_replay(show: Show, workspace: Workspace) -> None:
    first, second = (fake_run(workspace, "finished") for _ in range(2))
    page = show(run=first.id, replay="3")
    page.selectbox(key="runs.run").set_value(second.id).run()
    assert "Replay of" not in _texts(page)
    assert "replay" not in page.query_params


def test_a_name_cannot_become_markup(show: Show, workspace: Workspace) -> None:
    from fake_runs import eight_epochs

    recipe = eight_epochs().but(name="**x** ![](http://a) :red[b]")
    page = show(run=fake_run(workspace, "finished", recipe=recipe).id, replay="1")
    (said,) = [part.value for part in page.markdown if "Replay of" in part.value]
    assert r"\*\*x\*\*" in said
    assert r"!\[\]" in said


# In a browser


@pytest.fixture
def served(workspace: Workspace) -> Iterator[tuple[str, RunFolder]]:
    run = fake_run(workspace, "finished")
    with serve(ROOT / "app.py", workspace.root, env={"LAB_NO_PROCESSES": "1"}) as url:
        yield url, run


@pytest.mark.slow
def test_a_replay_moves_keeps_the_zoom_and_comes_to_its_end(served: tuple[str, RunFolder]) -> None:
    from playwright.sync_api import sync_playwright

    url, run = served
    with sync_playwright() as playwright, open_page(playwright, f"{url}/runs?run={run.id}") as page:
        settle(page)
        page.get_by_role("button", name="Replay", exact=True).click()
        page.get_by_text("Before the first of 8 epochs.").wait_for()
        page.get_by_role("button", name="Play", exact=True).click()
        page.get_by_text(re.compile("epoch [23] of 8")).wait_for(timeout=30_000)
        plot = page.locator(".lab-chart-plot").first
        plot.evaluate("node => { node.dataset.mark = 'same' }")
        zoomed = _zoom(page)
        page.get_by_text(re.compile("epoch [4-8] of 8")).wait_for(timeout=30_000)
        assert plot.evaluate("node => node.layout.xaxis.range") == zoomed
        assert plot.get_attribute("data-mark") == "same"
        page.get_by_role("button", name="Pause", exact=True).click()
        page.get_by_role("button", name="Play", exact=True).wait_for()
        stood = page.get_by_text(" of 8.").first.inner_text()
        page.wait_for_timeout(2000)
        assert page.get_by_text(" of 8.").first.inner_text() == stood
        assert 3 <= float(page.url.partition("replay=")[2].partition("&")[0]) <= 8
        page.get_by_text("60×").click()
        page.get_by_role("button", name="Play", exact=True).click()
        page.get_by_text("Stage 3 of 3 at 128\u202fpx, after epoch 8 of 8.").wait_for()
        assert "replay=8" in page.url
        assert "replay.speed=60" in page.url


@pytest.mark.slow
def test_the_scrubber_moves_it_and_the_address(served: tuple[str, RunFolder]) -> None:
    from playwright.sync_api import sync_playwright

    url = f"{served[0]}/runs?run={BOOK}&replay=0"
    with sync_playwright() as playwright, open_page(playwright, url) as page:
        settle(page)
        scrubber = page.get_by_role("slider", name="Epochs done")
        box = scrubber.bounding_box()
        page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + box["height"] / 2)
        page.get_by_text("after epoch 4 of 10").wait_for()
        page.get_by_text("2:00 of 8:39").wait_for()
        page.get_by_text("Guess before you press Play").wait_for()
        assert page.url.endswith("replay=4")


def _zoom(page: Any) -> list[float]:
    page.locator(".lab-chart-plot").first.scroll_into_view_if_needed()
    box = page.locator(".lab-chart-plot .nsewdrag").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.1 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=5)
    page.mouse.up()
    page.wait_for_function("document.querySelector('.lab-chart-plot').layout.xaxis.range[1] < 7")
    return page.locator(".lab-chart-plot").first.evaluate("node => node.layout.xaxis.range")
