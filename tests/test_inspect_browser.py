"""The inspector in a real browser: its arithmetic against numpy; upload, scrubber, weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import APP_HEADER, ROOT, open_page, serve, settle
from PIL import Image
from reaper import reaped
from small import small_recipe

from lab.analysis.tta import combine, contributions, growing, usual_weights
from lab.analysis.view_families import WAYS
from lab.runs.folder import RunFolder, create_run
from lab.ui.evidence import evidence
from lab.worker import train_in_process
from lab.workspace import Workspace

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api")
LOOKS = np.random.default_rng(2).dirichlet(np.ones(5) * 0.6, 5)
PAGE = """
    import numpy as np
    from lab.ui.views import Look, views
    looks = np.random.default_rng(2).dirichlet(np.ones(5) * 0.6, 5)
    names = ["Plain picture", "View 1", "View 2", "View 3", "View 4"]
    views([Look(n, p) for n, p in zip(names, looks)], list("abcde"), 2, size=(48, 48),
          colour="#4fb287", key="v", beta=0.25)
"""


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    with sync_api.sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def drawn(playwright: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The component alone, with looks that are known."""
    script = tmp_path_factory.mktemp("views") / "page.py"
    script.write_text(f"{APP_HEADER}else:{PAGE}")
    with serve(script) as url, open_page(playwright, url) as page:
        page.locator(".average .bar").first.wait_for(timeout=60_000)
        yield page


def average_shown(page: Any) -> np.ndarray:
    bars = page.locator(".average .bar")
    return np.array([float(s) for s in bars.evaluate_all("all => all.map(b => b.dataset.share)")])


def scrub(page: Any, at: int) -> None:
    page.get_by_role("slider", name="How many views are averaged").fill(str(at))


@pytest.mark.parametrize("way", list(WAYS))
def test_the_browser_averages_as_numpy_does(drawn: Any, way: str) -> None:
    drawn.locator(f'[data-way="{way}"]').click()
    for at in range(5):
        scrub(drawn, at)
        expected = growing(way, LOOKS, usual_weights(way, 4, 0.25))[at]
        assert np.abs(average_shown(drawn) - expected).max() < 1e-6


@pytest.mark.parametrize("way", list(WAYS))
def test_the_browser_averages_by_changed_weights_as_numpy_does(drawn: Any, way: str) -> None:
    drawn.locator(f'[data-way="{way}"]').click()
    scrub(drawn, 4)
    weights = [10.0, 0.0, 55.0, 20.0, 7.5]
    names = ["Plain picture", "View 1", "View 2", "View 3", "View 4"]
    for name, weight in zip(names, weights):
        drawn.get_by_role("spinbutton", name=f"Weight of {name}").fill(str(weight))
    expected = combine(way, LOOKS, np.array(weights))
    assert np.abs(average_shown(drawn) - expected).max() < 1e-6
    drawn.get_by_role("button", name="Usual weights again").click()
    usual = combine(way, LOOKS, usual_weights(way, 4, 0.25))
    assert np.abs(average_shown(drawn) - usual).max() < 1e-6


def test_the_views_that_pulled_it_over_are_the_strongest_for_the_new_answer(drawn: Any) -> None:
    drawn.locator('[data-way="mean"]').click()
    scrub(drawn, 4)
    mean = LOOKS.mean(axis=0)
    new, old = int(mean.argmax()), int(LOOKS[0].argmax())
    assert new != old
    pull = contributions("mean", LOOKS, np.full(5, 0.2), new, old)
    words = drawn.locator(".why").inner_text()
    strongest = int(pull.argmax())
    assert f"Pulled over by View {strongest} (+{100 * pull[strongest]:.1f}" in words
    marked = drawn.locator(".card.pulled h4").all_inner_texts()
    assert any(title.startswith(f"View {strongest}") for title in marked)
    assert all(pull[int(re.findall(r"\d", title)[0])] > 0 for title in marked)


