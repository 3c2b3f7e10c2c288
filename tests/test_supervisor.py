"""The supervisor against real processes: starts, stops, kills, dead supervisors, strangers' pids.

Workers are tests/fake_worker.py: they obey the protocol, or break it, and need no torch.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lab.jobs import launch, queue
from lab.jobs.client import (
    resume_run,
    run_status,
    stop_run,
    stop_task,
    submit_run,
    submit_task,
    task_status,
    wait_task,
)
from lab.jobs.device_lock import device_lock
from lab.jobs.supervisor import Supervisor
from lab.recipe import recipe_from
from lab.runs.folder import RunFolder, is_alive, process_identity
from lab.runs.status import supervision
from lab.workspace import Workspace, write_json

FAKE = [sys.executable, str(Path(__file__).with_name("fake_worker.py"))]
pytestmark = pytest.mark.slow


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace whose supervisor is this process; what was started in it ends with the test."""
    place = Workspace(tmp_path).create()
    write_json(place.locks / launch.IDENTITY, process_identity())
    yield place
    who = launch.identity(place)
    if is_alive(who) and who["pid"] != os.getpid():
        kill(who["pid"])
    for file in tmp_path.glob("*/*/starts.txt"):
        for pid in pids(file):
            kill(pid)


@pytest.fixture
def boss(workspace: Workspace) -> Iterator[Supervisor]:
    """A supervisor that the test ticks itself."""
    supervisor = Supervisor(workspace, worker_argv=FAKE, devices=["cpu"], grace_s=0.5)
    yield supervisor
    supervisor.close()


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def pids(starts: Path) -> list[int]:
    return [int(line.split()[1]) for line in starts.read_text().splitlines()]


def attempts(run: RunFolder) -> list[int]:
    file = run.path / "starts.txt"
    return [int(line.split()[0]) for line in file.read_text().splitlines()] if file.exists() else []


def launch_run(workspace: Workspace, mode: str, **more: object) -> RunFolder:
    recipe = recipe_from({"stages": [{"size": 64}], "notes": mode})
    return submit_run(workspace, recipe, **more)


