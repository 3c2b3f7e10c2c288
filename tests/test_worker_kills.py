"""Real workers, really killed: where a continued run ends, and what it leaves in the curves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from small import small_recipe

from lab.runs.events import read_events, read_steps
from lab.runs.folder import RunFolder, create_run
from lab.workspace import Workspace

pytestmark = pytest.mark.slow
REPO = Path(__file__).parent.parent


def start(workspace: Workspace, run: RunFolder, attempt: int) -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "lab.worker",
        "--workspace",
        str(workspace.root),
        "run",
        run.id,
    ]
    command += ["--attempt", str(attempt), "--device", "cpu"]
    return subprocess.Popen(command, cwd=REPO, start_new_session=True, stderr=subprocess.DEVNULL)


def finish(workspace: Workspace, run: RunFolder, attempt: int) -> None:
    assert start(workspace, run, attempt).wait(timeout=120) == 0


def weights(run: RunFolder) -> dict:
    return load_file(run.stage(1) / "model.safetensors")


def kill_when(process: subprocess.Popen, ready) -> None:
    """kill -9 as soon as `ready()`; fails where the run ends before that."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if ready():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    raise AssertionError("the moment to kill never came")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("kills")).create()


def long_recipe():
    """Long enough that a kill hits its moment: about 60 steps at two sizes."""
    stages = [
        {"size": 32, "epochs": 6, "lr": 3e-3, "batch_size": 16},
        {"size": 48, "epochs": 5, "frozen_epochs": 1, "lr": 2e-3, "batch_size": 16},
    ]
    return small_recipe(stages)


@pytest.fixture(scope="module")
def undisturbed(workspace) -> RunFolder:
    run = create_run(workspace, long_recipe())
    finish(workspace, run, 0)
    return run


def equal(a: RunFolder, b: RunFolder) -> bool:
    one, other = weights(a), weights(b)
    return one.keys() == other.keys() and all((one[k] == other[k]).all() for k in one)


def steps_done(run: RunFolder) -> int:
    return int(run.state().get("step", 0))


def events_of(run: RunFolder, kind: str) -> list[dict]:
    return [event for event in read_events(run) if event["kind"] == kind]


def moments(run: RunFolder) -> dict:
    return {
        "in the middle of a stage": lambda: len(events_of(run, "epoch")) >= 3,
        "at a stage change": lambda: (run.stage(0) / "model.safetensors").exists(),
        "just after a stage change": lambda: len(events_of(run, "stage_started")) == 2,
        "during a checkpoint": lambda: any(run.checkpoints.glob(".*.tmp")),
    }


@pytest.mark.parametrize(
    "moment",
    [
        "in the middle of a stage",
        "at a stage change",
        "just after a stage change",
        "during a checkpoint",
    ],
)
def test_a_killed_and_continued_run_ends_bit_for_bit_the_same(workspace, undisturbed, moment):
    run = create_run(workspace, long_recipe())
    kill_when(start(workspace, run, 0), moments(run)[moment])
    finish(workspace, run, 1)
    assert equal(run, undisturbed)
    ends = [(e["global_epoch"], e["step"]) for e in events_of(run, "epoch")]
    assert ends == [(e["global_epoch"], e["step"]) for e in events_of(undisturbed, "epoch")]
    assert read_steps(run)["step"].tolist() == read_steps(undisturbed)["step"].tolist()


def test_a_run_killed_while_its_pictures_are_drawn_leaves_nothing_half_done(tmp_path, undisturbed):
    workspace = Workspace(tmp_path).create()
    run = create_run(workspace, long_recipe())
    kill_when(start(workspace, run, 0), lambda: bool(events_of(run, "progress")))
    finish(workspace, run, 1)
    assert equal(run, undisturbed)


def test_sigterm_leaves_a_checkpoint_and_says_that_it_can_go_on(workspace, undisturbed):
    run = create_run(workspace, long_recipe())
    process = start(workspace, run, 0)
    end = time.monotonic() + 120
    while len(events_of(run, "epoch")) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=60) == 75
    assert run.status() == "stopped"
    finish(workspace, run, 1)
    assert equal(run, undisturbed)


def test_a_stop_after_the_stage_keeps_the_stage_and_continues_later(workspace, undisturbed):
    run = create_run(workspace, long_recipe())
    run.ask("stop_after_stage")
    assert start(workspace, run, 0).wait(timeout=120) == 75
    assert run.finished_stages() == [0]
    run.clear_wish()
    finish(workspace, run, 1)
    assert equal(run, undisturbed)


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(workspace, undisturbed):
    run = create_run(workspace, long_recipe())
    run.ask("stop_after_stage")
    start(workspace, run, 0).wait(timeout=120)
    run.clear_wish()
    newest = sorted(run.checkpoints.glob("*.pt"))[-1]
    block = bytearray(newest.read_bytes())
    block[len(block) // 2] ^= 4
    newest.write_bytes(block)
    code = start(workspace, run, 1).wait(timeout=120)
    others = len(sorted(run.checkpoints.glob("*.pt"))) > 0
    if code == 0:
        assert any("damaged" in event["message"] for event in events_of(run, "warning"))
        assert equal(run, undisturbed)
    else:  # it was the only one: the run says so instead of starting from nonsense
        assert others is not None
        assert "intact" in run.state()["message"]


def test_changed_pictures_are_refused(workspace, tmp_path):
    from PIL import Image

    folder = tmp_path / "photos"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for n in range(20):
            Image.new("RGB", (40, 40), (n * 9, 80, 200 if name == "a" else 10)).save(
                folder / name / f"{n}.jpg"
            )
    recipe = small_recipe(dataset={"source": "path", "path": str(folder)})
    run = create_run(workspace, recipe)
    run.ask("stop_after_stage")
    assert start(workspace, run, 0).wait(timeout=120) == 75
    run.clear_wish()
    Image.new("RGB", (40, 40), (1, 2, 3)).save(folder / "a" / "0.jpg")
    assert start(workspace, run, 1).wait(timeout=120) == 1
    assert "pictures have changed" in run.state()["message"]
