"""The run library: search, tags, archive, a trash that gives back, what changed since."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from fake_runs import eight_epochs, fake_run, living

from lab.analysis.changes import Change, changes
from lab.errors import LabError
from lab.jobs import queue
from lab.jobs.order import Job
from lab.recipe import recipe_from
from lab.runs import library
from lab.runs.index import RunRow, list_runs
from lab.runs.references import borrowed_by, reference_words
from lab.runs.search import arranged, search
from lab.workspace import Workspace, write_json

DAY = 86400.0
ROWS = [
    RunRow(
        "20261120-1000-00-leaves-aaaa", "Leaves at noon", "quick", "resnet10t", "leaves",
        owner="ana", experiment="e1", tags=("good", "low light"), status="finished",
        error_rate=0.2, seconds=30.0, notes="Better than\nfeared",
    ),
    RunRow(
        "20261120-1100-00-cats-bbbb", "Cats", "fastbook-7", "xresnet50", "pets", owner="ben",
        tags=("Good morning",), status="failed", seconds=90.0,
    ),
    RunRow(
        "20261120-1200-00-dogs-cccc", "dogs: again", "", "resnet10t", "pets", experiment="e1",
        status="finished", error_rate=0.1, seconds=10.0,
    ),
]  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


def names_found(words: str) -> list[str]:
    return [row.name for row in search(ROWS, words, {"e1": "Does it help?"})]


def rows_by_id(workspace: Workspace) -> dict[str, RunRow]:
    return {row.id: row for row in list_runs(workspace)}


# -- search ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", ["Leaves at noon", "Cats", "dogs: again"]),
        ("  LEAVES  noon ", ["Leaves at noon"]),
        ("resnet10t pets", ["dogs: again"]),
        ("feared", ["Leaves at noon"]),  # a note
        ("light", ["Leaves at noon"]),  # a part of a tag
        ("fastbook", ["Cats"]),
        ("bbbb", ["Cats"]),  # the end of an id
        ("help", ["Leaves at noon", "dogs: again"]),  # the name of an experiment
        ("leaves cats", []),
        ("tag:good", ["Leaves at noon"]),  # a whole tag: not "Good morning"
        ('tag:"GOOD morning"', ["Cats"]),
        ("status:fail", ["Cats"]),
        ("status:failed leaves", []),
        ("experiment:e1 data:pets", ["dogs: again"]),
        ("network:resnet10t owner:ana", ["Leaves at noon"]),
        ("tag:", ["Leaves at noon", "Cats", "dogs: again"]),  # still being written
        ("dogs:", ["dogs: again"]),  # no field: a part of the word
        ("http://x", []),
        ('tag:"low light', ["Leaves at noon"]),  # its second quote is to come
    ],
)
def test_a_run_is_found_where_every_word_fits(words: str, found: list[str]) -> None:
    assert names_found(words) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("newest", ["dogs: again", "Cats", "Leaves at noon"]),
        ("oldest", ["Leaves at noon", "Cats", "dogs: again"]),
        ("name", ["Cats", "dogs: again", "Leaves at noon"]),
        ("lowest error", ["dogs: again", "Leaves at noon", "Cats"]),  # unscored last
        ("longest", ["Cats", "Leaves at noon", "dogs: again"]),
        ("experiment", ["dogs: again", "Leaves at noon", "Cats"]),
    ],
)
def test_runs_are_put_in_the_order_asked_for(order: str, found: list[str]) -> None:
    assert [row.name for row in arranged(ROWS, order)] == found


# -- tags and archive -----------------------------------------------------------------------------


def test_tags_are_cut_to_size_and_kept_once(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished", tags=["old"])
    new = [" low\nlight ", "OLD", "", "x" * 99, "a\x1b[31mb"]
    library.change_tags(workspace, [run.id], add=new, remove=["none of these"])
    assert run.meta()["tags"] == ["old", "low light", "x" * 60, "a [31mb"]
    library.change_tags(workspace, [run.id], remove=["LOW light"])
    assert rows_by_id(workspace)[run.id].tags == ("old", "x" * 60, "a [31mb")


def test_an_archived_run_is_only_out_of_the_usual_list(workspace: Workspace) -> None:
    run, other = fake_run(workspace, "finished"), fake_run(workspace, "finished")
    before = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    library.archive(workspace, [run.id])
    assert [row.id for row in list_runs(workspace, archived=False)] == [other.id]
    assert {row.id for row in list_runs(workspace)} == {run.id, other.id}
    library.unarchive(workspace, [run.id])
    assert {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()} == before


def test_of_several_runs_none_is_archived_where_one_still_trains(workspace: Workspace) -> None:
    run, live = fake_run(workspace, "finished"), fake_run(workspace, "running", identity=living())
    with pytest.raises(LabError, match=f"{live.id} trains just now and cannot be archived"):
        library.archive(workspace, [run.id, live.id])
    assert not rows_by_id(workspace)[run.id].archived


# -- the trash ------------------------------------------------------------------------------------


def test_a_deleted_run_comes_back_as_it_was(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished", tags=["good"])
    files = {file.relative_to(run.path): file.read_bytes() for file in run.path.rglob("*")
             if file.is_file()}  # fmt: skip
    (row,) = list_runs(workspace)
    library.delete_run(workspace, run.id, now=1000.0)
    assert list_runs(workspace) == []
    (deleted,) = library.deleted_runs(workspace)
    assert (deleted.id, deleted.name, deleted.deleted) == (run.id, "Quick demo", 1000.0)
    library.restore_run(workspace, run.id)
    assert library.deleted_runs(workspace) == []
    assert list_runs(workspace) == [row]
    assert files == {file.relative_to(run.path): file.read_bytes() for file in run.path.rglob("*")
                     if file.is_file()}  # fmt: skip


@pytest.mark.parametrize(("status", "words"), [("running", "trains"), ("queued", "waits")])
def test_a_run_that_trains_or_waits_cannot_be_deleted(
    workspace: Workspace, status: str, words: str
) -> None:
    run = fake_run(workspace, status, identity=living() if status == "running" else None)
    with pytest.raises(LabError, match=words):
        library.delete_run(workspace, run.id)
    assert run.exists()
    assert not (run.path / library.MARK).exists()


def test_a_run_that_a_task_works_on_cannot_be_deleted(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    task = workspace.task("20261120-1000-00-tta-abcd")
    task.mkdir(parents=True)
    write_json(task / "request.json", {"kind": "test_sizes", "runs": [{"run": run.id, "stage": 2}]})
    queue.submit(workspace, Job(task.name, "task"))
    with pytest.raises(LabError, match="tta-abcd is working on it"):
        library.delete_run(workspace, run.id)
    queue.withdraw(workspace, task.name, "cancelled", "")
    library.delete_run(workspace, run.id)
    assert not run.exists()


def test_the_queue_knows_a_restored_run(workspace: Workspace) -> None:
    run = fake_run(workspace, "queued")
    queue.withdraw(workspace, run.id, "cancelled", "Taken out.")
    library.delete_run(workspace, run.id)
    assert queue.waiting(workspace) == []
    library.restore_run(workspace, run.id)
    assert rows_by_id(workspace)[run.id].status == "cancelled"
    assert queue.submit(workspace, Job(run.id, "run", attempt=1)).status == "queued"


def test_a_run_is_not_restored_over_another_of_its_id(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    library.delete_run(workspace, run.id)
    run.path.mkdir()
    with pytest.raises(LabError, match="cannot be moved"):
        library.restore_run(workspace, run.id)
    assert len(library.deleted_runs(workspace)) == 1


def test_nothing_but_runs_of_the_trash_is_restored(workspace: Workspace) -> None:
    for word in ("../runs/x", "no-such-run"):
        with pytest.raises(LabError):
            library.restore_run(workspace, word)


def test_only_what_was_deleted_long_ago_is_removed_by_itself(workspace: Workspace) -> None:
    old, new = fake_run(workspace, "finished"), fake_run(workspace, "finished")
    library.delete_run(workspace, old.id, now=1000.0)
    library.delete_run(workspace, new.id, now=1000.0 + 2 * DAY)
    assert library.empty_expired(workspace, now=1000.0 + 29.9 * DAY) == 0
    assert library.empty_expired(workspace, now=1000.0 + 30.1 * DAY) == 1
    assert [one.id for one in library.deleted_runs(workspace)] == [new.id]


def test_an_emptied_trash_leaves_nothing_of_an_interrupted_removal(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    library.delete_run(workspace, run.id)
    left = library.trash_of(workspace) / f".gone-{run.id}"
    left.mkdir()
    assert library.empty_trash(workspace) == 1
    assert list(library.trash_of(workspace).iterdir()) == []


def test_emptying_the_trash_leaves_alone_what_a_link_in_it_leads_to(
    workspace: Workspace, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "big disk"
    fake = fake_run(workspace, "finished")
    fake.path.rename(elsewhere)
    fake.path.symlink_to(elsewhere)
    library.delete_run(workspace, fake.id)
    assert library.empty_trash(workspace) == 1
    assert (elsewhere / "recipe.json").is_file()


# -- who leans on a run ---------------------------------------------------------------------------


def test_runs_that_refer_to_a_run_are_named_before_it_goes(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished", recipe=eight_epochs().but(name="First"))
    values = eight_epochs().dump()
    on = {**values, "name": "Onward", "model": {**values["model"], "weights": "run", "run": run.id}}
    fake_run(workspace, "finished", recipe=recipe_from(on))
    fixed = {**values, "name": "Fixed", "stages": values["stages"][2:], "same_time_as": run.id}
    other = fake_run(workspace, "queued", recipe=recipe_from(fixed), baseline_of=run.id)
    write_json(_made(workspace.root / "experiments" / "e9") / "experiment.json",
               {"id": "e9", "name": "Is it luck?", "borrowed": [run.id]})  # fmt: skip
    rows, borrowed = list_runs(workspace), borrowed_by(workspace)
    assert set(reference_words(rows, {run.id}, borrowed)) == {
        "Onward begins with the weights of First.",
        "First is what Fixed is compared with.",
        "Fixed was to train just as long as First. It has not started yet, and cannot start "
        "without it.",
        "First is the reference of the experiment Is it luck?.",
    }
    assert reference_words(rows, {other.id}, borrowed) == []
    assert len(reference_words(rows, {run.id, other.id}, borrowed)) == 2


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


# -- what changed ---------------------------------------------------------------------------------


def other_recipe() -> Any:
    values = eight_epochs().dump()
    values["stages"][0]["size"] = 48
    return recipe_from({**values, "name": "Other", "stages": values["stages"][:2], "seed": 3})


def test_what_changed_is_only_what_differs(workspace: Workspace) -> None:
    a = fake_run(workspace, "finished")
    b = fake_run(workspace, "stopped", share=0.5, recipe=other_recipe())
    noted = b.resolved()
    noted["resolved"] |= {"precision": "bf16", "stages": {"0": {"lr": 0.002}}}
    write_json(b.resolved_file, noted)
    found = changes(a, b)
    assert [one for one in found if one.part == "recipe"] == [
        Change("recipe", "seed", 0, 3),
        Change("recipe", "stages.0.size", 64, 48),
        Change("recipe", "stages.2", "128 px, 2 epochs", None),
    ]
    assert Change("choices", "stages.0.lr", None, 0.002) in found
    assert Change("result", "status", "finished", "stopped") in found
    assert not [one for one in found if one.part in ("data", "versions")]


def test_two_runs_of_one_recipe_and_outcome_do_not_differ(workspace: Workspace) -> None:
    assert changes(fake_run(workspace, "finished"), fake_run(workspace, "finished")) == []


def test_other_data_and_versions_are_told(workspace: Workspace) -> None:
    a, b = fake_run(workspace, "finished"), fake_run(workspace, "finished")
    events = b.events / "0.jsonl"
    text = events.read_text()
    text = text.replace('"ffffffff"', '"0123456789abcdef"').replace(
        '"torch": "2.10"', '"torch": "3"'
    )
    events.write_text(text.replace('"rust"]', '"scab", "tar"]'))
    assert changes(a, b) == [
        Change("data", "fingerprint", "ffffffff", "0123456789ab"),
        Change("data", "classes", "rust", "scab, tar"),
        Change("versions", "torch", "2.10", "3"),
    ]


# -- the index ------------------------------------------------------------------------------------


def test_a_list_seen_before_reads_no_file_of_its_runs_again(workspace: Workspace) -> None:
    template = fake_run(workspace, "finished")
    parts = ("recipe.json", "meta.json", "state.json", "events/0.jsonl")
    for n in range(299):
        folder = workspace.runs / f"20261120-0000-00-run-{n:04d}"
        for part in parts:
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            (folder / part).write_bytes((template.path / part).read_bytes())
    opened: list[str] = []
    with_spy = {"on": True}

    def spy(event: str, arguments: tuple[Any, ...]) -> None:
        if with_spy["on"] and event == "open" and str(workspace.runs) in str(arguments[0]):
            opened.append(str(arguments[0]))

    sys.addaudithook(spy)  # sees every opening of a file by this process, whoever does it
    try:
        assert len(list_runs(workspace)) == 300
        cold = len(opened)
        opened.clear()
        assert len(list_runs(workspace)) == 300
        assert [cold >= 300 * 4, opened] == [True, []]
        template.set_meta(tags=["new"])
        opened.clear()
        list_runs(workspace)
        assert {Path(file).is_relative_to(template.path) for file in opened} == {True}
    finally:
        with_spy["on"] = False


def test_an_index_of_an_older_lab_learns_of_notes_and_the_archive(workspace: Workspace) -> None:
    from lab.runs import database

    run = fake_run(workspace, "finished", notes="Worth it.", archived=5.0)
    known, database.MIGRATIONS[2:] = database.MIGRATIONS[2:], []
    try:
        database.connect(workspace).close()  # the schema of two steps
        database.write(
            workspace, lambda db: db.execute("INSERT INTO runs (id) VALUES (?)", (run.id,))
        )
    finally:
        database.MIGRATIONS[2:] = known
    (row,) = list_runs(workspace)
    assert (row.notes, row.archived, row.name) == ("Worth it.", True, "Quick demo")
