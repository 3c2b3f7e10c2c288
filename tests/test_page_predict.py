"""The Predict page on an empty and a full workspace, and in a real browser with real pictures."""

from __future__ import annotations

import base64
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser import ROOT, open_page, serve, settle
from fake_runs import fake_run
from pictures import class_folders, pixels
from PIL import Image
from reaper import reaped
from streamlit.testing.v1 import AppTest
from untrained import CLASSES, KINDS, untrained_run

from lab.analysis.predicted import Answer, Predicted, write_answers
from lab.errors import LabError
from lab.jobs.tasks import TaskStatus
from lab.ui import predict_ask, predict_results
from lab.ui.predict_batch import KEPT_S, MOST, Batch, sweep
from lab.ui.predict_gallery import bars
from lab.ui.predict_paste import decoded
from lab.workspace import Workspace

PAGE = ROOT / "pages" / "predict.py"
HOSTILE = "*b* <img src=x>.png"
Show = Callable[..., AppTest]
ABOUT = {
    "run": "r", "stage": 2, "size": [128, 128], "target": "pet", "classes": ["cat", "dog"],
    "second_target": "", "second_classes": [], "tta": 0, "beta": 0.25, "of": 3,
}  # fmt: skip
SAID = [
    Answer(HOSTILE, np.array([0.9, 0.1]), notes=("the first frame of an animation",)),
    Answer("b.png", np.array([0.4, 0.6])),
    Answer("c.png", error="c.png is empty, 0 bytes.", fix="Leave it out."),
]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws").create()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Everything that the helper is asked; it answers without a network, every third badly."""
    found: list[dict[str, Any]] = []

    def call(_: Workspace, op: str, asked: dict[str, Any], **__: Any) -> tuple[dict, list[bytes]]:
        found.append({"op": op, **asked})
        bad = len(found) % 3 == 0
        views = [0.2, 0.8] if asked["tta"] else None
        picture = {
            "name": asked["pictures"][0]["name"], "plain": None if bad else [0.9, 0.1],
            "average": None if bad else views, "second": None, "notes": [], "thumb": "",
            "error": "It is empty." if bad else "", "fix": "Leave it out." if bad else "",
        }  # fmt: skip
        return {"about": {**ABOUT, "tta": 4 if asked["tta"] else 0}, "pictures": [picture]}, [b""]

    monkeypatch.setattr("lab.jobs.helper_client.call", call)
    return found


