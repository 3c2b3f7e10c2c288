"""Event files: torn and broken lines, attempts merged, steps in fixed width."""

import json

import pytest

from lab.recipe.presets import preset_recipe
from lab.runs.events import EventReader, EventWriter, Tail, read_events, read_steps
from lab.runs.folder import create_run
from lab.workspace import Workspace


@pytest.fixture
def run(tmp_path):
    return create_run(Workspace(tmp_path).create(), preset_recipe("quick"))


def kinds(run) -> list[tuple[str, int]]:
    return [(event["kind"], event.get("step", -1)) for event in read_events(run)]


def test_events_come_back_as_written(run):
    writer = EventWriter(run, 0, clock=lambda: 5.0)
    writer.write("epoch", stage=0, accuracy=0.5)
    assert read_events(run) == [
        {"run": run.id, "kind": "epoch", "seq": 0, "t": 5.0, "stage": 0, "accuracy": 0.5}
    ]


def test_a_torn_last_line_waits_for_its_rest(tmp_path):
    file = tmp_path / "0.jsonl"
    line = json.dumps({"kind": "epoch"}).encode() + b"\n"
    file.write_bytes(line + line[:7])
    tail = Tail(file)
    assert len(tail.new()) == 1
    file.write_bytes(line + line)
    assert len(tail.new()) == 1


def test_a_broken_line_is_skipped_and_counted(tmp_path):
    file = tmp_path / "0.jsonl"
    file.write_bytes(b'{"kind": "a"}\n\xff\xfe garbage\n[1]\n{"kind": "b"}\n')
    tail = Tail(file)
    assert [event["kind"] for event in tail.new()] == ["a", "b"]
    assert tail.broken == 2


def resumed(run, attempt: int, step: int, epochs: int, stages: int) -> EventWriter:
    writer = EventWriter(run, attempt)
    writer.write("resumed", step=step, epochs_done=epochs, stages_done=stages)
    return writer


def first_attempt(run) -> None:
    writer = EventWriter(run, 0)
    writer.write("run_started")
    writer.write("stage_started", stage=0, step=0)
    for step in (10, 20, 30):
        writer.write("step", step=step)
    writer.write("epoch", global_epoch=0, step=20)
    writer.write("epoch", global_epoch=1, step=40)
    writer.write("stage_finished", stage=0, step=40)
    writer.close()


def test_what_a_later_attempt_redoes_is_dropped(run):
    first_attempt(run)
    resumed(run, 1, step=20, epochs=1, stages=0)
    assert kinds(run) == [
        ("run_started", -1),
        ("stage_started", 0),
        ("step", 10),
        ("step", 20),
        ("epoch", 20),
        ("resumed", 20),
    ]


def test_an_epoch_that_was_not_validated_before_the_checkpoint_is_redone(run):
    first_attempt(run)
    resumed(run, 1, step=20, epochs=0, stages=0)
    assert ("epoch", 20) not in kinds(run)


def test_a_resume_after_the_stages_scores_keeps_them(run):
    first_attempt(run)
    resumed(run, 1, step=40, epochs=2, stages=1)
    assert ("stage_finished", 40) in kinds(run)


def test_an_attempt_that_begins_anew_replaces_all(run):
    first_attempt(run)
    EventWriter(run, 1).write("run_started")
    assert kinds(run) == [("run_started", -1)]


def test_an_attempt_that_died_early_changes_nothing(run):
    first_attempt(run)
    before = kinds(run)
    EventWriter(run, 1).close()
    assert kinds(run) == before


def test_a_reader_sees_only_what_is_new(run):
    writer, reader = EventWriter(run, 0), EventReader(run)
    writer.write("run_started")
    assert len(reader.refresh()) == 1
    writer.write("epoch", global_epoch=0)
    assert len(reader.refresh()) == 2


def test_steps_redone_are_read_once(run):
    first, second = EventWriter(run, 0), EventWriter(run, 1)
    for step in (1, 2, 3, 4):
        first.step(step, loss=step, lr=0.1)
    for step in (3, 4, 5):
        second.step(step, loss=10 * step, lr=0.1)
    first.close()
    second.close()
    rows = read_steps(run)
    assert rows["step"].tolist() == [1, 2, 3, 4, 5]
    assert rows["loss"].tolist() == [1, 2, 30, 40, 50]
