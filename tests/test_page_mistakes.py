"""Inspect, Mistakes, without a browser: what each view says of a run wrong in known places."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mistaken_runs import HOSTILE, mistaken_run
from streamlit.testing.v1 import AppTest

from lab.data.csvsafe import safe_csv
from lab.runs.folder import RunFolder
from lab.ui.charts import describe
from lab.ui.charts.confusion import confusion_map
from lab.ui.mistakes_labels import listed
from lab.ui.mistakes_matrix import counts_frame
from lab.ui.palette import contrast
from lab.workspace import Workspace

PAGE = """
import streamlit as st
from lab.ui import inspect_mistakes
from lab.ui.evidence import evidence
from lab.ui.inspected import Looked
from lab.runs.folder import find_run
from lab.ui.state import workspace
run = find_run(workspace(), "last")
stage = run.finished_stages()[-1]
said, here = evidence(run, stage), f"{run.id}.{stage}"
inspect_mistakes.panel(Looked(run, stage, run.scores(stage), run.recipe(), said, here))
"""
Show = Callable[..., AppTest]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws").create()


@pytest.fixture
def show(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Make a run and open one view of its mistakes."""
    monkeypatch.setenv("LAB_WORKSPACE", str(workspace.root))

    def opened(view: str = "matrix", **made: Any) -> AppTest:
        mistaken_run(workspace, tmp_path, **made)
        page = AppTest.from_string(PAGE, default_timeout=30)
        page.session_state["mistakes.view"] = view
        return page.run()

    return opened


def _texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info]
    return "\n".join(str(part.value) for part in parts).replace("\\", "").replace("\u202f", " ")


def _widget(page: AppTest, kind: str, start: str) -> Any:
    return next(one for one in getattr(page, kind) if one.key and one.key.startswith(start))


@pytest.mark.parametrize("view", ["matrix", "losses", "classes", "sure", "labels"])
@pytest.mark.parametrize("made", [{}, {"second": True}, {"views": True}])
def test_every_view_opens(show: Show, view: str, made: dict[str, Any]):
    page = show(view, flips=[3, 27], **made)
    assert not page.exception
    assert "8 of 120 answers" in _texts(page)


def test_the_worst_cell_is_open_at_first(show: Show):
    said = _texts(show())
    assert f"True **{HOSTILE}**, answered **class 01**: 4. The other way round: 0." in said
    assert f"{HOSTILE} and class 01: 4 of 6 mistakes." in said


def test_the_boxes_open_another_cell(show: Show):
    page = show()
    _widget(page, "selectbox", "mistakes.matrix.").set_value(2).run()
    assert "True **class 02**, answered **class 01**: 0." in _texts(page)


def test_a_pair_opens_its_cell(show: Show):
    page = show()
    page.button("mistakes.matrix.pair.1").click().run()
    assert f"True **class 02**, answered **{HOSTILE}**: 2." in _texts(page)


def test_the_scrubber_goes_back_to_an_earlier_epoch(show: Show):
    page = show()
    _widget(page, "select_slider", "mistakes.matrix.moment").set_value(0).run()
    assert "Epoch 1, stage 1, at 64 px" in _texts(page)


def test_answers_with_views_are_counted_when_they_are_asked_for(show: Show):
    page = show(views=True, flips=[27])
    assert "7 of 120 answers are wrong" in _texts(page)
    _widget(page, "button_group", "mistakes.answers").set_value(1).run()
    assert "1 of 120 answers are wrong" in _texts(page)
    assert "averaged over views" in _texts(page)


def test_the_second_label_has_its_own_mistakes(show: Show):
    page = show(second=True)
    _widget(page, "button_group", "mistakes.target").set_value(1).run()
    said = _texts(page)
    assert "17 of 102 answers of parity are wrong" in said
    assert "stage 1" in said or "End of stage 3" in said


def test_thirty_classes_are_all_counted_but_not_all_drawn(show: Show):
    page = show(classes=30, each=5)
    assert "Drawn: 16 of 30 classes, with 2 of 2 mistakes" in _texts(page)


