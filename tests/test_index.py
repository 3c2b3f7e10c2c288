"""The index of runs: quick with a thousand of them, and never more than a copy of the folders."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.recipe import recipe_from
from lab.runs.events import EventWriter
from lab.runs.folder import RunFolder, create_run, process_identity
from lab.runs.index import RunRow, list_runs, rebuild
from lab.workspace import Workspace, write_json

RECIPE = recipe_from(
    {"name": "small first", "preset": "quick", "stages": [{"size": 64}, {"size": [128, 96]}]}
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


def finished_run(workspace: Workspace, accuracy: float = 0.75, **meta: object) -> RunFolder:
    """A run of two epochs of 1.5 s each."""
    run = create_run(workspace, RECIPE, meta)
    writer = EventWriter(run, 0)
    writer.write("run_started")
    for epoch in range(2):
        writer.write("epoch", global_epoch=epoch, seconds=1.5, accuracy=accuracy)
    scores = {"accuracy": accuracy, "error_rate": 1 - accuracy}
    writer.write("finished", step=20, scores=scores)
    writer.close()
    write_json(run.state_file, {"status": "finished", "attempt": 0})
    return run


def copies(workspace: Workspace, count: int) -> None:
    """Many run folders, without the fsyncs of making them properly."""
    for n in range(count):
        folder = workspace.runs / f"20261120-0000-00-run-{n:04d}"
        (folder / "events").mkdir(parents=True)
        (folder / "recipe.json").write_text(json.dumps(RECIPE.dump()))
        (folder / "meta.json").write_text(json.dumps({"created": 1.0 * n}))
        (folder / "state.json").write_text(json.dumps({"status": "finished", "attempt": 0}))
        steps = [{"run": folder.name, "kind": "step", "step": s, "loss": 1.0} for s in range(40)]
        epochs = [{"run": folder.name, "kind": "epoch", "global_epoch": 0, "seconds": 2.0}] * 6
        lines = "".join(json.dumps(event) + "\n" for event in [*steps, *epochs])
        (folder / "events" / "0.jsonl").write_text(lines)


def only(workspace: Workspace) -> RunRow:
    (row,) = list_runs(workspace)
    return row


# -- what a row says ------------------------------------------------------------------------------


def test_a_row_tells_what_was_trained_and_how_well(workspace: Workspace) -> None:
    run = finished_run(workspace, experiment="demo", tags=["a", "b"])
    row = only(workspace)
    assert (row.id, row.name, row.preset, row.dataset) == (run.id, "small first", "quick", "leaves")
    assert (row.sizes, row.experiment, row.tags) == ("64 → 128×96", "demo", ("a", "b"))
    assert (row.status, row.accuracy, row.error_rate, row.seconds) == ("finished", 0.75, 0.25, 3.0)


def test_epochs_that_a_later_attempt_did_again_count_once(workspace: Workspace) -> None:
    run = finished_run(workspace)
    writer = EventWriter(run, 1)
    writer.write("resumed", step=10, epochs_done=1, stages_done=0)
    writer.write("epoch", global_epoch=1, seconds=5.0)
    writer.close()
    assert only(workspace).seconds == 1.5 + 5.0


def test_a_run_that_has_changed_is_read_again(workspace: Workspace) -> None:
    run = finished_run(workspace)
    list_runs(workspace)
    run.set_meta(experiment="another")
    assert only(workspace).experiment == "another"


def test_a_worker_that_died_without_a_trace_shows_as_lost(workspace: Workspace) -> None:
    run = create_run(workspace, RECIPE)
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    who = process_identity(worker.pid)
    write_json(run.state_file, {"status": "running", "attempt": 0, **who})
    assert only(workspace).status == "running"
    worker.kill()
    worker.wait()
    assert only(workspace).status == "lost"


def test_a_deleted_run_leaves_the_list(workspace: Workspace) -> None:
    run = finished_run(workspace)
    list_runs(workspace)
    run.recipe_file.unlink()
    assert list_runs(workspace) == []


def test_a_run_with_broken_files_is_listed_beside_the_others(workspace: Workspace) -> None:
    finished_run(workspace)
    broken = finished_run(workspace)
    broken.recipe_file.write_text("[1, 2]")
    broken.state_file.write_text("no JSON")
    assert len(list_runs(workspace)) == 2


def test_runs_are_found_by_experiment_newest_first(workspace: Workspace) -> None:
    runs = [finished_run(workspace, experiment="demo") for _ in range(2)]
    finished_run(workspace, experiment="other")
    found = [row.id for row in list_runs(workspace, experiment="demo")]
    assert found == sorted((run.id for run in runs), reverse=True)


# -- a thousand -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_thousand_runs_are_listed_within_a_second(workspace: Workspace) -> None:
    copies(workspace, 1000)
    list_runs(workspace)
    start = time.perf_counter()
    assert len(list_runs(workspace)) == 1000
    assert time.perf_counter() - start < 1.0


# -- accidents ------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 1000])
def test_a_lost_database_is_made_anew(workspace: Workspace, content: bytes | None) -> None:
    finished_run(workspace)
    before = list_runs(workspace)
    for file in workspace.root.glob("lab.db*"):
        file.unlink()
    if content is not None:
        workspace.database.write_bytes(content)
    assert list_runs(workspace) == before


def test_a_database_with_overwritten_pages_is_made_anew(workspace: Workspace) -> None:
    copies(workspace, 50)
    before = list_runs(workspace)
    size = workspace.database.stat().st_size
    with open(workspace.database, "r+b") as file:
        file.seek(4096)
        file.write(b"\x5a" * (size - 4096))
    assert list_runs(workspace) == before


def test_rebuilding_finds_every_run(workspace: Workspace) -> None:
    copies(workspace, 20)
    assert rebuild(workspace) == 20


LIST = """
import sys
from pathlib import Path
from lab.runs.index import list_runs
from lab.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]))
for n in range(20):
    for folder in sorted(workspace.runs.iterdir())[:50]:
        (folder / "meta.json").write_text('{"created": %d}' % n)
    assert len(list_runs(workspace)) == 100
"""


@pytest.mark.slow
def test_eight_processes_refresh_at_once_without_an_error(workspace: Workspace) -> None:
    copies(workspace, 100)
    argv = [sys.executable, "-c", LIST, str(workspace.root)]
    writers = [subprocess.Popen(argv) for _ in range(8)]
    assert [writer.wait(60) for writer in writers] == [0] * 8


def test_a_run_of_cycles_counts_the_epochs_of_its_cycles(tmp_path):
    stage = {"size": 64, "schedule": "restarts", "cycle_mult": 2, "frozen_epochs": 1}
    recipe = recipe_from({"stages": [stage, {"size": 96, "epochs": 2}]})
    workspace = Workspace(tmp_path).create()
    create_run(workspace, recipe)
    (row,) = list_runs(workspace)
    assert row.total_epochs == (1 + 1 + 2 + 4) + 2 == recipe.total_epochs
