"""The Data page on an empty, a full and a broken workspace, and the parts it is made of."""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pictures import class_folders, photo
from streamlit.testing.v1 import AppTest

from lab.data.catalog import import_path, list_datasets
from lab.data.dataset import Dataset
from lab.errors import LabError
from lab.jobs.tasks import TaskStatus
from lab.recipe.model import recipe_from
from lab.ui import data_views, pictures
from lab.ui.charts.base import describe
from lab.ui.charts.sizes import short_sides
from lab.ui.data_sources import keep_upload
from lab.ui.state import DRAFT
from lab.workspace import Workspace

PAGE = Path(__file__).resolve().parents[1] / "pages" / "data.py"
HOSTILE = "*b* <img src=x>"
Show = Callable[..., AppTest]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws").create()


@pytest.fixture
def pets(workspace: Workspace, tmp_path: Path) -> Dataset:
    folder = class_folders(tmp_path / "pets", {"cat": 30, HOSTILE: 12, "dog": 20})
    photo(folder / "cat" / "large.jpg", 300, 400, seed=99)
    (folder / "dog" / "broken.jpg").write_bytes(b"not a picture")
    return import_path(workspace, folder)


@pytest.fixture
def show(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Open the page; nothing is started in the background, and leaving it ends the run."""
    monkeypatch.setenv("LAB_WORKSPACE", str(workspace.root))
    monkeypatch.setattr("lab.jobs.tasks.ensure_supervisor", lambda *_: None)
    monkeypatch.setattr("streamlit.switch_page", lambda page: None)

    def opened(**state: Any) -> AppTest:
        page = AppTest.from_file(str(PAGE), default_timeout=30)
        for key, value in state.items():
            page.session_state[key] = value
        return page.run()

    return opened


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Every task that the page starts, which then seems to wait for its turn."""
    found: list[tuple[str, dict[str, Any]]] = []

    def submit(_: Workspace, kind: str, arguments: dict[str, Any], **__: Any) -> str:
        found.append((kind, arguments))
        return "task-1"

    monkeypatch.setattr("lab.ui.tasks.submit_task", submit)
    monkeypatch.setattr("lab.ui.tasks.task_status", lambda *_: TaskStatus("queued", {}, None))
    return found


def _texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def _primary(page: AppTest) -> list[str]:
    return [button.label for button in page.button if button.proto.type == "primary"]


def _metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def _parts(page: AppTest) -> list[int]:
    """The pictures to train on, to validate and locked, as the page says it."""
    found = re.search(r"\*\*(\d+)\*\* to train on, \*\*(\d+)\*\* .*, \*\*(\d+)\*\*", _texts(page))
    assert found
    return [int(number) for number in found.groups()]


# The page


def test_an_empty_workspace_offers_to_draw_leaves(show: Show) -> None:
    page = show()
    assert not page.exception
    assert "no pictures here yet" in page.info[0].value
    assert _primary(page) == ["Draw the leaves"]


def test_the_leaves_that_are_drawn_are_those_of_the_form(show: Show, started: list) -> None:
    page = show()
    page.number_input("data.leaves.n").set_value(300)
    page.radio("data.leaves.form").set_value("hard")
    page.button("data.draw").click().run()
    kind, arguments = started[0]
    leaves = arguments["dataset"]["leaves"]
    assert (kind, leaves["n"], leaves["size_px"], leaves["form"]) == ("draw", 300, 160, "hard")


def test_while_a_task_is_under_way_no_second_one_is_offered(show: Show, started: list) -> None:
    page = show().button("data.draw").click().run()
    assert not page.exception
    assert "Stop" in [button.label for button in page.button]
    assert page.button("data.draw").disabled


def test_a_data_set_is_shown_with_its_numbers_and_one_next_step(show: Show, pets: Dataset) -> None:
    page = show()
    assert not page.exception
    assert _metrics(page)["Pictures"] == "63"
    assert _metrics(page)["Classes"] == "3"
    assert _primary(page) == ["Use this data set in the schedule"]


def test_an_unreadable_file_is_named(show: Show, pets: Dataset) -> None:
    assert "dog/broken.jpg" in _texts(show())


def test_names_of_users_never_become_markup(show: Show, pets: Dataset) -> None:
    page = show()
    shown = [str(part.value) for part in [*page.markdown, *page.caption, *page.warning]]
    assert not any(HOSTILE in text for text in shown)


def test_using_it_puts_data_and_split_into_the_draft(show: Show, pets: Dataset) -> None:
    page = show()
    page.slider(f"data.split.{pets.id}.valid").set_value(40).run()
    page.button("data.use").click().run()
    draft = recipe_from(page.session_state[DRAFT])
    assert (draft.dataset.source, draft.dataset.id) == ("imported", pets.id)
    assert draft.dataset.split.valid_fraction == pytest.approx(0.4)


def test_a_larger_validation_share_takes_from_training(show: Show, pets: Dataset) -> None:
    page = show()
    train, valid, test = _parts(page)
    page.slider(f"data.split.{pets.id}.valid").set_value(40).run()
    train_then, valid_then, test_then = _parts(page)
    assert train + valid + test == train_then + valid_then + test_then == 63
    assert test_then == test
    assert valid_then > valid


def test_a_split_that_leaves_nothing_is_refused_in_words(show: Show, pets: Dataset) -> None:
    page = show()
    page.slider(f"data.split.{pets.id}.valid").set_value(60)
    page.slider(f"data.split.{pets.id}.test").set_value(60).run()
    assert not page.exception
    assert "Nothing is left to train on" in page.error[0].value


def test_given_parts_are_kept_unless_asked_otherwise(
    show: Show, workspace: Workspace, tmp_path: Path
) -> None:
    parted = {"train/cat": 9, "train/dog": 9, "valid/cat": 4, "valid/dog": 4}
    found = import_path(workspace, class_folders(tmp_path / "parted", parted))
    page = show()
    assert page.selectbox(f"data.split.{found.id}.method").value == "auto"
    assert _parts(page) == [18, 8, 0]


def test_a_path_that_is_not_there_starts_nothing(show: Show, started: list) -> None:
    page = show()
    page.text_input("data.path").set_value("/nowhere/at/all")
    page.button("data.import").click().run()
    assert "There is no /nowhere/at/all" in _texts(page)
    assert not started


def test_a_folder_on_the_server_is_imported_by_a_task(
    show: Show, started: list, tmp_path: Path
) -> None:
    folder = class_folders(tmp_path / "there", {"a": 2, "b": 2})
    page = show()
    page.text_input("data.path").set_value(str(folder))
    page.button("data.import").click().run()
    assert started == [("import", {"path": str(folder)})]


def test_a_failed_import_says_why_until_it_is_closed(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = {"where": "", "what": "This is a RAR archive.", "fix": "Pack it.", "level": "error"}
    ended = TaskStatus("failed", {}, {"status": "failed", "problems": [problem]})
    monkeypatch.setattr("lab.ui.tasks.task_status", lambda *_: ended)
    page = show(**{"lab.task.data": "task-1"})
    assert "RAR archive" in page.error[0].value
    page.button("task.seen.data").click().run()
    assert not page.error


def test_the_file_of_a_withdrawn_upload_is_removed(
    show: Show, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = workspace.uploads / "upload-1.zip"
    left.write_bytes(b"x")
    task = workspace.task("task-1")
    task.mkdir()
    request = f'{{"kind": "import", "path": "{left}", "upload": true}}'
    (task / "request.json").write_text(request)
    ended = TaskStatus("cancelled", {}, None)
    monkeypatch.setattr("lab.ui.tasks.task_status", lambda *_: ended)
    assert not show(**{"lab.task.data": "task-1"}).exception
    assert not left.exists()


def test_a_finished_import_becomes_the_chosen_set(
    show: Show, pets: Dataset, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_path(workspace, class_folders(tmp_path / "newer", {"a": 12, "b": 12}))
    ended = TaskStatus("finished", {}, {"status": "finished", "value": {"dataset": pets.id}})
    monkeypatch.setattr("lab.ui.tasks.task_status", lambda *_: ended)
    page = show(**{"lab.task.data": "task-1"})
    assert page.radio("data.chosen").value == pets.id


def test_deleting_asks_first_and_leaves_the_others(
    show: Show, pets: Dataset, workspace: Workspace, tmp_path: Path
) -> None:
    other = import_path(workspace, class_folders(tmp_path / "other", {"a": 12, "b": 12}))
    page = show(**{"data.chosen": pets.id})
    page.button("data.delete").click().run()
    assert not page.exception
    assert [line.id for line in list_datasets(workspace)] == [other.id]


def test_a_damaged_data_set_says_so_and_can_be_deleted(
    show: Show, pets: Dataset, workspace: Workspace
) -> None:
    (pets.folder / "items.csv").write_text("nonsense")
    page = show()
    assert not page.exception
    assert "is damaged" in page.error[0].value
    page.button("data.delete").click().run()
    assert "no pictures here yet" in page.info[0].value


def test_sets_of_one_name_can_both_be_chosen(
    show: Show, workspace: Workspace, tmp_path: Path
) -> None:
    sets = [
        import_path(workspace, class_folders(tmp_path / str(n) / "same", {"a": n, "b": n}))
        for n in (12, 14)
    ]
    page = show()
    for dataset in sets:
        page.radio("data.chosen").set_value(dataset.id).run()
        assert page.radio("data.chosen").value == dataset.id
        assert _metrics(page)["Pictures"] == str(len(dataset))


def test_folders_that_are_no_data_sets_are_passed_over(show: Show, workspace: Workspace) -> None:
    (workspace.datasets / "junk").mkdir()
    (workspace.datasets / "junk" / "dataset.json").write_text("{")
    assert not show().exception


# Its parts


def test_an_upload_is_kept_byte_for_byte(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(3_000_001)
    assert keep_upload(io.BytesIO(content), tmp_path / "new").read_bytes() == content


def test_an_upload_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(LabError, match="disk is full"):
        keep_upload(Full(b"x"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_samples_are_of_their_class_and_the_same_for_the_same_roll() -> None:
    labels = np.array([0, 1, 0, 1, 1, 0, -1])
    found = pictures.some_of_each(labels, [0, 1], 2, roll=3)
    assert all(labels[item] == number for number, row in found.items() for item in row)
    assert found == pictures.some_of_each(labels, [0, 1], 2, roll=3)


def test_a_picture_that_is_gone_leaves_a_gap_and_no_error(
    show: Show, pets: Dataset, workspace: Workspace
) -> None:
    pets.path(0).unlink()
    assert not show().exception


@pytest.mark.parametrize(
    ("train", "words"),
    [([40, 10], "4.0 times"), ([12, 10], "about the same"), ([0, 10], "about the same")],
)
def test_uneven_classes_are_told(train: list[int], words: str) -> None:
    table = pd.DataFrame({"train": train, "valid": 1, "test": 1}, index=["a", "b"])
    assert words in data_views.uneven_words(table)


def test_the_sizes_of_pictures_are_spoken(pets: Dataset) -> None:
    assert "1 from" in describe(short_sides(pets.audit.short_histogram)).replace("\u202f", " ")
