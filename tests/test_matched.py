"""Whether a baseline of equal time took as long by the clock."""

import pytest
from fake_runs import fake_run

from lab.analysis.matched import TimeMatch, time_matches
from lab.recipe import recipe_from
from lab.runs.events import read_events
from lab.workspace import Workspace

ONE = {"stages": [{"size": 128, "epochs": 3, "batch_size": 64}], "name": "one size"}


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path).create()


def trained(run) -> float:
    return sum(event["train_seconds"] for event in read_events(run) if event["kind"] == "epoch")


def test_the_ratio_is_that_of_the_two_clocks(workspace):
    reference = fake_run(workspace, "finished")
    run = fake_run(workspace, "finished", recipe=recipe_from({**ONE, "same_time_as": reference.id}))
    found = time_matches([reference, run])
    assert [one.run for one in found] == [run.id]
    assert found[0].ratio == pytest.approx(trained(run) / trained(reference))


def test_a_run_under_way_or_with_a_lost_reference_has_none(workspace):
    reference = fake_run(workspace, "finished")
    recipe = recipe_from({**ONE, "same_time_as": reference.id})
    under_way = fake_run(workspace, "running", recipe=recipe, share=0.5)
    orphan = fake_run(workspace, "finished", recipe=recipe_from({**ONE, "same_time_as": "gone-1"}))
    assert time_matches([under_way, orphan]) == []


@pytest.mark.parametrize(
    ("seconds", "words", "close"),
    [
        (102.0, "2.0% longer (40 steps).", True),
        (97.5, "2.5% shorter (40 steps).", True),
        (120.0, "speed changed between the two", False),
        (100.0, "as long, to the second", True),
    ],
)
def test_the_sentence_says_by_how_much_and_why(seconds, words, close):
    found = TimeMatch("a", "b", seconds, 100.0, 40)
    assert words in found.words
    assert found.close is close
