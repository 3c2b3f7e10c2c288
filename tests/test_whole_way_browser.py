"""The whole way by point and click in a real browser: photos in, live curve, export out."""

import json
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from browser import ROOT, open_page, serve, settle
from reaper import reaped

from lab.data.leaves import LeafSet, draw_set
from lab.runs.folder import all_runs
from lab.workspace import Workspace

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api")
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with reaped(tmp_path_factory.mktemp("whole-way")) as folder:
        yield folder


@pytest.fixture(scope="module")
def photos(place) -> Path:
    """A zip of class folders, as somebody would bring it."""
    draw_set(LeafSet(n=300, size_px=72, seed=11), place / "drawn")
    archive = place / "my photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for picture in sorted((place / "drawn" / "images").rglob("*.jpg")):
            file.write(picture, picture.relative_to(place / "drawn" / "images"))
    return archive


@pytest.fixture(scope="module")
def session(place):
    """A browser on a served lab, kept through the whole way."""
    (place / "workspace").mkdir()
    with (
        serve(ROOT / "app.py", place / "workspace") as url,
        sync_api.sync_playwright() as playwright,
        open_page(playwright, url) as page,
    ):
        page.set_default_timeout(PATIENCE_MS)
        page.asked = []  # every address that the browser asks for
        page.on("request", lambda request: page.asked.append(request.url))
        page.reload()
        settle(page, 60)
        yield page


