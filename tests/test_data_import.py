"""Folders, zips and tables become data sets; bad files are listed, hopeless data refused."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from pictures import class_folders, photo, zip_of
from PIL import Image

from lab.data.catalog import (
    checked_source,
    delete_dataset,
    import_path,
    import_upload,
    list_datasets,
    materialise,
    open_dataset,
)
from lab.errors import LabError, Stopped
from lab.recipe.dataset import DataSpec
from lab.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
PETS = {"cat": 4, "dog": 4}
PARTED = {"train/cat": 3, "train/dog": 3, "valid/cat": 2, "valid/dog": 2}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws").create()


def refusal(workspace: Workspace, path: Path) -> str:
    with pytest.raises(LabError) as caught:
        import_path(workspace, path)
    assert caught.value.fix
    assert os.listdir(workspace.datasets) == []
    return caught.value.what


def test_class_folders_become_classes_in_sorted_order(workspace, tmp_path) -> None:
    dataset = import_path(workspace, class_folders(tmp_path / "pets", {"dog": 3, "cat": 2}))
    assert dataset.targets == {"class": ("cat", "dog")}
    assert dataset.labels().tolist() == [0, 0, 1, 1, 1]
    assert dataset.items["item"].tolist() == [0, 1, 2, 3, 4]
    assert dataset.items["file"].tolist()[0] == "cat/000.jpg"
    assert dataset.path(0).is_file()


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [("train", "valid", "test"), ("Training", "VALIDATION", "Testing"), ("train", "val", "test"),
     ("TRAIN", "dev", "TEST")],
)  # fmt: skip
def test_parts_are_known_in_any_usual_spelling(workspace, tmp_path, train, valid, test) -> None:
    counts = {f"{part}/{pet}": 2 for part in (train, valid, test) for pet in PETS}
    items = import_path(workspace, class_folders(tmp_path / "pets", counts)).items
    assert items["given"].value_counts().to_dict() == {"train": 4, "valid": 4, "test": 4}
    assert set(items["label:class"]) == {"cat", "dog"}


def test_parts_may_lie_below_the_classes(workspace, tmp_path) -> None:
    counts = {f"{pet}/{part}": 2 for pet in PETS for part in ("train", "test")}
    items = import_path(workspace, class_folders(tmp_path / "pets", counts)).items
    assert items["given"].value_counts().to_dict() == {"train": 4, "test": 4}
    assert set(items["label:class"]) == {"cat", "dog"}


def test_a_class_called_train_among_vehicles_is_a_class(workspace, tmp_path) -> None:
    dataset = import_path(
        workspace, class_folders(tmp_path / "v", {"train": 2, "car": 2, "bus": 2})
    )
    assert dataset.targets["class"] == ("bus", "car", "train")
    assert not dataset.items["given"].any()


def test_folders_that_only_wrap_are_looked_through(workspace, tmp_path) -> None:
    class_folders(tmp_path / "outer" / "data" / "set", PETS)
    assert import_path(workspace, tmp_path / "outer").targets["class"] == ("cat", "dog")


def test_a_zip_and_its_folder_are_the_same_data(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "pets", PARTED)
    packed = zip_of(folder, tmp_path / "pets.zip", prefix="pets-main/")
    from_zip, from_folder = import_path(workspace, packed), import_path(workspace, folder)
    assert from_zip.fingerprint == from_folder.fingerprint
    assert from_zip.items["file"].tolist() == from_folder.items["file"].tolist()
    assert from_zip.root.is_relative_to(workspace.root)


def test_an_upload_is_imported_once(workspace, tmp_path) -> None:
    data = zip_of(class_folders(tmp_path / "pets", PETS), tmp_path / "a.zip").read_bytes()
    first = import_upload(workspace, io.BytesIO(data), "My pets.zip")
    again = import_upload(workspace, io.BytesIO(data), "My pets.zip")
    assert first.id == again.id
    assert [line.name for line in list_datasets(workspace)] == ["My pets"]


def test_an_opened_data_set_is_the_one_that_was_imported(workspace, tmp_path) -> None:
    made = import_path(workspace, class_folders(tmp_path / "pets", PARTED))
    opened = open_dataset(workspace, made.id)
    assert opened.fingerprint == made.fingerprint
    assert opened.audit == made.audit
    pd.testing.assert_frame_equal(opened.items, made.items)


def test_an_empty_folder_is_refused(workspace, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    assert refusal(workspace, tmp_path / "empty") == "empty holds no pictures. It is empty."


def test_a_folder_without_pictures_is_refused_and_says_what_it_holds(workspace, tmp_path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.pdf").write_bytes(b"%PDF")
    assert "Other files: 1 .pdf" in refusal(workspace, tmp_path / "docs")


def test_a_single_class_is_refused(workspace, tmp_path) -> None:
    assert "same label" in refusal(workspace, class_folders(tmp_path / "one", {"cat": 5}))


def test_pictures_without_class_folders_are_refused(workspace, tmp_path) -> None:
    for seed in range(3):
        photo(tmp_path / "flat" / f"{seed}.jpg", seed=seed)
    assert "without labels" in refusal(workspace, tmp_path / "flat")


def test_a_folder_of_nothing_but_bad_files_is_refused_with_the_reasons(workspace, tmp_path) -> None:
    for name in ("cat/a.jpg", "dog/b.jpg"):
        path = tmp_path / "bad" / name
        path.parent.mkdir(parents=True)
        path.write_text("not a picture")
    assert "cat/a.jpg: is not an image: it is text" in refusal(workspace, tmp_path / "bad")


def test_bad_files_are_listed_by_name_and_skipped(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "pets", PETS, height=100, width=100)
    (folder / "cat" / "note.jpg").write_text("I am text")
    (folder / "cat" / "zero.png").write_bytes(b"")
    whole = (folder / "dog" / "000.jpg").read_bytes()
    (folder / "dog" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    dataset = import_path(workspace, folder)
    reasons = dict(dataset.audit.unreadable)
    assert len(dataset) == 8
    assert reasons["cat/note.jpg"] == "is not an image: it is text"
    assert reasons["cat/zero.png"] == "is empty, 0 bytes"
    assert reasons["dog/cut.jpg"].startswith("is cut off or damaged")
    assert not dataset.audit.too_many_unreadable


def test_more_than_a_few_bad_files_are_imported_but_no_run_starts_on_them(
    workspace, tmp_path
) -> None:
    folder = class_folders(tmp_path / "pets", PETS)
    for at in range(4):
        (folder / "cat" / f"bad{at}.jpg").write_text("text")
    assert import_path(workspace, folder).audit.too_many_unreadable
    with pytest.raises(LabError, match=r"4 of 12 files .*bad0\.jpg: is not an image"):
        materialise(workspace, DataSpec(source="path", path=str(folder)))


def test_the_audit_finds_copies_contradictions_and_leaks(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "pets", PARTED)
    shutil.copy(folder / "train/cat/000.jpg", folder / "valid/cat/copy.jpg")
    shutil.copy(folder / "train/dog/000.jpg", folder / "train/cat/odd.jpg")
    audit = import_path(workspace, folder).audit
    assert audit.copies == 2
    assert audit.across_given == 1
    assert audit.conflicting == (("train/cat/odd.jpg", "train/dog/000.jpg"),)


def test_the_audit_counts_sizes_and_modes(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "pets", {"cat": 2, "dog": 1}, height=50, width=80)
    Image.new("L", (200, 30)).save(folder / "dog" / "grey.png")
    audit = import_path(workspace, folder).audit
    assert audit.short_px == (30, 50, 50)
    assert audit.long_px == (80, 80, 200)
    assert audit.modes == {"RGB": 3, "L": 1}
    assert audit.formats == {"JPEG": 3, "PNG": 1}


def test_tiny_classes_and_unread_formats_are_warned_about(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "pets", {"cat": 12, "dog": 3})
    (folder / "dog" / "x.heic").write_bytes(b"0")
    words = " ".join(problem.what for problem in import_path(workspace, folder).audit.problems)
    assert "fewer than 10 pictures of dog" in words
    assert "1 .heic files are not read" in words


def test_an_unchanged_folder_opens_without_reading_a_picture(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "pets", PETS)
    import_path(workspace, folder)
    calls = []
    import_path(workspace, folder, progress=lambda done, total: calls.append(done))
    assert not any(calls)


def test_of_a_changed_folder_only_the_changed_files_are_read(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "pets", PETS)
    before = import_path(workspace, folder)
    photo(folder / "cat" / "new.jpg", seed=99)
    totals = []
    after = import_path(
        workspace, folder, progress=lambda done, total: totals.append((done, total))
    )
    assert after.id == before.id
    assert after.fingerprint != before.fingerprint
    assert (1, 1) in totals
    assert len(after) == 9


def test_an_imported_server_folder_is_looked_at_again_before_a_run(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "pets", PETS)
    before = import_path(workspace, folder, name="My pets")
    photo(folder / "cat" / "new.jpg", seed=99)
    after = materialise(workspace, DataSpec(source="imported", id=before.id))
    assert (len(after), after.name, after.id) == (9, "My pets", before.id)


def test_a_copied_folder_needs_the_original_no_more(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "pets", PETS)
    dataset = import_path(workspace, folder, copy=True)
    shutil.rmtree(folder)
    assert all(dataset.path(item).is_file() for item in range(8))
    assert len(materialise(workspace, DataSpec(source="imported", id=dataset.id))) == 8


def test_the_embedded_set_is_drawn_once(workspace) -> None:
    spec = DataSpec(leaves={"n": 100, "size_px": 64})
    first = materialise(workspace, spec)
    begun = time.perf_counter()
    again = materialise(workspace, spec)
    assert time.perf_counter() - begun < 0.5
    assert again.fingerprint == first.fingerprint
    assert list(first.targets) == ["disease", "variety"]
    assert len(first) == 100


def test_a_deleted_data_set_is_gone_and_a_server_folder_stays(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "pets", PETS)
    dataset = import_path(workspace, folder)
    delete_dataset(workspace, dataset.id)
    assert list_datasets(workspace) == []
    assert (folder / "cat" / "000.jpg").is_file()
    with pytest.raises(LabError):
        open_dataset(workspace, dataset.id)


def test_broken_folders_do_not_hide_the_other_data_sets(workspace, tmp_path) -> None:
    dataset = import_path(workspace, class_folders(tmp_path / "pets", PETS))
    (workspace.datasets / "half").mkdir()
    (workspace.datasets / "torn").mkdir()
    (workspace.datasets / "torn" / "dataset.json").write_text('{"format": 1')
    assert [line.id for line in list_datasets(workspace)] == [dataset.id]


def test_a_damaged_table_of_items_is_an_error_in_words(workspace, tmp_path) -> None:
    dataset = import_path(workspace, class_folders(tmp_path / "pets", PETS))
    (dataset.folder / "items.csv").write_text("nonsense")
    with pytest.raises(LabError, match="damaged"):
        open_dataset(workspace, dataset.id)


def test_links_are_followed_inside_of_the_folder_only(workspace, tmp_path) -> None:
    photo(tmp_path / "private.jpg", seed=77)
    folder = class_folders(tmp_path / "pets", PETS)
    (folder / "cat" / "out.jpg").symlink_to(tmp_path / "private.jpg")
    (folder / "cat" / "in.jpg").symlink_to(folder / "dog" / "000.jpg")
    (folder / "all").symlink_to(tmp_path)
    dataset = import_path(workspace, folder)
    assert "cat/in.jpg" in dataset.items["file"].tolist()
    assert dict(dataset.audit.unreadable) == {
        "cat/out.jpg": "it is a link that leads out of the folder",
        "all": "it is a link to a folder",
    }


def test_a_file_name_that_is_not_utf_8_is_listed_and_skipped(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "pets", PETS)
    shutil.copy(folder / "cat/000.jpg", os.fsencode(folder / "cat") + b"/\xff\xfe.jpg")
    dataset = import_path(workspace, folder)
    assert dataset.audit.unreadable == (("cat/\\udcff\\udcfe.jpg", "its name is not UTF-8"),)


@pytest.mark.parametrize("path", ["\\\\server\\share", "//server/share", "/no/such/folder", "a\0b"])
def test_network_paths_and_paths_that_are_not_there_are_refused(path) -> None:
    with pytest.raises(LabError):
        checked_source(path)


def test_a_path_outside_of_the_allowed_folders_is_refused(tmp_path) -> None:
    (tmp_path / "allowed").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "other")
    roots = (tmp_path / "allowed",)
    assert checked_source(tmp_path / "allowed", roots) == tmp_path / "allowed"
    for outside in ("other", "allowed/../other", "allowed/link"):
        with pytest.raises(LabError, match="not in a folder"):
            checked_source(tmp_path / outside, roots)


def test_a_stopped_import_leaves_nothing(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "pets", PETS)

    def stop(done: int, total: int) -> None:
        if done:
            raise Stopped

    with pytest.raises(Stopped):
        import_path(workspace, zip_of(folder, tmp_path / "pets.zip"), progress=stop)
    assert os.listdir(workspace.datasets) == []


CHILD = """
import sys, time
from pathlib import Path
from lab.data.catalog import import_path
from lab.workspace import Workspace
def slowly(done, total):
    print(done, flush=True)
    time.sleep(float(sys.argv[3]))
print("id", import_path(Workspace(Path(sys.argv[1])), Path(sys.argv[2]), progress=slowly).id)
"""


def child(workspace: Workspace, path: Path, sleep_s: float) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(workspace.root), str(path), str(sleep_s)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def test_an_import_that_is_killed_leaves_no_half_data_set(workspace, tmp_path) -> None:
    packed = zip_of(class_folders(tmp_path / "pets", {"cat": 40, "dog": 40}), tmp_path / "p.zip")
    victim = child(workspace, packed, 30)
    assert victim.stdout is not None
    victim.stdout.readline()
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert list_datasets(workspace) == []
    assert len(import_path(workspace, packed)) == 80
    assert len(os.listdir(workspace.datasets)) == 1


def test_two_processes_that_import_the_same_make_one_data_set(workspace, tmp_path) -> None:
    packed = zip_of(class_folders(tmp_path / "pets", {"cat": 40, "dog": 40}), tmp_path / "p.zip")
    both = [child(workspace, packed, 0.02) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].splitlines()[-1] for process in both]
    assert said[0] == said[1]
    assert said[0].startswith("id ")
    assert len(os.listdir(workspace.datasets)) == 1