def test_the_table_of_classes_begins_with_the_hardest(show: Show):
    page = show("classes")
    assert page.dataframe[0].value["class"].iloc[0] == HOSTILE


def test_a_higher_threshold_answers_fewer_images(show: Show):
    page = show("sure")
    assert page.metric[0].value == "95.0\u202f%"
    assert page.metric[1].value == "100.0\u202f%"
    page.slider[0].set_value(90).run()
    assert "No answer is that sure" in _texts(page)


def test_suspects_are_listed_as_questions(show: Show):
    page = show("labels", flips=[3, 27])
    said = _texts(page)
    assert "2 labels are contradicted, of 120 validation images" in said
    assert "a question, not an answer" in said
    assert set(page.dataframe[0].value["file"]) == {f"{HOSTILE}/003.jpg", "class 01/007.jpg"}


def test_without_suspects_the_page_says_so(show: Show):
    page = show("labels")
    assert "No label of 120 validation images is contradicted that firmly" in _texts(page)
    assert not page.dataframe


def test_pictures_that_are_gone_leave_the_numbers(show: Show, workspace: Workspace):
    page = show()
    for header in workspace.datasets.glob("*/dataset.json"):
        header.unlink()
    page.run()
    assert not page.exception
    assert "only the numbers are shown" in _texts(page)
    assert "4 of 6 mistakes" in _texts(page)


def test_a_second_label_whose_answers_are_lost_is_said_in_words(show: Show, workspace: Workspace):
    page = show(second=True)
    run = RunFolder(next(workspace.runs.iterdir()))
    file = run.predictions / "s2-128x128.npz"
    with np.load(file) as stored:
        kept = {name: stored[name] for name in ("item", "target", "probs")}
    np.savez(file, **kept)
    _widget(page, "button_group", "mistakes.target").set_value(1).run()
    assert not page.exception
    assert "cannot be read" in _texts(page)


# What is drawn and taken home


def test_the_exported_list_runs_nothing_in_a_spreadsheet():
    table = pd.DataFrame({
        "item": [4], "label": ["=2+3"], "suggested": ["@x"], "confidence": [0.9],
        "label_probability": [0.05], "agree": [8], "asked": [9],
    })  # fmt: skip
    row = next(csv.DictReader(io.StringIO(safe_csv(listed(table, {4: "+bad.jpg"})))))
    assert (row["file"], row["label"], row["suggested"]) == ("'+bad.jpg", "'=2+3", "'@x")
    assert row["agree"] == "8 of 9"


def test_the_csv_of_the_matrix_has_every_class():
    frame = counts_frame(np.array([[3, 1], [0, 2]]), ("a", "b"))
    assert frame.to_dict("list") == {
        "true class": ["a", "b"], "answered a": [3, 0], "answered b": [1, 2],
    }  # fmt: skip


def test_cells_of_the_map_say_their_class_numbers_and_shares():
    table = np.array([[8, 2, 0], [0, 5, 5], [0, 0, 3]])
    trace = confusion_map("abc", table, shares=True, shown=[1, 2])["data"][0]
    assert trace["customdata"] == [[[1, 1], [1, 2]], [[2, 1], [2, 2]]]
    assert trace["text"] == [["50", "50"], ["", "100"]]


def test_mistakes_and_right_answers_lie_on_two_sides_of_the_scale():
    shade = np.asarray(confusion_map("ab", np.array([[9, 1], [0, 4]]))["data"][0]["z"])
    assert (shade[0, 0], shade[0, 1], shade[1, 0]) == (1.0, -1.0, 0.0)
    assert 0 < shade[1, 1] < 1


def test_every_colour_of_the_map_carries_its_black_numbers():
    colours = [colour for _, colour in confusion_map("ab", np.eye(2, dtype=int))["data"][0][
        "colorscale"] if colour.startswith("#")]  # fmt: skip
    assert len(colours) == 4
    assert min(contrast("#000000", colour) for colour in colours) > 4.5


def test_the_map_can_be_read_without_seeing_it():
    chart = confusion_map("ab", np.array([[9, 1], [0, 4]]))
    assert describe(chart) == "Confusion matrix, 2 of 2 classes; 1 of 14 images are wrong."
