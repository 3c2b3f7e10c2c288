"""The part "Resolution" of the Inspect page: what it asks the helper, and what it says."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import ROOT, open_page, serve, settle
from fake_runs import CLASSES, fake_run
from PIL import Image
from reaper import reaped
from small import small_recipe
from streamlit.testing.v1 import AppTest

from lab.errors import LabError
from lab.runs.folder import RunFolder, create_run
from lab.ui.inspect_resolution import grid_words, size_numbers, stage_sentence
from lab.ui.resolution_grid import Cell, Column, Row, cell_words
from lab.ui.resolution_pick import answers_by_row
from lab.workspace import Workspace

PAGE = ROOT / "pages" / "inspect.py"
SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1]]
Show = Callable[[RunFolder], AppTest]


def picture(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (90, 140, 60)).save(file, "PNG")
    return file.getvalue()


class Helper:
    """Answers class 0 as the helper would; 64 px is refused to stage 3."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.cam: LabError | None = None

    def call(self, _: Workspace, op: str, arguments: dict[str, Any], **__: Any) -> Any:
        self.asked.append((op, arguments))
        return getattr(self, op)(arguments)

    def resolution_views(self, arguments: dict[str, Any]) -> Any:
        ratio = {"ratio": 1.28, "low": 1.0, "high": 1.7, "matched_px": 164.0}
        stages = [
            {"stage": number, "size": [side, side], "final_size": [128, 128],
             "test_quad": SQUARE, "final_quad": SQUARE, "quads": [SQUARE] * 3,
             "larger": [1.0, 1.3, 1.7], "own": ratio, "final": ratio, "formula_px": 164.0,
             "formula_final_px": 164.0}
            for number, side in enumerate((64, 96, 128))
        ]  # fmt: skip
        pngs = [picture(side) for side in (64, 96, 128) for _ in range(3)]
        return {"height": 200, "width": 300, "stages": stages}, [picture(30), *pngs]

    def size_answer(self, arguments: dict[str, Any]) -> Any:
        side = arguments["size"][0]
        if side == 64 and arguments["stage"] == 2:
            return {"refused": "vit refuses pictures of 64×64 px."}, []
        probs = np.full(len(CLASSES), 0.05)
        probs[0] = 1 - probs[1:].sum()
        return {"probs": probs.tolist()}, [picture(side)]

    def grad_cam(self, arguments: dict[str, Any]) -> Any:
        if self.cam:
            raise self.cam
        return {"target": 0, "cells": [4, 4], "empty": False}, [picture(arguments["size"][0])]

    def of(self, op: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.asked if name == op]


@pytest.fixture
def helper(monkeypatch: pytest.MonkeyPatch) -> Helper:
    made = Helper()
    monkeypatch.setattr("lab.jobs.helper_client.call", made.call)
    monkeypatch.setattr("lab.jobs.helper_client.is_warm", lambda *_: True)
    return made


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path))
    monkeypatch.setattr("lab.jobs.helper_client.start", lambda *_: None)
    return Workspace(tmp_path).create()


@pytest.fixture
def show(workspace: Workspace) -> Show:
    def opened(run: RunFolder) -> AppTest:
        page = AppTest.from_file(str(PAGE), default_timeout=30)
        page.query_params["run"], page.session_state["part"] = run.id, "resolution"
        page.run()
        assert not page.exception, page.exception
        return page

    return opened


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def test_the_sentence_names_the_matching_test_size(show, workspace, helper):
    page = show(fake_run(workspace, "finished"))
    assert "Stage 3: objects look 1.28 times larger in training than at test" in texts(page)
    assert "tested at 164" in texts(page)


def test_every_stage_is_asked_at_every_size_once(show, workspace, helper):
    page = show(fake_run(workspace, "finished"))
    asked = [(a["stage"], a["size"][0]) for a in helper.of("size_answer")]
    assert sorted(asked) == [(stage, side) for stage in range(3) for side in (64, 96, 128)]
    assert not helper.of("grad_cam")
    page.run()
    assert len(helper.of("size_answer")) == len(asked)


def test_evidence_is_asked_for_only_when_it_is_wanted(show, workspace, helper):
    page = show(fake_run(workspace, "finished"))
    page.segmented_control(key="resolution.shown").set_value("truth").run()
    assert not page.exception
    said = helper.of("grad_cam")
    assert len(said) == 8  # nine cells, one of them refused
    assert all(arguments["target"] >= 0 for arguments in said)


def test_without_the_library_the_answers_are_still_there(show, workspace, helper):
    helper.cam = LabError("Grad-CAM needs the library grad-cam, which is not installed here.", "x")
    page = show(fake_run(workspace, "finished"))
    page.segmented_control(key="resolution.shown").set_value("answer").run()
    assert not page.exception
    assert "needs the library grad-cam" in texts(page)
    assert "of 8 cells" in texts(page)


def test_while_the_helper_warms_up_the_pictures_can_be_chosen(show, workspace, monkeypatch):
    monkeypatch.setattr("lab.jobs.helper_client.is_warm", lambda *_: False)
    page = show(fake_run(workspace, "finished"))
    assert "warms up" in texts(page)
    assert page.segmented_control(key_of(page, "resolution.filter"))