def go(page, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
    page.wait_for_url(re.compile(rf"/{name.lower()}(\?|$)"))
    settle(page, 60)


def put(page, label: str, value: object, which: int = 0) -> None:
    """Fill a number field and wait until the page has taken it."""
    field = page.get_by_label(label, exact=True).nth(which)
    field.fill(str(value))
    field.press("Enter")
    page.wait_for_timeout(300)
    settle(page, 60)


def workspace_of(place: Path) -> Workspace:
    return Workspace(place / "workspace")


def test_1_a_zip_is_uploaded_and_understood(session, photos):
    go(session, "Data")
    session.get_by_role("tab", name="Upload a zip").click()
    session.locator("input[type=file]").set_input_files(str(photos))
    session.get_by_role("button", name="Use this data set in the schedule").wait_for()
    settle(session, 60)
    assert session.get_by_text("my photos").count() > 0
    session.get_by_role("button", name="Use this data set in the schedule").click()
    session.get_by_role("heading", name="How should the sizes grow?").wait_for()
    settle(session, 60)


def test_2_a_schedule_is_arranged_and_launched(session, place):
    for stage, (size, epochs) in enumerate([(32, 16), (48, 8), (64, 8)]):
        put(session, "Size, px", size, stage)
        put(session, "Epochs", epochs, stage)
    network = session.get_by_role("combobox", name=re.compile("Network"))
    network.click()
    network.fill("test_resnet")
    session.get_by_role("option", name="test_resnet", exact=True).click()
    settle(session, 60)
    put(session, "Error with growing sizes, %", 40)
    session.get_by_role("button", name="Launch").click()
    session.get_by_role("heading", name="How is it going?").wait_for()
    runs = all_runs(workspace_of(place))
    assert len(runs) == 2  # the schedule and its fixed-size baseline
    first = min(runs, key=lambda run: run.meta()["created"])
    recipe = first.recipe()
    assert [stage.size for stage in recipe.stages] == [32, 48, 64]
    assert recipe.model.name == "test_resnet"
    assert first.meta()["prediction"]["progressive"] == pytest.approx(0.4)


LOSS = ".lab-chart-plot >> nth=0"
_RANGE = "(plot) => plot._fullLayout.xaxis.range.map(Number)"
_POINTS = "(plot) => plot.data.reduce((n, trace) => n + (trace.x ? trace.x.length : 0), 0)"


def test_3_the_curve_moves_and_a_zoom_survives_two_updates(session):
    plot = session.locator(LOSS)
    plot.wait_for()
    session.wait_for_function(
        "() => { const p = document.querySelector('.lab-chart-plot');"
        " return p && p._fullLayout && p._fullLayout.uirevision.startsWith('loss')"
        " && p.data.some((t) => t.x && t.x.length > 3) }"
    )
    plot.scroll_into_view_if_needed()
    before = plot.evaluate(_RANGE)
    box = plot.locator(".nsewdrag").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    session.mouse.move(box["x"] + 0.1 * box["width"], middle)
    session.mouse.down()
    session.mouse.move(box["x"] + 0.5 * box["width"], middle, steps=8)
    session.mouse.up()
    session.wait_for_timeout(300)
    zoomed = plot.evaluate(_RANGE)
    assert zoomed[1] - zoomed[0] < 0.6 * (before[1] - before[0])
    for _ in range(2):
        points = plot.evaluate(_POINTS)
        deadline = time.monotonic() + 60
        while plot.evaluate(_POINTS) == points and time.monotonic() < deadline:
            session.wait_for_timeout(100)
        assert plot.evaluate(_POINTS) > points, "no update came"
        assert plot.evaluate(_RANGE) == pytest.approx(zoomed)


def test_4_both_runs_end_and_are_compared(session, place):
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if all(run.status() == "finished" for run in all_runs(workspace_of(place))):
            break
        session.wait_for_timeout(500)
    assert {run.status() for run in all_runs(workspace_of(place))} == {"finished"}
    go(session, "Compare")
    session.get_by_text(re.compile("these two models", re.I)).first.wait_for()
    assert session.locator(".lab-chart-plot").count() > 0
    assert session.get_by_text("Traceback").count() == 0


def progressive(place: Path):
    return min(all_runs(workspace_of(place)), key=lambda run: run.meta()["created"])


def choose_run(session, place) -> None:
    """The growing run, on a page that offers finished runs: by a link, as from another device."""
    session.goto(session.url.split("?")[0] + f"?run={progressive(place).id}")
    session.get_by_role("heading").first.wait_for()
    settle(session, 60)


def test_5_test_time_augmentation_is_looked_into(session, place):
    go(session, "Inspect")
    choose_run(session, place)
    session.get_by_role("button", name=re.compile("Look again with")).click()
    session.get_by_text(re.compile("corrected", re.I)).first.wait_for()
    settle(session, 60)
    run = progressive(place)
    stored = np.load(next(run.predictions.glob("s2-*-tta.npz")))
    expected = 0.25 * stored["plain"] + 0.75 * stored["views"].mean(axis=1)
    assert stored["average"] == pytest.approx(expected, abs=1e-6)


_PREDICT = """
import json, sys
import timm, torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
model = timm.create_model("local-dir:" + sys.argv[1], pretrained=True).eval()
transform = create_transform(**resolve_model_data_config(model), is_training=False)
found = []
with torch.inference_mode():
    for path in sys.argv[2:]:
        x = transform(Image.open(path).convert("RGB"))[None]
        found.append(model(x).softmax(1)[0].tolist())
assert "lab" not in sys.modules
print(json.dumps(found))
"""


def test_6_the_export_is_downloaded_and_gives_the_stored_probabilities(session, place, tmp_path):
    go(session, "Export")
    choose_run(session, place)
    session.get_by_role("button", name="Prepare export").click()
    button = session.get_by_role("button", name=re.compile("Download .*zip"))
    button.wait_for()
    with session.expect_download() as download:
        button.click()
    archive = tmp_path / "export.zip"
    download.value.save_as(archive)
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "export")
    timm_folder = next((tmp_path / "export").rglob("config.json")).parent

    from lab.data.catalog import materialise

    run = progressive(place)
    dataset = materialise(workspace_of(place), run.recipe().dataset)
    stored = np.load(run.predictions / "s2-64x64.npz")
    paths = [str(dataset.path(int(item))) for item in stored["item"][:12]]
    done = subprocess.run(
        [sys.executable, "-I", "-c", _PREDICT, str(timm_folder), *paths],
        capture_output=True, text=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert np.array(json.loads(done.stdout)) == pytest.approx(stored["probs"][:12], abs=1e-4)


def test_7_nothing_was_asked_of_the_network(session):
    local = re.compile(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:")
    assert [url for url in session.asked if not local.match(url)] == []
