"""One run in several processes: real ones, on gloo, through the real command line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from cli_runs import lab, recipe_file
from safetensors.numpy import load_file
from small import small_recipe

from lab.errors import LabError
from lab.runs.events import read_events, read_steps
from lab.runs.folder import RunFolder, all_runs, create_run, process_identity
from lab.train.parallel import Together
from lab.workers import together
from lab.workers.resolve import pick_devices
from lab.workspace import Workspace, write_json

REPO = Path(__file__).parent.parent
STAGES = [  # 78 training pictures: the last batch of the first stage is a single one
    {"size": 32, "epochs": 8, "lr": 1e-2, "batch_size": 11, "augment": {"mixup": 0.2}},
    {"size": 48, "epochs": 1, "lr": 1e-2, "batch_size": 16, "frozen_epochs": 1},
]
MODEL = {"name": "test_convnext", "groups": 2, "drop_rate": 0.0, "drop_path_rate": 0.0}


class Member(Together):
    """A place in a team without the team."""

    def __init__(self, rank: int, size: int):
        self.device, self.rank, self.size = "cpu", rank, size


def layer_norms():
    return small_recipe(STAGES, model=MODEL)


def test_shares_of_a_batch_follow_each_other_and_leave_none_out():
    shares = [Member(rank, 3).rows(10) for rank in range(3)]
    assert shares == [slice(0, 3), slice(3, 6), slice(6, 10)]


def test_weighted_shares_add_up_to_the_gradient_of_the_whole_batch():
    losses = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])  # their mean is 31 / 5
    team = [Member(rank, 2) for rank in range(2)]
    parts = [losses[one.mine(5)] for one in team]
    added = sum(part.mean() * one.weight(len(part), 5) for part, one in zip(parts, team))
    assert float(added / 2) == pytest.approx(6.2)  # DDP divides by the number of processes


def test_who_has_no_rows_takes_one_that_does_not_count():
    idle = Member(0, 2)
    assert idle.mine(1) == slice(0, 1)
    assert idle.weight(1, 1) == 0.0
    assert Member(1, 2).weight(1, 1) == 2.0


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("cpu,tpu", "no device 'tpu'"),
        ("cpu,", "no device"),
        ("cpu,cuda:99", "no device cuda:99"),
        ("cuda:x", "no device cuda:x"),
    ],
)
def test_unknown_devices_are_refused_in_words(wish, words):
    with pytest.raises(LabError, match=words):
        pick_devices(wish)


def test_gpu_and_cpu_together_and_one_gpu_twice_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(LabError, match="cannot share"):
        pick_devices("cpu,cuda:0")
    with pytest.raises(LabError, match="twice"):
        pick_devices("cuda:1,cuda:1")


def test_all_gpus_are_named_one_by_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert pick_devices("cuda:all")[0] == "cuda:0,cuda:1,cuda:2"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_devices("cuda:all")[0] == "cuda:0"


@pytest.fixture
def begun(tmp_path) -> RunFolder:
    """A run whose process 0 has gone in the middle of it."""
    run = create_run(Workspace(tmp_path).create(), layer_norms())
    write_json(run.state_file, {"status": "running", "attempt": 0, **process_identity()})
    return run


def test_the_first_words_of_a_failed_process_are_the_run_s_last(begun, tmp_path):
    words = tmp_path / "words"
    words.mkdir()
    write_json(words / "1.json", {"what": "An echo.", "fix": "", "t": 2.0})
    write_json(words / "2.json", {"what": "The GPU is on fire.", "fix": "Put it out.", "t": 1.0})
    assert together.verdict(begun, 0, 1, words) == 1
    assert begun.state()["message"] == "The GPU is on fire."
    assert read_events(begun)[-1]["fix"] == "Put it out."


def test_what_process_0_said_counts_whatever_code_the_processes_left(begun, tmp_path):
    write_json(begun.state_file, {**begun.state(), "status": "stopped"})
    assert together.verdict(begun, 0, -9, tmp_path / "none") == 75


def test_a_word_of_an_earlier_attempt_does_not_count(begun, tmp_path):
    write_json(begun.state_file, {**begun.state(), "status": "finished"})
    assert together.verdict(begun, 1, -9, tmp_path / "none") == -9


# -- real processes ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def workspace(folder) -> Workspace:
    return Workspace(folder / "ws").create()


def trained(folder: Path, device: str) -> tuple[RunFolder, list[dict]]:
    file = recipe_file(folder, **layer_norms().dump())
    done = lab("train", "--recipe", file, "--device", device, workspace=folder / "ws")
    assert done.code == 0, done.err
    return all_runs(Workspace(folder / "ws"))[0], done.lines


@pytest.fixture(scope="module")
def alone(folder) -> tuple[RunFolder, list[dict]]:
    return trained(folder, "cpu")


@pytest.fixture(scope="module")
def pair(folder, alone) -> tuple[RunFolder, list[dict]]:
    return trained(folder, "cpu,cpu")


def weights(run: RunFolder) -> dict[str, np.ndarray]:
    return load_file(run.stage(1) / "model.safetensors")


def start(workspace: Workspace, run: RunFolder, attempt: int, **more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "lab.worker", "--workspace", str(workspace.root), "run"]
    command += [run.id, "--attempt", str(attempt), "--device", "cpu,cpu"]
    environment = {**os.environ, **more}
    return subprocess.Popen(
        command, cwd=REPO, start_new_session=True, env=environment, stderr=subprocess.DEVNULL
    )


def underway(process: subprocess.Popen, run: RunFolder) -> list[psutil.Process]:
    """The two training processes, by rank, once the first epoch is over."""
    end = time.monotonic() + 120
    while not any(event["kind"] == "epoch" for event in read_events(run)):
        assert process.poll() is None
        assert time.monotonic() < end, "it never got under way"
        time.sleep(0.005)
    ranks = psutil.Process(process.pid).children()
    return sorted(ranks, key=lambda rank: rank.environ()["RANK"])


def long_run(workspace: Workspace) -> RunFolder:
    stages = [{**STAGES[0], "epochs": 500}]
    return create_run(workspace, small_recipe(stages, model=MODEL))


@pytest.mark.slow
def test_two_processes_end_where_one_does(alone, pair):
    one, two = weights(alone[0]), weights(pair[0])
    assert max(np.abs(one[name] - two[name]).max() for name in one) < 1e-4


@pytest.mark.slow
def test_every_step_of_two_processes_sees_the_pictures_of_one(alone, pair):
    one, two = read_steps(alone[0]), read_steps(pair[0])
    assert one["step"].tolist() == two["step"].tolist()
    assert two["loss"] == pytest.approx(one["loss"], abs=1e-4)
    assert len(set(one["loss"].round(3))) > 20  # other pictures would show


@pytest.mark.slow
def test_two_processes_tell_what_one_tells_and_tell_it_once(alone, pair):
    def told(lines):
        keys = ("kind", "stage", "global_epoch", "size", "pixels")
        timed = ("step", "progress", "checkpoint")
        return [[line.get(key) for key in keys] for line in lines if line["kind"] not in timed]

    assert told(pair[1]) == told(alone[1])
    assert pair[1] == read_events(pair[0])


@pytest.mark.slow
def test_two_processes_stopped_and_resumed_end_bit_for_bit_where_they_would_have(workspace, pair):
    run = create_run(workspace, layer_norms())
    process = start(workspace, run, 0)
    underway(process, run)
    run.ask("stop")
    assert process.wait(timeout=60) == 75
    assert run.status() == "stopped"
    assert not run.finished_stages(), "it was stopped too late to show anything"
    run.clear_wish()
    done = lab("resume", run.id, workspace=workspace.root)  # on the devices that it began with
    assert done.code == 0, done.err
    ends = weights(pair[0])
    assert all((value == ends[name]).all() for name, value in weights(run).items())


@pytest.mark.slow
def test_sigterm_stops_all_at_one_step_and_saves(workspace):
    run = long_run(workspace)
    process = start(workspace, run, 0)
    underway(process, run)
    process.terminate()
    assert process.wait(timeout=60) == 75
    assert any(run.checkpoints.glob("*.pt"))


@pytest.mark.slow
def test_a_killed_process_ends_its_run_within_seconds_and_leaves_none_behind(workspace):
    run = long_run(workspace)
    process = start(workspace, run, 0)
    ranks = underway(process, run)
    ranks[1].kill()
    assert process.wait(timeout=15) == -signal.SIGKILL  # as if it had been the only one
    assert not psutil.wait_procs(ranks, timeout=1)[1]
    assert run.status() == "lost"


@pytest.mark.slow
def test_no_process_outlives_who_started_it(workspace):
    run = long_run(workspace)
    process = start(workspace, run, 0)
    ranks = underway(process, run)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not psutil.wait_procs(ranks, timeout=5)[1]


@pytest.mark.slow
def test_a_process_that_fails_ends_the_run_with_its_words(workspace, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "if os.environ.get('RANK') == '1':\n"
        "    from lab.errors import LabError\n"
        "    from lab.workers.together import Mute\n"
        "    def take(self, event):\n"
        "        if self.trainer.step == 3:\n"
        "            raise LabError('The second GPU fell off the bus.', 'Restart the machine.')\n"
        "    Mute._take = take\n"
    )
    run = long_run(workspace)
    assert start(workspace, run, 0, PYTHONPATH=str(tmp_path)).wait(timeout=90) == 1
    assert run.status() == "failed"
    assert run.state()["message"] == "The second GPU fell off the bus."
