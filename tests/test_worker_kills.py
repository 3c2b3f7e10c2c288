"""Real workers, really killed: where a continued run ends, and what it leaves in the curves."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from shortened import shortened
from small import small_recipe

from lab.recipe.presets import preset_recipe
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
    last = len(run.recipe().stages) - 1
    return load_file(run.stage(last) / "model.safetensors")


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
    """Whether the last stage's weights are the same bits."""
    one, other = weights(a), weights(b)
    return one.keys() == other.keys() and all(one[k].tobytes() == other[k].tobytes() for k in one)


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


# Workers by the dozen: forks of one process that has imported all, as the supervisor's spare has.
# Each is a process and a session of its own; checkpoints come in quick succession, because a
# shortened run is over before the first one would be due.
NURSERY = """
import json, os, sys
import timm, torch
import lab.workers.record as record, lab.workers.runner
from lab.worker import main
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setsid()
        record.AFTER_EPOCH_S = record.WITHIN_EPOCH_S = order["save_s"]
        os._exit(main(order["argv"]))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
SAVE_S, USUAL_SAVE_S = 0.05, 60.0


class Nursery:
    """Starts one worker at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", NURSERY]
        self.process = subprocess.Popen(
            command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, bufsize=1,
        )  # fmt: skip

    def start(self, workspace: Workspace, run: RunFolder, attempt: int, save_s: float) -> int:
        """The worker's process number."""
        argv = ["--workspace", str(workspace.root), "run", run.id, "--attempt", str(attempt)]
        order = {"argv": [*argv, "--device", "cpu"], "save_s": save_s}
        self.process.stdin.write(json.dumps(order) + "\n")
        return int(self.process.stdout.readline())

    def ended(self, within_s: float) -> bool:
        return bool(select.select([self.process.stdout], [], [], within_s)[0])

    def code(self) -> int:
        """How the worker ended: -9 where it was killed."""
        assert self.ended(120)
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.process.stdin.close()
    nursery.process.wait(timeout=60)


def kill_soon(nursery: Nursery, pid: int, ready: Callable[[], bool]) -> None:
    """kill -9 as soon as `ready()`; fails where the run ends before that."""
    end = time.monotonic() + 120
    while not ready():
        assert not nursery.ended(0.002), "the run ended before it could be killed"
        assert time.monotonic() < end, "the moment to kill never came"
    os.killpg(pid, signal.SIGKILL)
    assert nursery.code() == -signal.SIGKILL


def saved_step(run: RunFolder) -> int:
    """The step of the newest whole checkpoint."""
    names = sorted(file.stem for file in run.checkpoints.glob("*.json"))
    return int(names[-1].split("-")[1]) if names else 0


def scores(run: RunFolder) -> list[dict]:
    """Of every stage, the digest of its weights among them."""
    return [run.scores(stage) for stage in range(len(run.recipe().stages))]


def each_epoch_once(run: RunFolder, undisturbed: RunFolder) -> bool:
    told, others = (
        [(e["global_epoch"], e["step"], e["valid_loss"]) for e in events_of(r, "epoch")]
        for r in (run, undisturbed)
    )
    steps, other_steps = read_steps(run), read_steps(undisturbed)
    return told == others and (steps == other_steps).all()


# From quick to dear; easy-steps has searches, cached activations and restarts, the last one fp16.
@pytest.mark.parametrize(
    "name", ["quick", "fastbook-7", "keras-fixres", "composer", "easy-steps", "lesson-6-deeper"]
)
def test_a_preset_killed_in_its_middle_is_continued_bit_for_bit(workspace, nursery, name):
    recipe = shortened(preset_recipe(name))
    whole, run = create_run(workspace, recipe), create_run(workspace, recipe)
    nursery.start(workspace, whole, 0, USUAL_SAVE_S)
    assert nursery.code() == 0
    third = len(read_steps(whole)) // 3
    pid = nursery.start(workspace, run, 0, SAVE_S)
    kill_soon(nursery, pid, lambda: saved_step(run) >= third)
    assert run.status() == "lost"
    nursery.start(workspace, run, 1, USUAL_SAVE_S)
    assert nursery.code() == 0
    (resumed,) = events_of(run, "resumed")
    assert third <= resumed["step"] < len(read_steps(whole))
    assert equal(run, whole)
    assert each_epoch_once(run, whole)
    assert scores(run) == scores(whole)


def test_a_run_killed_at_twenty_random_moments_ends_bit_for_bit_the_same(
    workspace, nursery, undisturbed
):
    moments, killed, resumed = random.Random(7), 0, 0
    while killed < 20:
        run, attempt = create_run(workspace, long_recipe()), 0
        while killed < 20:
            pid = nursery.start(workspace, run, attempt, SAVE_S)
            attempt += 1
            if nursery.ended(moments.uniform(0.1, 1.2)):
                assert nursery.code() == 0
                break
            os.killpg(pid, signal.SIGKILL)
            killed += nursery.code() == -signal.SIGKILL
        else:
            nursery.start(workspace, run, attempt, USUAL_SAVE_S)
            assert nursery.code() == 0
        resumed += len(events_of(run, "resumed"))
        assert equal(run, undisturbed)
        assert each_epoch_once(run, undisturbed)
    assert resumed > 0


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(workspace, nursery, undisturbed):
    run = create_run(workspace, long_recipe())
    pid = nursery.start(workspace, run, 0, SAVE_S)
    kill_soon(nursery, pid, lambda: len(list(run.checkpoints.glob("*.json"))) >= 2)
    newest = sorted(run.checkpoints.glob("*.json"))[-1].with_suffix(".pt")
    damage(newest)
    nursery.start(workspace, run, 1, USUAL_SAVE_S)
    assert nursery.code() == 0
    (warning,) = [e["message"] for e in events_of(run, "warning") if "damaged" in e["message"]]
    assert newest.stem in warning
    assert equal(run, undisturbed)


def test_with_no_intact_checkpoint_left_a_run_says_so_and_does_not_begin_anew(workspace, nursery):
    run = create_run(workspace, long_recipe())
    pid = nursery.start(workspace, run, 0, SAVE_S)
    kill_soon(nursery, pid, lambda: saved_step(run) > 0)
    for file in run.checkpoints.glob("*.pt"):
        damage(file)
    nursery.start(workspace, run, 1, USUAL_SAVE_S)
    assert nursery.code() == 1
    assert "intact" in run.state()["message"]


def damage(file: Path) -> None:
    """Flip one bit in the middle."""
    block = bytearray(file.read_bytes())
    block[len(block) // 2] ^= 4
    file.write_bytes(block)