@pytest.fixture
def show(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Open the page with some uploads; nothing is started in the background."""
    monkeypatch.setenv("LAB_WORKSPACE", str(workspace.root))
    monkeypatch.setattr("lab.jobs.helper_client.start", lambda *_: None)
    monkeypatch.setattr("streamlit.switch_page", lambda page: None)

    def opened(n: int = 0, **state: Any) -> AppTest:
        page = AppTest.from_file(str(PAGE), default_timeout=30)
        batch = Batch(workspace.uploads)
        batch.add((f"{at}.png", b"x") for at in range(n))
        page.session_state["predict.batch"] = batch
        for key, value in state.items():
            page.session_state[key] = value
        return page.run()

    return opened


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []

    def submit(_: Workspace, kind: str, arguments: dict[str, Any], **__: Any) -> str:
        found.append((kind, arguments))
        return "task-1"

    monkeypatch.setattr("lab.ui.tasks.submit_task", submit)
    monkeypatch.setattr("lab.ui.tasks.task_status", lambda *_: TaskStatus("queued", {}, None))
    return found


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


# The page


def test_an_empty_workspace_leads_to_the_schedule(show: Show) -> None:
    page = show()
    assert not page.exception
    assert "There is no run yet" in page.info[0].value


def test_without_pictures_it_says_what_the_network_knows(show: Show, workspace: Workspace) -> None:
    fake_run(workspace, "finished")
    page = show()
    assert not page.exception
    assert "It knows blight, healthy, leaf_miner" in texts(page)


def test_every_upload_is_asked_for_once_and_bad_ones_are_named(
    show: Show, workspace: Workspace, calls: list
) -> None:
    fake_run(workspace, "finished")
    page = show(5)
    page.run()
    assert not page.exception
    assert [call["pictures"][0]["name"] for call in calls] == [f"{at}.png" for at in range(5)]
    assert "1 picture has no answer" in texts(page)
    assert "4 pictures: cat 4" in texts(page).replace("*", "")


def test_views_ask_again_and_say_how_many_answers_they_changed(
    show: Show, workspace: Workspace, calls: list
) -> None:
    fake_run(workspace, "finished")
    page = show(2)
    page.toggle("predict.tta").set_value(True).run()
    assert [call["tta"] for call in calls] == [False, False, True, True]
    assert "Looking again through 4 views changed 1 answer." in texts(page)


def test_coming_back_to_the_plain_answers_asks_nothing(
    show: Show, workspace: Workspace, calls: list
) -> None:
    fake_run(workspace, "finished")
    page = show(2)
    page.toggle("predict.tta").set_value(True).run()
    page.toggle("predict.tta").set_value(False).run()
    assert len(calls) == 4


def test_stopped_answers_stay_and_going_on_asks_for_the_rest(
    show: Show, workspace: Workspace, calls: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_run(workspace, "finished")
    page = show(2)
    page.session_state["predict.batch"].add([("more.png", b"x")])
    page.session_state["predict.stopped"] = True
    page.run()
    assert len(calls) == 2
    assert "1 of 3 pictures have no answer yet" in texts(page)
    page.button("predict.on").click().run()
    assert len(calls) == 3
    assert "Stopped" not in texts(page)


def test_a_helper_that_fails_is_said_and_does_not_go_round_in_circles(
    show: Show, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fails(*arguments: Any, **_: Any) -> Any:
        asked.append(arguments)
        raise LabError("The helper process died over predict, twice.", "See helper.log.")

    monkeypatch.setattr("lab.jobs.helper_client.call", fails)
    fake_run(workspace, "finished")
    page = show(3)
    assert not page.exception
    assert len(asked) == 1
    assert "died over predict" in texts(page)
    page.button("predict.on").click().run()
    first, second = (call[2]["pictures"][0]["name"] for call in asked)
    assert first != second  # the one that may have caused it comes last


def test_clearing_removes_the_files(show: Show, workspace: Workspace, calls: list) -> None:
    fake_run(workspace, "finished")
    page = show(3)
    assert len(list(workspace.uploads.rglob("*"))) == 4
    page.button("predict.clear").click().run()
    assert not page.exception
    assert not list(workspace.uploads.rglob("*"))


def test_a_folder_of_the_server_goes_to_a_task(
    show: Show, workspace: Workspace, tmp_path: Path, started: list
) -> None:
    run = fake_run(workspace, "finished")
    folder = class_folders(tmp_path / "new", {"a": 2})
    page = show(**{"predict.way": "server"})
    page.text_input("predict.path").set_value(str(folder))
    page.button("predict.folder").click().run()
    assert started == [
        ("predict", {"run": run.id, "stage": 2, "tta": False, "path": str(folder)})
    ]  # fmt: skip


def test_a_path_that_is_not_there_starts_nothing(
    show: Show, workspace: Workspace, started: list
) -> None:
    fake_run(workspace, "finished")
    page = show(**{"predict.way": "server"})
    page.text_input("predict.path").set_value("/nowhere/at/all")
    page.button("predict.folder").click().run()
    assert "There is no /nowhere/at/all" in texts(page)
    assert not started


def test_the_answers_of_a_task_are_shown_with_whose_they_are(
    show: Show, workspace: Workspace
) -> None:
    fake_run(workspace, "finished")
    folder = workspace.task("task-9")
    folder.mkdir()
    write_answers(folder, ABOUT, SAID[:2])
    page = AppTest.from_file(str(PAGE), default_timeout=30)
    page.query_params["predicted"] = "task-9"
    page.run()
    assert not page.exception
    assert "answers of another network" in texts(page)
    assert "Stopped after 2 of 3 pictures" in texts(page).replace("*", "")
    assert "2 pictures: cat 1, dog 1" in texts(page).replace("*", "")


@pytest.mark.parametrize("task", ["task-gone", "../../etc"])
def test_a_link_to_answers_that_are_gone_says_so(
    show: Show, workspace: Workspace, task: str
) -> None:
    fake_run(workspace, "finished")
    page = AppTest.from_file(str(PAGE), default_timeout=30)
    page.query_params["predicted"] = task
    page.run()
    assert not page.exception
    assert page.error


def test_names_of_users_never_become_markup(show: Show, workspace: Workspace) -> None:
    fake_run(workspace, "finished")
    folder = workspace.task("task-9")
    folder.mkdir()
    bad = Answer(HOSTILE, error=f"{HOSTILE} is empty, 0 bytes.", fix="Leave it out.")
    write_answers(folder, {**ABOUT, "run": "<b>r</b>"}, [*SAID, bad])
    page = AppTest.from_file(str(PAGE), default_timeout=30)
    page.query_params["predicted"] = "task-9"
    page.run()
    shown = [str(part.value) for part in [*page.markdown, *page.caption, *page.warning, *page.info]]
    assert not any("<img src=x>" in text or "<b>r" in text for text in shown)


# The parts


def test_the_bars_are_the_likeliest_and_the_answer_before() -> None:
    probs, before = np.array([0.1, 0.5, 0.3, 0.06, 0.04]), np.array([0.1, 0.1, 0.1, 0.1, 0.6])
    shown = bars(probs, list("abcde"), before)
    assert [bar.name for bar in shown] == ["b", "c", "e"]
    assert [bar.before for bar in shown] == [0.1, 0.1, 0.6]


def test_a_card_says_what_the_views_changed() -> None:
    about = {**ABOUT, "tta": 4}
    found = Predicted.of(about, [Answer("a", np.array([0.9, 0.1]), np.array([0.2, 0.8]))])
    assert "without them it said cat (90.0" in predict_results.card(found, 0, b"").change


def test_what_a_browser_sends_as_a_paste_is_checked() -> None:
    good = {"name": "a.png", "data": base64.b64encode(b"xyz").decode()}
    sent = [good, {"name": 7, "data": ""}, {"name": "b", "data": "%%%"}, "nonsense", None]
    assert decoded(sent) == [("a.png", b"xyz")]
    assert decoded(None) == decoded({"name": "x"}) == []


def test_a_batch_is_bounded(workspace: Workspace) -> None:
    batch = Batch(workspace.uploads)
    batch.uploads.extend([None] * (MOST - 1))
    with pytest.raises(LabError, match="At most 1,000 pictures at once: 1 of these"):
        batch.add([("a", b"x"), ("b", b"x")])


def test_uploads_of_a_day_ago_are_swept_and_others_stay(workspace: Workspace) -> None:
    old, new = Batch(workspace.uploads), Batch(workspace.uploads)
    for batch in (old, new):
        batch.add([("a.png", b"x")])
    (workspace.uploads / "upload-1.zip").write_bytes(b"x")
    past = time.time() - KEPT_S - 60
    os.utime(workspace.uploads / old.id, (past, past))
    sweep(workspace.uploads, time.time())
    assert sorted(path.name for path in workspace.uploads.iterdir()) == sorted(
        [new.id, "upload-1.zip"]
    )


def test_an_answer_of_the_helper_is_an_answer_again() -> None:
    values = {"name": "a", "plain": [0.5, 0.5], "average": None, "second": [1.0], "notes": ["n"],
              "error": "", "fix": "", "thumb": ""}  # fmt: skip
    found = predict_ask.answer_of(values)
    assert (found.plain.dtype, found.average, found.notes) == (np.float32, None, ("n",))


# In a real browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a run of two targets; its helper and supervisor end with it."""
    place = Workspace(tmp_path_factory.mktemp("browser")).create()
    untrained_run(place, second=KINDS)
    with reaped(place.root), serve(ROOT / "app.py", place.root) as url:
        yield url


def png(seed: int, height: int = 60, width: int = 80) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(height, width, seed)).save(file, "PNG")
    return file.getvalue()


