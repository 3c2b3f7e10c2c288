"""The Inspect page on an empty, a full and a broken workspace, and the numbers it picks by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import fake_run
from streamlit.testing.v1 import AppTest

from lab.analysis.tta import fastai_average, running_averages, tta_report
from lab.errors import LabError
from lab.jobs.tasks import TaskStatus
from lab.recipe.presets import preset_recipe
from lab.runs.folder import RunFolder
from lab.ui import look_choices
from lab.ui.choose import told_apart
from lab.ui.evidence import Evidence, disagreement, evidence, in_cell, picked
from lab.ui.views import shown_classes
from lab.workspace import Workspace, write_json

PAGE = Path(__file__).resolve().parents[1] / "pages" / "inspect.py"
LAST = len(preset_recipe("quick").stages) - 1
Show = Callable[..., AppTest]

# Five pictures of two classes: right both times, corrected, corrupted, wrong both times, unsure.
PLAIN = [[0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9], [0.51, 0.49]]
VIEWS = [
    [[0.9, 0.1]] * 2, [[0.9, 0.1]] * 2, [[0.2, 0.8]] * 2, [[0.1, 0.9]] * 2,
    [[0.9, 0.1], [0.1, 0.9]],
]  # fmt: skip
SAID = Evidence(
    (64, 64), ("a", "b"), np.arange(10, 15), np.zeros(5, np.int64), np.array(PLAIN), np.array(VIEWS)
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


@pytest.fixture
def show(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Open the page with a helper that never gets warm; nothing is started."""
    monkeypatch.setenv("LAB_WORKSPACE", str(workspace.root))
    monkeypatch.setattr("lab.jobs.helper_client.is_warm", lambda *_: False)
    monkeypatch.setattr("lab.jobs.helper_client.start", lambda *_: None)
    monkeypatch.setattr("streamlit.switch_page", lambda page: None)

    def opened(run: RunFolder | None = None, **state: Any) -> AppTest:
        page = AppTest.from_file(str(PAGE), default_timeout=30)
        if run is not None:
            page.query_params["run"] = run.id
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


def _look_again(run: RunFolder, views: int = 4, kind: str = "tta") -> None:
    """What the tta task leaves: random views around the plain answers."""
    said = evidence(run, LAST)
    assert said
    rng = np.random.default_rng(0)
    noisy = said.plain[:, None] + rng.uniform(0, 0.8, (len(said.item), views, len(said.classes)))
    seen = (noisy / noisy.sum(axis=2, keepdims=True)).astype(np.float32)
    average = fastai_average(said.plain, seen, 0.25)
    name = f"s{LAST}-{said.size[0]}x{said.size[1]}-{kind}.npz"
    np.savez(run.predictions / name, item=said.item, target=said.target, plain=said.plain,
             views=seen, average=average, beta=0.25)  # fmt: skip


def _texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def _button(page: AppTest, key: str) -> Any:
    return page.button(key)


# The page


def test_an_empty_workspace_leads_to_the_schedule(show: Show) -> None:
    page = show()
    assert not page.exception
    assert "There is no run yet" in page.info[0].value
    assert [button.label for button in page.button] == ["Go to the schedule"]


def test_a_run_without_a_finished_stage_says_so(show: Show, workspace: Workspace) -> None:
    fake_run(workspace, "stopped", share=0.1)
    page = show()
    assert not page.exception
    assert "has no finished stage yet" in page.warning[0].value


def test_before_anybody_looked_again_the_plain_answers_are_shown(
    show: Show, workspace: Workspace
) -> None:
    fake_run(workspace, "finished")
    page = show(part="all")
    assert not page.exception
    assert "Nobody has looked again" in _texts(page)
    assert "Corrected" not in [metric.label for metric in page.metric]


def test_the_button_asks_for_the_chosen_number_of_views(
    show: Show, workspace: Workspace, started: list
) -> None:
    run = fake_run(workspace, "finished")
    page = show()
    page.number_input(f"inspect.views.{run.id}.{LAST}").set_value(7).run()
    _button(page, "inspect.look").click().run()
    kind, arguments = started[0]
    assert (kind, arguments["run"], arguments["stage"]) == ("tta", run.id, LAST)
    assert (arguments["views"], arguments["family"]) == (7, "training")


