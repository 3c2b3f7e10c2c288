"""The Export page on an empty, a full and a broken workspace, and what it says of a package."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import fake_run
from streamlit.testing.v1 import AppTest

from lab.jobs.tasks import TaskStatus
from lab.recipe.presets import preset_recipe
from lab.runs.folder import RunFolder
from lab.ui import take_home
from lab.workspace import Workspace, write_json

PAGE = Path(__file__).resolve().parents[1] / "pages" / "export.py"
LAST = len(preset_recipe("quick").stages) - 1
CARD = "---\ntags:\n- timm\n---\n# Leaves\n\n## Use\n\n```python\nimport timm\n```\n\nMore."
Show = Callable[..., AppTest]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


@pytest.fixture
def show(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Show:
    monkeypatch.setenv("LAB_WORKSPACE", str(workspace.root))
    monkeypatch.setattr("streamlit.switch_page", lambda page: None)

    def opened(**state: Any) -> AppTest:
        page = AppTest.from_file(str(PAGE), default_timeout=30)
        for key, value in state.items():
            page.session_state[key] = value
        return page.run()

    return opened


def _exported(workspace: Workspace, run: RunFolder, stage: int = LAST, digest: str = "d") -> Path:
    """What the export task leaves, and the digest that it and the run agree on."""
    scores = run.scores(stage)
    write_json(run.stage(stage) / "scores.json", {**scores, "sha256": "d"})
    folder = workspace.exports / run.id
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    parity = {"images": 16, "max_difference": 2e-7}
    write_json(folder / "scores.json", {"stage": stage, "sha256": digest, "parity": parity})
    with zipfile.ZipFile(workspace.exports / f"{run.id}.zip", "w") as packed:
        packed.writestr("x", "y")
    return folder


def _texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info, *page.success]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def _labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


def test_an_empty_workspace_leads_to_the_schedule(show: Show) -> None:
    page = show()
    assert not page.exception
    assert _labels(page) == ["Go to the schedule"]


def test_an_unfinished_run_cannot_be_exported_and_says_why(
    show: Show, workspace: Workspace
) -> None:
    fake_run(workspace, "stopped", share=0.1)
    page = show()
    assert not page.exception
    assert "has no finished stage yet" in page.warning[0].value
    assert "Prepare export" not in _labels(page)


def test_a_finished_run_offers_to_prepare(show: Show, workspace: Workspace) -> None:
    fake_run(workspace, "finished")
    page = show()
    assert not page.exception
    assert _labels(page) == ["Prepare export"]
    assert not page.get("download_button")


def test_preparing_is_a_task_of_just_this_stage(
    show: Show, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, started = fake_run(workspace, "finished"), []
    monkeypatch.setattr(
        "lab.ui.tasks.submit_task", lambda _, *asked, **__: started.append(asked) or "task-1"
    )
    monkeypatch.setattr("lab.ui.tasks.task_status", lambda *_: TaskStatus("queued", {}, None))
    page = show().button("export.prepare").click().run()
    assert not page.exception
    assert started == [("export", {"run": run.id, "stage": LAST})]


def test_a_prepared_export_can_be_downloaded_with_its_check(
    show: Show, workspace: Workspace
) -> None:
    _exported(workspace, fake_run(workspace, "finished"))
    page = show()
    assert not page.exception
    assert len(page.get("download_button")) == 1
    assert "at most 2e-07 apart" in _texts(page)
    assert "import timm" in [code.value for code in page.code]


def test_an_export_of_another_stage_is_not_offered_for_this_one(
    show: Show, workspace: Workspace
) -> None:
    _exported(workspace, fake_run(workspace, "finished"), stage=0)
    assert _labels(show()) == ["Prepare export"]


def test_an_export_of_other_weights_is_not_offered(show: Show, workspace: Workspace) -> None:
    _exported(workspace, fake_run(workspace, "finished"), digest="another")
    assert _labels(show()) == ["Prepare export"]


def test_a_half_removed_export_is_prepared_again(show: Show, workspace: Workspace) -> None:
    folder = _exported(workspace, fake_run(workspace, "finished"))
    (folder / "README.md").unlink()
    page = show()
    assert not page.exception
    assert _labels(page) == ["Prepare export"]


def test_a_failed_export_names_its_remedy(
    show: Show, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fake_run(workspace, "finished")
    problem = {
        "where": "",
        "what": "The weights are damaged.",
        "fix": "Clone it.",
        "level": "error",
    }
    ended = TaskStatus("failed", {}, {"status": "failed", "problems": [problem]})
    monkeypatch.setattr("lab.ui.tasks.task_status", lambda *_: ended)
    page = show(**{f"lab.task.export.{run.id}.{LAST}": "task-1"})
    assert not page.exception
    assert "weights are damaged" in page.error[0].value
    assert "Clone it" in page.error[0].value


def test_the_card_is_shown_without_its_machine_header() -> None:
    assert take_home.card_text(CARD).startswith("# Leaves")


def test_the_code_is_the_cards_own() -> None:
    assert take_home.python_code(CARD) == "import timm"


def test_a_package_that_was_not_compared_says_so() -> None:
    assert take_home.parity_words({"images": 0, "note": "The data are gone."}) == (
        "Not compared with the scored model. The data are gone."
    )


def test_the_download_is_named_after_run_and_size() -> None:
    info = {"final_size": [96, 128]}
    assert take_home.file_name("My run: *best*", info) == "my-run-best-96x128px.zip"


def test_a_model_of_two_labels_says_what_else_it_answers(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    scores = run.scores(LAST)
    model = {"target": "disease", "second_target": "variety", "second_classes": ["a", "b", "c"]}
    scores |= {"model": {**scores["model"], **model}, "second_final": {"error_rate": 0.25}}
    write_json(run.stage(LAST) / "scores.json", scores)
    said = _texts(show())
    assert "It answers for a second label too: variety, 3 classes, 25.0\u202f% error." in said
    assert "Its outputs follow those of disease." in said


def test_a_model_of_one_label_says_nothing_of_a_second(show: Show, workspace: Workspace) -> None:
    fake_run(workspace, "finished")
    assert "second label" not in _texts(show())
