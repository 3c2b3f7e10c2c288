"""Labels from tables, and class names of every kind, in folders, zips and exports."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from pictures import class_folders, photo, zip_of

from lab.data.catalog import import_path, open_dataset
from lab.data.csvsafe import safe_csv
from lab.errors import LabError
from lab.workspace import Workspace

PETS = {"cat": 4, "dog": 4}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws").create()


def refusal(workspace: Workspace, path: Path) -> str:
    with pytest.raises(LabError) as caught:
        import_path(workspace, path)
    assert caught.value.fix
    assert os.listdir(workspace.datasets) == []
    return caught.value.what


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_gives_several_targets_and_parts(workspace, tmp_path) -> None:
    class_folders(tmp_path / "set", {"img": 6})
    rows = ["file,disease,variety,split,weight"]
    for at in range(6):
        part = "Train" if at < 4 else "val"
        rows.append(
            f"img/{at:03d}.jpg,{'rust' if at % 2 else 'scab'},{'ab'[at // 3]},{part},{at}.5"
        )
    dataset = import_path(workspace, table(tmp_path / "set" / "labels.csv", "\n".join(rows)))
    assert dataset.targets == {"disease": ("rust", "scab"), "variety": ("a", "b")}
    assert dataset.items["given"].tolist() == ["train"] * 4 + ["valid"] * 2


def test_a_tsv_with_semantic_column_names_and_names_without_endings_is_read(
    workspace, tmp_path
) -> None:
    class_folders(tmp_path / "set", {"deep/img": 4})
    rows = ["kind\tlabel\timage_id"] + [f"k\t{'xy'[at % 2]}\t{at:03d}" for at in range(4)]
    dataset = import_path(workspace, table(tmp_path / "set" / "t.tsv", "\n".join(rows)))
    assert dataset.items["label:label"].tolist() == ["x", "y", "x", "y"]


def test_fastais_is_valid_column_makes_the_parts(workspace, tmp_path) -> None:
    class_folders(tmp_path / "set", {"i": 4})
    rows = ["fname,label,is_valid"] + [f"i/{at:03d}.jpg,{'xy'[at % 2]},{at > 1}" for at in range(4)]
    dataset = import_path(workspace, table(tmp_path / "set" / "t.csv", "\n".join(rows)))
    assert dataset.items["given"].tolist() == ["train", "train", "valid", "valid"]


def test_a_table_leads_to_no_file_outside_of_its_folder(workspace, tmp_path) -> None:
    photo(tmp_path / "secret.jpg")
    class_folders(tmp_path / "set", {"i": 4})
    rows = ["file,label"] + [f"i/{at:03d}.jpg,{'xy'[at % 2]}" for at in range(4)]
    rows += ["../secret.jpg,x", f"{tmp_path}/secret.jpg,y"]
    dataset = import_path(workspace, table(tmp_path / "set" / "t.csv", "\n".join(rows)))
    assert len(dataset) == 4
    assert [name for name, _ in dataset.audit.unreadable] == sorted(
        ["../secret.jpg", f"{tmp_path}/secret.jpg"]
    )


def test_a_cell_that_says_NA_is_a_class_and_an_empty_one_is_no_label(workspace, tmp_path) -> None:
    class_folders(tmp_path / "set", {"i": 5})
    labels = ["NA", "NA", "null", "null", ""]
    rows = ["file,label"] + [f"i/{at:03d}.jpg,{label}" for at, label in enumerate(labels)]
    dataset = import_path(workspace, table(tmp_path / "set" / "t.csv", "\n".join(rows)))
    assert dataset.targets["label"] == ("NA", "null")
    assert dataset.labels().tolist() == [0, 0, 1, 1, -1]


@pytest.mark.parametrize(
    ("text", "words"), [("", "is empty"), ("a,b\n1,2\n", "No column"), ("x\n", "No column")]
)
def test_a_table_without_files_and_labels_is_refused(workspace, tmp_path, text, words) -> None:
    class_folders(tmp_path / "set", PETS)
    assert words in refusal(workspace, table(tmp_path / "set" / "t.csv", text))


STRANGE = [
    "=cmd|' calc'!A0",
    "<script>alert(1)<script>",
    "🦊 fox",
    "with  spaces",
    "חתול",
    'quote"and,comma',
    "line\rbreak\nhere",
    "é",
    "x" * 250,
]


def test_strange_class_names_survive_import_and_reopening(workspace, tmp_path) -> None:
    dataset = import_path(workspace, class_folders(tmp_path / "s", dict.fromkeys(STRANGE, 1)))
    assert set(dataset.targets["class"]) == set(STRANGE)
    assert set(open_dataset(workspace, dataset.id).items["label:class"]) == set(STRANGE)
    assert all(dataset.path(item).is_file() for item in range(len(dataset)))


def test_strange_class_names_survive_in_a_zip(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "s", dict.fromkeys(STRANGE, 1))
    dataset = import_path(workspace, zip_of(folder, tmp_path / "s.zip"))
    assert set(dataset.targets["class"]) == set(STRANGE)


def test_a_class_name_of_300_characters_in_a_zip_is_kept(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "s", {"a": 2})
    packed = zip_of(folder, tmp_path / "s.zip", prefix="y" * 300 + "/")
    dataset = import_path(workspace, zip_of_two(packed, tmp_path / "two.zip"))
    assert "y" * 300 in dataset.targets["class"]


def zip_of_two(first: Path, path: Path) -> Path:
    """The first zip with a second class beside its own."""
    with zipfile.ZipFile(first) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
            new.writestr("b/" + name.rpartition("/")[2], old.read(name))
    return path


def test_two_spellings_of_one_letter_are_one_class(workspace, tmp_path) -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    counts = {f"train/{composed}": 2, f"valid/{apart}": 2, "train/tea": 2}
    dataset = import_path(workspace, class_folders(tmp_path / "s", counts))
    assert dataset.targets["class"] == (composed, "tea")


def test_an_export_runs_in_no_spreadsheet() -> None:
    frame = pd.DataFrame({"class": ["=1+1", "+a", "-b", "@c", "\td", "fine"], "n": [-1] * 6})
    lines = safe_csv(frame).splitlines()
    assert lines[1:] == ["'=1+1,-1", "'+a,-1", "'-b,-1", "'@c,-1", "'\td,-1", "fine,-1"]