PASTE = """async (data) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))
  const box = new DataTransfer()
  box.items.add(new File([bytes], "image.png", { type: "image/png" }))
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: box, bubbles: true }))
}"""


@pytest.mark.slow
def test_pictures_are_dropped_pasted_looked_at_again_and_taken_home(
    served: str, tmp_path: Path
) -> None:
    from playwright.sync_api import sync_playwright

    files = [{"name": f"{at:02d}.png", "mimeType": "image/png", "buffer": png(at)}
             for at in range(30)]  # fmt: skip
    files.append({"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"})
    with sync_playwright() as playwright, open_page(playwright, f"{served}/predict") as page:
        page.locator("[data-testid='stFileUploader'] input").set_input_files(files)
        page.get_by_text("30 pictures").first.wait_for(timeout=60_000)
        settle(page)
        assert page.locator("figure.card").count() == 24
        assert page.get_by_text("broken.png is not an image").count() == 1
        page.get_by_role("button", name="More", exact=True).click()
        page.get_by_text("25 to 30 of 30").wait_for()

        page.evaluate(PASTE, base64.b64encode(png(99)).decode())
        page.get_by_text("Your 32 pictures").wait_for(timeout=30_000)

        page.get_by_text("Look again through 3 views").click()
        page.get_by_text("Looking again through 3 views changed").wait_for(timeout=60_000)
        settle(page)
        assert page.locator(".tick").count() > 0
        with page.expect_download() as taken:
            page.get_by_role("button", name="CSV with all probabilities").click()
        table = pd.read_csv(taken.value.path())
        assert len(table) == 32
        good = table[table["problem"].isna()]
        assert good[[f"p({name})" for name in CLASSES]].sum(axis=1).to_numpy() == pytest.approx(1)

        page.get_by_text("A submission file from a template").click()
        page.get_by_text("Give the sample file of a competition").wait_for()
        settle(page)
        template = ("id,label\n" + "".join(f"{at:02d},\n" for at in range(30))).encode()
        page.locator("[data-testid='stFileUploader'] input").last.set_input_files(
            {"name": "sample.csv", "mimeType": "text/csv", "buffer": template}
        )
        page.get_by_text("30 of 30 rows filled").wait_for(timeout=30_000)
        with page.expect_download() as taken:
            page.get_by_role("button", name="Download the filled file").click()
        filled = pd.read_csv(taken.value.path(), dtype=str).set_index("id")["label"]
        said = good.set_index(good["image"].str.removesuffix(".png"))["label"]
        assert filled.to_dict() == {name: said[name] for name in filled.index}


