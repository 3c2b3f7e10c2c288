"""Submission files: which picture an id means, which columns are filled, and what is said of it."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from lab.analysis.picture_ids import Index
from lab.analysis.predicted import Answer, Predicted
from lab.analysis.submission import Submission, Target, fill, read_template, targets_of
from lab.errors import LabError

PETS = Target("label", ["cat", "dog"], np.array([[0.9, 0.1], [0.25, 0.75], [0.6, 0.4]]))
NAMES = ["test/1.jpg", "test/2.jpg", "test/3.PNG"]


def filled(text: str, names: list[str] = NAMES, target: Target = PETS, **more) -> Submission:
    return fill(read_template(text.encode()), names, [target], **more)


def cells(made: Submission) -> list[list[str]]:
    return [line.split(",") for line in made.csv.splitlines()]


def words(made: Submission) -> str:
    return "\n".join(f"{problem.level}: {problem}" for problem in made.problems)


@pytest.mark.parametrize("ids", [
    ("test/1.jpg", "test/2.jpg", "test/3.PNG"), ("1.jpg", "2.jpg", "3.PNG"), ("1", "2", "3"),
    ("test/1", "test/2", "test/3"), ("./test/1.jpg", "other/2.jpg", "test\\3.PNG"),
    ("TEST/1.JPG", "2.JPG", "3.png"),
])  # fmt: skip
def test_ids_match_with_and_without_folder_ending_and_capitals(ids: tuple[str, ...]) -> None:
    made = filled("id,label\n" + "".join(f"{name},?\n" for name in ids))
    assert cells(made)[1:] == [[ids[0], "cat"], [ids[1], "dog"], [ids[2], "cat"]]
    assert not made.problems


def test_an_exact_name_wins_over_one_that_only_ends_alike() -> None:
    assert Index(["a/1.jpg", "1.jpg"]).find("1.jpg") == [1]


def test_a_dot_in_a_name_is_no_ending() -> None:
    assert Index(["v1.2.jpg", "v1.3.jpg"]).find("v1.2") == [0]


def test_columns_named_like_classes_get_probabilities() -> None:
    made = filled("file,dog,cat\n3,0,0\n1,0,0\n2,0,0\n")
    assert cells(made)[1:] == [["3", "0.4", "0.6"], ["1", "0.1", "0.9"], ["2", "0.75", "0.25"]]
    assert made.kind == "probabilities"


def test_rows_and_other_columns_stay_as_they_are() -> None:
    made = filled("id;note;label\n2;007;\n1;x;\n3;;\n")
    assert made.csv == "id;note;label\n2;007;dog\n1;x;cat\n3;;cat\n"


def test_a_template_of_ids_alone_gets_a_label_column() -> None:
    assert cells(filled("name\n1\n2\n3\n")) == [
        ["name", "label"], ["1", "cat"], ["2", "dog"], ["3", "cat"],
    ]  # fmt: skip


def test_ids_without_a_picture_keep_their_row_and_are_named() -> None:
    made = filled("id,label\n1,?\n2,?\n3,?\n44,?\n")
    assert cells(made)[-1] == ["44", "?"]
    assert "error: 1 id has no picture: 44." in words(made)
    assert made.n_filled == 3


def test_pictures_without_an_id_are_named() -> None:
    assert "1 picture has no id in the template: test/3.PNG." in words(filled("id,l\n1,\n2,\n"))


def test_an_id_that_means_several_pictures_is_not_guessed() -> None:
    made = filled("id,label\n1,?\n2,?\n", ["a/1.jpg", "b/1.jpg", "2.jpg"])
    assert cells(made)[1] == ["1", "?"]
    assert "1 id matches several pictures: 1." in words(made)


def test_an_id_of_an_unreadable_picture_is_told_from_a_missing_one() -> None:
    made = filled("id,label\n1,?\n2,?\n3,?\n9,?\n", unreadable=["test/9.jpg"])
    assert "1 id belongs to a picture that cannot be read: 9." in words(made)
    assert "no picture" not in words(made)


def test_an_id_in_two_rows_fills_both_and_is_named() -> None:
    made = filled("id,label\n1,\n1,\n2,\n3,\n")
    assert [row[1] for row in cells(made)[1:3]] == ["cat", "cat"]
    assert "1 id stands in several rows: 1." in words(made)


def test_a_class_without_a_column_and_a_column_without_a_class_are_named() -> None:
    target = Target("label", ["cat", "dog", "cow"], np.full((3, 3), 1 / 3))
    made = filled("id,cat,dog,bird\n1,0,0,0\n2,0,0,0\n3,0,0,0\n", target=target)
    assert "have no column in the template: cow." in words(made)
    assert "no class of this network: bird." in words(made)
    assert [row[3] for row in cells(made)[1:]] == ["0", "0", "0"]


def test_numbers_where_class_names_go_are_remarked_on() -> None:
    assert "has numbers in 'label'" in words(filled("id,label\n1,0\n2,0\n3,1\n"))


def test_a_choice_of_columns_is_asked_for_and_can_be_given() -> None:
    text = "id,one,two\n1,,\n2,,\n3,,\n"
    with pytest.raises(LabError, match="Which column of the template is for the answer") as caught:
        filled(text)
    assert caught.value.where == "label_column"
    assert cells(filled(text, label_column="two"))[1] == ["1", "", "cat"]


def test_of_two_targets_each_fills_the_column_of_its_name() -> None:
    kind = Target("kind", ["big", "small"], np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]))
    disease = Target("disease", PETS.classes, PETS.probs)
    template = read_template(b"id,kind,disease\n1,,\n2,,\n3,,\n")
    made = fill(template, NAMES, [disease, kind])
    assert cells(made)[1:] == [["1", "small", "cat"], ["2", "big", "dog"], ["3", "big", "cat"]]


def test_a_template_about_other_pictures_is_refused_with_an_example() -> None:
    with pytest.raises(LabError, match=r"No column of the template names any .* it has x, y\."):
        filled("id,label\nx,\ny,\n")


@pytest.mark.parametrize(("data", "reason"), [
    (b"", "no readable table"), (b"id,label\n", "no rows"), (b"\x89PNG\r\n\0\0", "no text file"),
])  # fmt: skip
def test_what_is_no_template_is_refused_in_words(data: bytes, reason: str) -> None:
    with pytest.raises(LabError, match=reason):
        read_template(data)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_template_of_any_usual_encoding_keeps_its_letters(encoding: str) -> None:
    template = read_template("id,größe\n1,x\n".encode(encoding))
    assert list(template.frame.columns) == ["id", "größe"]


def test_names_like_formulas_stay_exact_and_are_remarked_on() -> None:
    target = Target("label", ["=cmd()", "dog"], PETS.probs)
    made = filled("id,label\n1,\n2,\n3,\n", target=target)
    assert cells(made)[1] == ["1", "=cmd()"]
    assert "would be a formula in a spreadsheet: =cmd()" in words(made)


def test_a_comma_or_quote_in_a_name_survives_reading_the_file_again() -> None:
    target = Target("label", ['a, "b"\nc', "dog"], PETS.probs)
    made = filled("id,label\n1,\n2,\n3,\n", target=target)
    assert pd.read_csv(io.StringIO(made.csv))["label"][0] == 'a, "b"\nc'


def test_unreadable_pictures_are_no_answers_of_a_submission() -> None:
    about = {"classes": ["cat", "dog"], "target": "pet", "tta": 0}
    found = Predicted.of(
        about, [Answer("a", np.array([0.2, 0.8])), Answer("b", error="It is empty.")]
    )
    names, targets, unreadable = targets_of(found)
    assert (names, unreadable, targets[0].name) == (["a"], ["b"], "pet")
    assert targets[0].probs.tolist() == pytest.approx(np.array([[0.2, 0.8]]))
