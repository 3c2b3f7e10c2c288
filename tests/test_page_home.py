"""Home and the frame: on an empty, a full and a broken workspace; the demo and its guess."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import fake_run, living
from streamlit.testing.v1 import AppTest

from lab.jobs import queue
from lab.jobs.order import Job
from lab.recipe.baselines import fixed_same_epochs
from lab.recipe.presets import preset_recipe
from lab.runs.folder import all_runs
from lab.ui import demo
from lab.ui.launch import guess_of
from lab.workspace import Workspace, write_json

APP = Path(__file__).resolve().parents[1] / "app.py"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The lab's workspace; nothing is started in the background."""
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("LAB_NO_PROCESSES", "1")
    monkeypatch.setattr("lab.jobs.client.ensure_supervisor", lambda *_: None)
    return Workspace(tmp_path).create()


def opened() -> AppTest:
    return AppTest.from_file(str(APP), default_timeout=30).run()


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info]
    metrics = [f"{metric.label} {metric.value} {metric.delta}" for metric in page.metric]
    return "\n".join([*(str(part.value) for part in parts), *metrics]).replace("\\", "")


def finished_demo(workspace: Workspace, **prediction: float) -> None:
    recipe = preset_recipe("quick")
    about = {"experiment": "demo-abc", "prediction": prediction}
    first = fake_run(workspace, "finished", recipe=recipe, role="progressive", **about)
    fake_run(
        workspace, "finished", recipe=fixed_same_epochs(recipe), role="baseline",
        baseline_of=first.id, **about,
    )  # fmt: skip


def test_an_empty_workspace_says_what_to_do_next(workspace):
    page = opened()
    assert not page.exception
    assert page.title[0].value.endswith("?")
    assert "None yet. Run the demo above" in texts(page)
    assert page.button(key="home.demo").label == "Run the demo"


def test_the_demo_queues_the_schedule_and_its_baseline_after_it(workspace):
    page = opened()
    page.number_input(key="home.guess_progressive").set_value(20.0)
    page.number_input(key="home.guess_fixed").set_value(15.0).run()
    page.button(key="home.demo").click().run()
    assert not page.exception
    runs = {run.meta()["role"]: run for run in all_runs(workspace)}
    first, second = runs["progressive"], runs["baseline"]
    assert first.meta()["experiment"].startswith("demo-")
    assert second.meta()["experiment"] == first.meta()["experiment"]
    assert first.meta()["prediction"]["progressive"] == pytest.approx(0.2)
    assert first.meta()["prediction"]["fixed"] == pytest.approx(0.15)
    assert queue.get(workspace, second.id).after == first.id
    assert second.recipe().seed == first.recipe().seed
    assert [stage.size for stage in second.recipe().stages] == [128]


def test_the_demo_goes_on_to_the_runs_page_with_its_run(workspace):
    page = opened()
    page.button(key="home.demo").click().run()
    progressive = min(all_runs(workspace), key=lambda run: run.meta()["created"])
    assert page.session_state["lab.watch"] == progressive.id
    assert page.title[0].value == "How is it going?"


def test_a_guess_may_be_skipped(workspace):
    page = opened()
    page.button(key="home.demo").click().run()
    assert all(run.meta()["prediction"] == {} for run in all_runs(workspace))


def test_only_what_was_guessed_is_kept():
    assert guess_of({"progressive": None, "fixed": None}) == {}
    assert guess_of({"progressive": 0.1, "fixed": None})["progressive"] == 0.1
    assert "fixed" not in guess_of({"progressive": 0.1, "fixed": None})


def test_a_finished_demo_is_shown_beside_its_guess_with_a_verdict(workspace):
    finished_demo(workspace, progressive=0.2, fixed=0.35)
    page = opened()
    assert not page.exception
    said = texts(page)
    assert "you guessed 20.0" in said
    assert "you guessed 35.0" in said
    assert "these two models" in said
    assert page.button(key="home.compare")


def test_a_demo_without_a_guess_says_so(workspace):
    finished_demo(workspace)
    assert texts(opened()).count("no guess") == 2


def test_a_demo_that_is_not_finished_has_no_result(workspace):
    fake_run(workspace, "running", share=0.3, identity=living(), experiment="demo-x")
    page = opened()
    assert not page.exception
    assert "Your latest demo" not in [heading.value for heading in page.subheader]


def test_the_runs_are_listed(workspace):
    fake_run(workspace, "finished")
    fake_run(workspace, "failed", share=0.2, message="Memory ran out.", fix="Lower it.")
    page = opened()
    assert not page.exception
    table = page.dataframe[0].value
    assert len(table) == 2
    assert set(table["Status"]) == {"Finished", "Failed"}


def test_the_sidebar_tells_of_the_run_under_way(workspace):
    run = fake_run(workspace, "running", share=0.4, identity=living())
    job = queue.submit(workspace, Job(run.id, "run"))
    queue.claim(workspace, job, "cpu")
    page = opened()
    assert not page.exception
    assert page.button(key="frame.watch")


def test_a_broken_run_and_a_broken_index_leave_the_page_standing(workspace):
    run = fake_run(workspace, "finished")
    run.recipe_file.write_text("{ not json")
    write_json(run.meta_file, {"experiment": "demo-abc", "prediction": "nonsense"})
    workspace.database.write_bytes(b"this is no database")
    page = opened()
    assert not page.exception
    assert page.title


def test_the_picture_of_the_idea_is_a_png():
    assert demo.hero_picture().startswith(b"\x89PNG")


def test_a_server_is_told_that_pages_are_navigated_before_the_first_visit():
    """Else the first visitor by a link to a page gets it without its frame."""
    code = (
        "import app\nfrom streamlit.runtime.pages_manager import PagesManager as P\n"
        "print(P.uses_pages_directory)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=APP.parent, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "False", done.stderr[-500:]