@pytest.mark.slow
def test_many_uploads_can_be_stopped_and_gone_on_with(
    served: str,
) -> None:
    from playwright.sync_api import sync_playwright

    files = [{"name": f"{at:03d}.png", "mimeType": "image/png", "buffer": png(at, 300, 400)}
             for at in range(50)]  # fmt: skip
    with sync_playwright() as playwright, open_page(playwright, f"{served}/predict") as page:
        page.locator("[data-testid='stFileUploader'] input").set_input_files(files)
        page.get_by_role("button", name="Stop").click(timeout=60_000)
        page.get_by_text("pictures have no answer yet").wait_for(timeout=30_000)
        page.get_by_role("button", name="Go on").click()
        page.get_by_text("50 pictures").first.wait_for(timeout=60_000)


@pytest.mark.slow
def test_a_folder_is_predicted_by_a_task_and_found_again_by_its_link(
    served: str, tmp_path: Path
) -> None:
    from playwright.sync_api import sync_playwright

    folder = class_folders(tmp_path / "new", {"a": 20, "b": 20})
    with sync_playwright() as playwright, open_page(playwright, f"{served}/predict") as page:
        page.get_by_text("Folder or zip on this server").click()
        page.get_by_label("Path on the server").fill(str(folder))
        page.get_by_role("button", name="Predict", exact=True).click()
        page.get_by_text("From the folder or zip").wait_for(timeout=120_000)
        page.get_by_text("40 pictures").first.wait_for()
        settle(page)
        assert "predicted=" in page.url
        page.reload()
        page.get_by_text("40 pictures").first.wait_for(timeout=30_000)