def test_gains_and_losses_are_both_counted_on_the_page(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    _look_again(run)
    page = show(part="all")
    said = evidence(run, LAST)
    assert said
    report = tta_report(said.plain, said.views, said.target, 0.25)
    shown = {metric.label: metric.value for metric in page.metric}
    assert not page.exception
    assert shown["Corrected"] == str(report["corrected"])
    assert shown["Corrupted"] == str(report["corrupted"])


def test_another_weight_averages_again_without_a_task(
    show: Show, workspace: Workspace, started: list
) -> None:
    run = fake_run(workspace, "finished")
    _look_again(run)
    page = show(part="all")
    page.slider(f"inspect.beta.{run.id}.{LAST}").set_value(1.0).run()
    shown = {metric.label: metric.value for metric in page.metric}
    assert (shown["Corrected"], shown["Corrupted"]) == ("0", "0")
    assert "No answer changed" in _texts(page)
    assert not started


def test_the_run_looked_at_last_is_the_one_shown(show: Show, workspace: Workspace) -> None:
    first, _ = fake_run(workspace, "finished"), fake_run(workspace, "finished")
    assert show(**{"lab.watch": first.id}).selectbox("inspect.run").value == first.id


def test_a_run_picked_here_is_the_one_looked_at_elsewhere(show: Show, workspace: Workspace) -> None:
    first, second = fake_run(workspace, "finished"), fake_run(workspace, "finished")
    page = show(second)
    page.selectbox("inspect.run").set_value(first.id).run()
    assert page.selectbox("inspect.run").value == first.id
    assert page.session_state["lab.watch"] == first.id


def test_runs_of_one_name_are_told_apart() -> None:
    labels = told_apart({"run-aaaa": "Demo", "run-bbbb": "Demo", "x": "Other"})
    assert labels == {"run-aaaa": "Demo (aaaa)", "run-bbbb": "Demo (bbbb)", "x": "Other"}


def test_damaged_predictions_are_said_in_words(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    for file in run.predictions.glob("*.npz"):
        file.write_bytes(b"PK nonsense")
    page = show()
    assert not page.exception
    assert "cannot be read" in page.error[0].value


def test_damaged_scores_are_said_in_words(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    (run.stage(LAST) / "scores.json").write_text("{")
    page = show()
    assert not page.exception
    assert "cannot be read" in page.error[0].value


def test_pictures_that_are_gone_leave_the_numbers(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    _look_again(run)
    page = show()
    assert "pictures are not here" in _texts(page)
    assert "The plain picture alone says" in _texts(page)


def test_a_helper_that_fails_leaves_the_numbers(
    show: Show, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fake_run(workspace, "finished")
    _look_again(run)

    def fail(*_: Any, **__: Any) -> None:
        raise LabError("The helper died.", "See its log.")

    monkeypatch.setattr("lab.jobs.helper_client.is_warm", lambda *_: True)
    monkeypatch.setattr("lab.jobs.helper_client.call", fail)
    page = show()
    assert not page.exception
    assert "The helper died" in _texts(page)
    assert "The plain picture alone says" in _texts(page)


def test_pictures_that_do_not_belong_to_the_numbers_are_named(
    show: Show, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fake_run(workspace, "finished")
    _look_again(run)
    even = [1 / 6] * 6
    titles = [f"View {number}" for number in range(1, 5)]
    other = {"plain": even, "views": [even] * 4, "titles": titles, "sizes": [[128, 128]] * 5}
    monkeypatch.setattr("lab.jobs.helper_client.is_warm", lambda *_: True)
    monkeypatch.setattr("lab.jobs.helper_client.call", lambda *_, **__: (other, [b""] * 5))
    assert "do not match the stored numbers" in _texts(show())


@pytest.mark.parametrize("part", ["picture", "all", "confidence", "mistakes", "resolution"])
@pytest.mark.parametrize("looked", [False, True])
def test_every_part_opens_with_and_without_views(
    show: Show, workspace: Workspace, part: str, looked: bool
) -> None:
    run = fake_run(workspace, "finished")
    if looked:
        _look_again(run)
    assert not show(part=part).exception


def test_another_family_of_views_has_its_own_stored_answers(
    show: Show, workspace: Workspace, started: list
) -> None:
    run = fake_run(workspace, "finished")
    _look_again(run)
    page = show(part="all")
    page.selectbox(f"inspect.family.{run.id}.{LAST}").set_value("d4").run()
    assert "Nobody has looked again in all eight flips" in _texts(page)
    _button(page, "inspect.look").click().run()
    assert started[0][1]["family"] == "d4"


def test_families_that_are_stored_stand_side_by_side(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    _look_again(run)
    _look_again(run, 1, "tta-flips")
    page = show(part="all")
    assert "Families of views side by side" in _texts(page)
    assert page.dataframe[-1].value["Views"].tolist()[1:] == [
        "As in training (random): 4", "Flip: 1",
    ]  # fmt: skip


def test_fewer_views_than_stored_are_averaged_without_a_task(
    show: Show, workspace: Workspace, started: list
) -> None:
    run = fake_run(workspace, "finished")
    _look_again(run)
    page = show(part="all")
    page.number_input(f"inspect.views.{run.id}.{LAST}").set_value(2).run()
    said = evidence(run, LAST)
    report = tta_report(said.plain, said.views[:, :2], said.target, 0.25)
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Corrected"] == str(report["corrected"])
    assert not started


def test_every_way_of_averaging_is_scored_beside_the_others(
    show: Show, workspace: Workspace
) -> None:
    run = fake_run(workspace, "finished")
    _look_again(run)
    page = show(part="all")
    said = evidence(run, LAST)
    table = page.dataframe[0].value
    largest = table[table["Averaged as"].str.startswith("largest")].iloc[0]
    report = tta_report(said.plain, said.views, said.target, 0.25, "max")
    assert (largest["Corrected"], largest["Corrupted"]) == (
        str(report["corrected"]), str(report["corrupted"]),
    )  # fmt: skip


def test_the_page_invites_to_bring_a_picture(show: Show, workspace: Workspace) -> None:
    fake_run(workspace, "finished")
    page = show(**{"inspect.source": "own"})
    assert not page.exception
    assert "Bring a picture" in _texts(page)


# What it picks by


@pytest.mark.parametrize(
    ("kind", "items"),
    [("corrected", [11]), ("corrupted", [12]), ("wrong", [13, 12]), ("all", [10, 11, 12, 13, 14])],
)
def test_a_filter_shows_its_pictures(kind: str, items: list[int]) -> None:
    assert SAID.item[picked(SAID, kind, beta=0.25)].tolist() == items


def test_the_least_certain_and_the_most_divided_come_first() -> None:
    assert SAID.item[picked(SAID, "unsure", beta=0.25)][0] == 14
    assert SAID.item[picked(SAID, "split", beta=0.25)][0] == 14


def test_mistakes_made_with_much_confidence_come_with_the_surest_first() -> None:
    plain = np.array([[0.05, 0.95], [0.3, 0.7], [0.15, 0.85], [0.99, 0.01]])
    said = Evidence((64, 64), ("a", "b"), np.arange(4), np.zeros(4, np.int64), plain)
    assert picked(said, "sure", beta=0.25).tolist() == [0, 2]


def test_a_class_without_pictures_is_empty() -> None:
    assert not len(picked(SAID, "all", 0.25, of_class=1))


def test_views_that_agree_have_no_disagreement() -> None:
    assert disagreement(SAID.views)[:4] == pytest.approx(np.zeros(4))


def test_a_cell_of_the_confusions_holds_its_pictures() -> None:
    assert SAID.item[in_cell(SAID, SAID.plain, true=0, predicted=1)].tolist() == [13, 11]


def test_the_true_class_always_gets_a_row() -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(40), 5)
    running = running_averages(probs[:1], probs[None, 1:], 0.25)[0]
    assert all(truth in shown_classes(probs, running, truth) for truth in range(40))


def test_rows_of_classes_keep_one_order() -> None:
    shown = shown_classes(np.eye(9)[[8, 2, 5]], np.eye(9)[[8, 2, 5]], truth=0)
    assert shown == sorted(shown)


@pytest.mark.parametrize(
    ("corrected", "corrupted", "p", "words"),
    [(7, 6, 1.0, "not enough evidence"), (30, 4, 0.0001, "**helps**"), (2, 20, 0.001, "**hurts**"),
     (0, 0, 1.0, "No answer changed")],
)  # fmt: skip
def test_the_verdict_is_in_words(corrected: int, corrupted: int, p: float, words: str) -> None:
    report = {"corrected": corrected, "corrupted": corrupted, "p": p, "views": 4, "n": 300}
    said = look_choices.summary_words(report)
    assert words in said
    assert "5 looks" in said


def test_a_run_of_two_labels_says_which_one_is_inspected(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    scores = run.scores(LAST)
    scores["model"] |= {"target": "disease", "second_target": "variety"}
    write_json(run.stage(LAST) / "scores.json", scores)
    assert "It learnt two labels. Here is disease; for variety see" in _texts(show())