def key_of(page: AppTest, start: str) -> str:
    return next(c.key for c in page.segmented_control if str(c.key).startswith(start))


def test_other_draws_ask_for_another_roll(show, workspace, helper):
    page = show(fake_run(workspace, "finished"))
    page.button("resolution.roll").click().run()
    assert [arguments["roll"] for arguments in helper.of("resolution_views")] == [0, 1]


def test_pictures_whose_answer_changes_are_counted_by_their_stored_answers(workspace):
    run = fake_run(workspace, "finished")
    with np.load(run.predictions / "s2-128x128.npz") as stored:
        items, target = stored["item"], stored["target"]

    class Said:
        item = items

    for file in run.predictions.glob("s*.npz"):
        answers = np.zeros((len(items), len(CLASSES)), np.float32)
        answers[:, 0] = 1
        if file.name == "s0-64x64.npz":
            answers[4] = np.eye(len(CLASSES))[2]
        if file.name == "s1-96x96.npz":
            answers[4] = np.eye(len(CLASSES))[3]
            answers[7] = np.eye(len(CLASSES))[2]
        np.savez(file, item=items, target=target, probs=answers)
    found = answers_by_row(run, Said)
    assert (found[4], found[7], found[0]) == (3, 2, 1)
    assert found.sum() == len(items) + 2 + 1


# Words


def test_a_cell_says_in_words_what_its_colour_says():
    row, column = Row("Stage 1", "trained at 64 px", "#000", []), Column("96 px", "#000", 96, 96)
    cell = Cell("rust", 0.871, 0.04, right=False)
    said = cell_words(row, column, cell).replace("\u202f", " ")
    assert said == (
        "Stage 1, trained at 64 px, tested at 96 px: rust (87 %), wrong. The truth gets 4 %."
    )


def test_the_grid_is_summed_up_in_two_sentences():
    columns = [Column("64 px", "", 64, 64), Column("96 px", "", 96, 96)]
    cells = [Cell("rust", 0.9, 0.9, True), Cell(note="refused")]
    rows = [
        Row("Stage 1", "", "", cells), Row("Stage 2", "", "", [Cell("scab", 0.6, 0.3), cells[0]]),
    ]  # fmt: skip
    said = grid_words(columns, rows).replace("\u202f", " ")
    assert said.startswith("Right in 2 of 3 cells.")
    assert "stage 1 at 64 px: 90 %" in said


def test_where_the_picture_differs_from_the_formula_both_are_said():
    own = {"ratio": 1.1, "low": 1.0, "high": 1.2, "matched_px": 140.8}
    stage = {"stage": 0, "size": (128, 128), "final_size": (128, 128), "own": own, "final": own}
    assert "(A square picture without zoom would match at 164" in stage_sentence(
        {**stage, "formula_px": 164.0}
    )
    assert "A square picture" not in stage_sentence({**stage, "formula_px": 141.0})
    assert size_numbers({**stage, "formula_px": 164.0})["Looks the same at, px"] == 141


# In a real browser, with the real helper


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small run, and a lab that is served on it."""
    from lab.worker import train_in_process

    with reaped(tmp_path_factory.mktemp("resolution-page")) as folder:
        workspace = Workspace(folder).create()
        crops = {"resize": "random-resized-crop", "min_scale": 0.35}
        stages = [
            {"size": side, "epochs": 1, "batch_size": 16, "lr": 3e-3, **crops} for side in (48, 64)
        ]
        run = create_run(workspace, small_recipe(stages))
        assert train_in_process(workspace, run, 0, "cpu", lambda event: None) == 0
        with serve(ROOT / "app.py", folder) as url:
            yield url, run


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_picture_is_followed_through_sizes_in_a_browser(trained, width, dark):
    sync_api = pytest.importorskip("playwright.sync_api")
    url, run = trained
    address = f"{url}/inspect?run={run.id}&part=Resolution"
    with (
        sync_api.sync_playwright() as playwright,
        open_page(playwright, address, width=width, dark=dark) as page,
    ):
        page.set_default_timeout(90_000)
        table = page.locator("table").first
        table.wait_for()
        settle(page)
        first = page.locator("button.thumb").first.get_attribute("aria-label") or ""
        shown = page.get_by_text("true class").first.inner_text()
        page.locator("button.thumb").nth(1).click()
        page.wait_for_function(
            "before => !document.body.innerText.includes(before)", arg=shown, timeout=60_000
        )
        settle(page)
        assert page.locator("svg.frames polygon").count() == 2 * (24 + 2), first
        assert table.locator("tbody tr").count() == 2
        page.get_by_text("Evidence for its answer").click()
        page.locator("tbody td img").first.wait_for()
        settle(page)
        widths = (
            page.locator("tbody tr")
            .nth(1)
            .locator("img")
            .evaluate_all("all => all.map(image => image.getBoundingClientRect().width)")
        )
        assert widths == sorted(widths)
        assert widths[0] < widths[-1]
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width