def until(met: Callable[[], bool], *bosses: Supervisor, seconds: float = 20.0) -> None:
    """Tick, if there is somebody to tick, until a condition is met."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not happen in time"
        for boss in bosses:
            boss.tick()
        time.sleep(0.02)


def has_status(workspace: Workspace, run: RunFolder, *words: str) -> Callable[[], bool]:
    return lambda: run_status(workspace, run.id).status in words


# -- one run --------------------------------------------------------------------------------------


def test_a_submitted_run_is_worked_off(workspace: Workspace, boss: Supervisor) -> None:
    run = launch_run(workspace, "work 0.1")
    until(has_status(workspace, run, "finished"), boss)
    until(lambda: queue.get(workspace, run.id).status == "done", boss)


def test_there_is_never_more_than_one_run_on_a_device(
    workspace: Workspace, boss: Supervisor
) -> None:
    runs = [launch_run(workspace, "work 0.3") for _ in range(3)]
    most = []

    def all_done() -> bool:
        most.append(sum(has_status(workspace, run, "running", "starting")() for run in runs))
        return all(has_status(workspace, run, "finished")() for run in runs)

    until(all_done, boss)
    assert max(most) == 1


def test_two_devices_work_side_by_side(workspace: Workspace) -> None:
    boss = Supervisor(workspace, worker_argv=FAKE, devices=["cuda:0", "cuda:1", "cpu"])
    runs = [launch_run(workspace, "work 60") for _ in range(2)]
    until(lambda: all(has_status(workspace, run, "running")() for run in runs), boss)
    assert {queue.get(workspace, run.id).slot for run in runs} == {"cuda:0", "cuda:1"}


def test_a_failed_run_keeps_the_workers_words_and_is_not_tried_again(
    workspace: Workspace, boss: Supervisor
) -> None:
    run = launch_run(workspace, "fail")
    until(lambda: queue.get(workspace, run.id).status == "failed", boss)
    row = run_status(workspace, run.id)
    assert (row.message, row.fix) == ("It went wrong.", "Do it right.")
    assert attempts(run) == [0]


def test_a_crash_without_a_word_is_told_from_the_log(
    workspace: Workspace, boss: Supervisor
) -> None:
    run = launch_run(workspace, "crash")
    until(has_status(workspace, run, "failed"), boss)
    assert "RuntimeError: the fake worker crashes" in run_status(workspace, run.id).message


def test_a_device_that_is_not_there_is_said_in_words(
    workspace: Workspace, boss: Supervisor
) -> None:
    run = launch_run(workspace, "work 0.1", device="cuda:3")
    until(has_status(workspace, run, "failed"), boss)
    assert run_status(workspace, run.id).message == "There is no device cuda:3 here."


def test_a_run_waits_while_a_terminal_trains_on_its_device(
    workspace: Workspace, boss: Supervisor
) -> None:
    with device_lock(workspace, "cpu", holder="lab train in a terminal"):
        run = launch_run(workspace, "work 0.1")
        until(has_status(workspace, run, "blocked"), boss)
        assert "lab train in a terminal" in run_status(workspace, run.id).message
    until(has_status(workspace, run, "finished"), boss)


def test_a_worker_is_polite_on_a_machine_without_gpu(
    workspace: Workspace, boss: Supervisor
) -> None:
    run = launch_run(workspace, "work 60")
    until(has_status(workspace, run, "running"), boss)
    assert psutil.Process(run.state()["pid"]).nice() == min(19, os.nice(0) + 10)


# -- one after the other --------------------------------------------------------------------------


def test_a_dependent_starts_after_the_run_it_follows(
    workspace: Workspace, boss: Supervisor
) -> None:
    boss.devices = ["cuda:0", "cuda:1", "cpu"]
    first = launch_run(workspace, "work 0.3")
    second = launch_run(workspace, "work 0.1", after=first.id)
    until(has_status(workspace, second, "finished"), boss)
    assert second.state()["started"] > first.state()["started"] + 0.3


def test_a_dependent_of_a_failed_run_is_cancelled_with_words(
    workspace: Workspace, boss: Supervisor
) -> None:
    first = launch_run(workspace, "fail")
    second = launch_run(workspace, "work 0.1", after=first.id)
    until(has_status(workspace, second, "cancelled"), boss)
    assert run_status(workspace, second.id).message == (
        f"It was to follow {first.id}, which is failed."
    )


# -- stopping -------------------------------------------------------------------------------------


def test_a_stopped_run_goes_on_when_resumed(workspace: Workspace, boss: Supervisor) -> None:
    run = launch_run(workspace, "work 0.6")
    until(has_status(workspace, run, "running"), boss)
    stop_run(workspace, run.id)
    until(lambda: queue.get(workspace, run.id).status == "stopped", boss)
    resume_run(workspace, run.id)
    until(has_status(workspace, run, "finished"), boss)
    assert attempts(run) == [0, 1]


def test_a_worker_that_ignores_sigterm_is_ended_after_the_grace(
    workspace: Workspace, boss: Supervisor
) -> None:
    run = launch_run(workspace, "deaf")
    until(has_status(workspace, run, "running"), boss)
    stop_run(workspace, run.id)
    until(lambda: queue.get(workspace, run.id).status == "stopped", boss)
    assert not is_alive(run.state())
    assert "ended before it could save" in run_status(workspace, run.id).message


def test_sigterm_from_outside_stops_a_run_and_does_not_requeue_it(
    workspace: Workspace, boss: Supervisor
) -> None:
    run = launch_run(workspace, "work 60")
    until(has_status(workspace, run, "running"), boss)
    kill(run.state()["pid"], signal.SIGTERM)
    until(lambda: queue.get(workspace, run.id).status == "stopped", boss)
    assert attempts(run) == [0]


# -- death of a worker ----------------------------------------------------------------------------


def test_a_killed_worker_is_replaced_by_the_next_attempt(
    workspace: Workspace, boss: Supervisor
) -> None:
    run = launch_run(workspace, "work 0.8")
    until(has_status(workspace, run, "running"), boss)
    kill(run.state()["pid"])
    until(has_status(workspace, run, "finished"), boss)
    assert attempts(run) == [0, 1]
    assert "killed by signal 9" in supervision(run)["deaths"][0]["reason"]


def test_after_three_retries_a_run_has_failed(workspace: Workspace, boss: Supervisor) -> None:
    run = launch_run(workspace, "die 99")
    until(lambda: queue.get(workspace, run.id).status == "failed", boss)
    assert attempts(run) == [0, 1, 2, 3]
    assert "died 4 times" in run_status(workspace, run.id).message


def test_what_a_killed_worker_had_started_is_ended_too(
    workspace: Workspace, boss: Supervisor
) -> None:
    run = launch_run(workspace, "parent")
    child = run.path / "child.txt"
    until(lambda: child.exists() and child.read_text(), boss)
    orphan = psutil.Process(int(child.read_text()))
    kill(run.state()["pid"])
    until(lambda: not orphan.is_running() or orphan.status() == "zombie", boss)


def test_a_pid_that_a_stranger_has_now_is_not_the_worker(
    workspace: Workspace, boss: Supervisor
) -> None:
    run = launch_run(workspace, "work 0.1")
    claimed = queue.claim(workspace, queue.get(workspace, run.id), "cpu")
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    reused = {**process_identity(stranger.pid), "started": time.time() - 9999}
    queue.change(workspace, claimed, "running", worker=reused)
    until(lambda: queue.get(workspace, run.id).status == "done", boss)
    assert stranger.poll() is None  # neither mistaken for the worker nor killed in its place
    assert attempts(run) == [1]
    stranger.kill()
    stranger.wait()


# -- death of a supervisor ------------------------------------------------------------------------


def start_supervisor(workspace: Workspace) -> int:
    """A real one, in its own process, with fake workers."""
    (workspace.locks / launch.IDENTITY).unlink(missing_ok=True)
    options = ["--worker", shlex.join(FAKE), "--no-spare", "--grace", "1"]
    launch.ensure_supervisor(workspace, *options)
    return launch.identity(workspace)["pid"]


def test_a_run_outlives_its_supervisor_and_the_next_one_finds_it(workspace: Workspace) -> None:
    first = start_supervisor(workspace)
    run = launch_run(workspace, "work 60")
    until(has_status(workspace, run, "running"))
    kill(first)
    until(lambda: not launch.supervisor_alive(workspace))
    start_supervisor(workspace)
    log = workspace.root / "supervisor.log"
    until(lambda: "found again" in log.read_text())
    assert is_alive(run.state())
    stop_run(workspace, run.id)
    until(lambda: queue.get(workspace, run.id).status == "stopped")
    assert attempts(run) == [0]


def test_with_supervisor_and_worker_killed_the_run_goes_on_with_the_next_supervisor(
    workspace: Workspace,
) -> None:
    first = start_supervisor(workspace)
    run = launch_run(workspace, "work 1")
    until(has_status(workspace, run, "running"))
    kill(first)
    kill(run.state()["pid"])
    until(has_status(workspace, run, "lost"))
    start_supervisor(workspace)
    until(has_status(workspace, run, "finished"))
    assert attempts(run) == [0, 1]


def test_of_two_supervisors_one_acts(workspace: Workspace) -> None:
    start_supervisor(workspace)
    log = workspace.root / "supervisor.log"
    until(lambda: "at work" in log.read_text())
    start_supervisor(workspace)
    until(lambda: "another supervisor is at work here" in log.read_text())
    run = launch_run(workspace, "work 0.1")
    until(has_status(workspace, run, "finished"))
    assert attempts(run) == [0]


def test_a_worker_that_was_started_but_not_written_down_is_found(
    workspace: Workspace, boss: Supervisor
) -> None:
    run = launch_run(workspace, "mute 1")
    queue.claim(workspace, queue.get(workspace, run.id), "cpu")
    arguments = ["--workspace", str(workspace.root), "run", run.id, "--attempt", "0"]
    orphan = subprocess.Popen([*FAKE, *arguments, "--device", "cpu"])
    until(lambda: run.id in boss.live, boss)
    assert boss.live[run.id].worker.identity["pid"] == orphan.pid
    orphan.kill()
    orphan.wait()


def test_the_database_may_be_lost_while_a_run_is_going(
    workspace: Workspace, boss: Supervisor
) -> None:
    run = launch_run(workspace, "work 0.8")
    until(has_status(workspace, run, "running"), boss)
    for file in workspace.root.glob("lab.db*"):
        file.unlink()
    until(lambda: queue.get(workspace, run.id).status == "done", boss)
    assert attempts(run) == [0]


# -- the spare ------------------------------------------------------------------------------------


def test_a_spare_becomes_the_worker(workspace: Workspace) -> None:
    boss = Supervisor(workspace, worker_argv=FAKE, devices=["cpu"], spare=True)
    boss.tick()
    spare = boss._starter._spare._worker.identity["pid"]
    run = launch_run(workspace, "work 0.1")
    until(has_status(workspace, run, "finished"), boss)
    boss.close()
    assert pids(run.path / "starts.txt") == [spare]


def test_a_spare_that_was_killed_costs_nothing(workspace: Workspace) -> None:
    boss = Supervisor(workspace, worker_argv=FAKE, devices=["cpu"], spare=True)
    boss.tick()
    kill(boss._starter._spare._worker.identity["pid"])
    run = launch_run(workspace, "work 0.1")
    until(has_status(workspace, run, "finished"), boss)
    boss.close()
    assert attempts(run) == [0]


def test_a_spare_leaves_with_its_supervisor(workspace: Workspace) -> None:
    boss = Supervisor(workspace, worker_argv=FAKE, devices=["cpu"], spare=True)
    boss.tick()
    spare = boss._starter._spare._worker
    boss.close()
    assert spare.process.wait(10) == 0


# -- tasks ----------------------------------------------------------------------------------------


def test_a_task_gives_its_value_and_its_progress(workspace: Workspace, boss: Supervisor) -> None:
    task = submit_task(workspace, "evaluate", {"mode": "work 0.1"})
    until(lambda: task_status(workspace, task).status == "finished", boss)
    assert task_status(workspace, task).progress == {"done": 3, "total": 3, "what": "things"}
    assert wait_task(workspace, task) == 42


def test_a_light_task_runs_beside_a_training(workspace: Workspace, boss: Supervisor) -> None:
    run = launch_run(workspace, "work 60")
    until(has_status(workspace, run, "running"), boss)
    task = submit_task(workspace, "import", {"mode": "work 0.1"})
    until(lambda: task_status(workspace, task).status == "finished", boss)
    assert run_status(workspace, run.id).status == "running"


def test_a_task_can_be_stopped(workspace: Workspace, boss: Supervisor) -> None:
    task = submit_task(workspace, "evaluate", {"mode": "work 60"})
    until(lambda: task_status(workspace, task).status == "running", boss)
    stop_task(workspace, task)
    until(lambda: task_status(workspace, task).status == "stopped", boss)