def test_a_weight_that_is_none_changes_nothing_and_is_marked(drawn: Any) -> None:
    before = average_shown(drawn)
    field = drawn.get_by_role("spinbutton", name="Weight of View 1")
    field.fill("-3")
    assert field.get_attribute("aria-invalid") == "true"
    assert np.array_equal(average_shown(drawn), before)
    field.fill("18.75")
    drawn.get_by_role("button", name="Usual weights again").click()


# The whole page, with a trained network


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with reaped(tmp_path_factory.mktemp("inspector")) as folder:
        yield folder


@pytest.fixture(scope="module")
def run(place: Path) -> RunFolder:
    workspace = Workspace(place / "workspace").create()
    # Crops of a fifth of the picture upwards: views that differ enough to change answers.
    stage = {"size": 32, "epochs": 12, "lr": 5e-3, "batch_size": 16,
             "resize": "random-resized-crop", "min_scale": 0.2}  # fmt: skip
    leaves = {"n": 400, "size_px": 64, "form": "demo", "seed": 3}
    split = {"method": "random", "valid_fraction": 0.4}
    data = {"source": "leaves", "leaves": leaves, "split": split}
    run = create_run(workspace, small_recipe([stage], dataset=data))
    assert train_in_process(workspace, run, 0, "cpu", lambda event: None) == 0
    return run


@pytest.fixture(scope="module")
def session(playwright: Any, place: Path, run: RunFolder) -> Iterator[Any]:
    with (
        serve(ROOT / "app.py", place / "workspace") as url,
        open_page(playwright, f"{url}/inspect?run={run.id}") as page,
    ):
        page.set_default_timeout(90_000)
        settle(page, 90)
        yield page


def test_1_looking_again_is_one_click(session: Any, run: RunFolder) -> None:
    session.get_by_role("button", name="Look again with 4 views").click()
    session.get_by_text("Stored: 4 views of").wait_for()
    assert evidence(run, 0).views.shape[1] == 4


@pytest.mark.parametrize("kind", ["Corrected", "Corrupted"])
def test_2_a_picture_that_the_views_mend_or_break_is_found(session: Any, kind: str) -> None:
    choice = session.get_by_role("radio", name=re.compile(rf"^{kind} \(\d+\)"))
    label = choice.inner_text()
    assert not label.endswith("(0)"), label
    choice.click()
    words = "corrected" if kind == "Corrected" else "corrupted: it was right before"
    session.get_by_text(re.compile(rf"together with the views.*{words}")).wait_for()
    session.get_by_role("heading", name="Why did it flip?").wait_for()


def test_3_an_uploaded_photo_is_seen_and_its_average_follows_scrubber_and_weight(
    session: Any, tmp_path: Path
) -> None:
    photo = tmp_path / "my leaf.jpg"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(photo)
    session.get_by_role("radio", name="Pictures of your own").click()
    session.locator("input[type=file]").set_input_files([photo])
    session.get_by_text(re.compile("it flipped|the same answer")).wait_for()
    session.locator(".card img").nth(4).wait_for()
    whole = average_shown(session)
    scrub(session, 0)
    plain = average_shown(session)
    assert np.abs(whole - plain).max() > 1e-6
    scrub(session, 4)
    assert average_shown(session) == pytest.approx(whole)
    session.get_by_role("spinbutton", name="Weight of Plain picture").fill("90")
    assert np.abs(average_shown(session) - plain).max() < np.abs(whole - plain).max()


def test_4_what_is_no_picture_is_said_in_a_sentence(session: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture at all")
    session.locator("input[type=file]").set_input_files([tmp_path / "notes.png"])
    session.get_by_text("notes.png is not an image: it is text").wait_for()


def test_5_the_same_over_all_pictures_can_be_linked(session: Any) -> None:
    session.get_by_role("radio", name="Over all pictures").click()
    session.get_by_text("How many views are worth their time").wait_for()
    assert "part=Over" in session.url
