"""A run outlives everything but its own worker: app and supervisor are killed, it goes on."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from browser import ROOT, open_page, serve, settle
from reaper import processes_of, reaped
from safetensors.numpy import load_file
from small import small_recipe

from lab.jobs.client import submit_run
from lab.jobs.launch import ensure_supervisor
from lab.runs.events import read_events
from lab.runs.folder import RunFolder
from lab.workspace import Workspace

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api")


@pytest.fixture
def workspace(tmp_path):
    with reaped(tmp_path):
        yield Workspace(tmp_path).create()


def long_recipe():
    stages = [
        {"size": 32, "epochs": 30, "lr": 3e-3, "batch_size": 16},
        {"size": 48, "epochs": 30, "lr": 2e-3, "batch_size": 16},
    ]
    return small_recipe(stages)


def epochs(run: RunFolder) -> int:
    return sum(event["kind"] == "epoch" for event in read_events(run))


def wait(condition, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def kill(workspace: Workspace, word: str) -> None:
    """kill -9 the processes of this workspace whose command line holds the word."""
    found = [p for p in processes_of(workspace.root) if word in " ".join(p.cmdline())]
    assert found, f"no {word} to kill"
    for process in found:
        os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(found, timeout=10)


def test_training_goes_on_while_the_supervisor_is_dead_and_is_taken_over_again(workspace):
    run = submit_run(workspace, long_recipe())
    wait(lambda: epochs(run) >= 2)
    worker = run.state()["pid"]
    kill(workspace, "lab.jobs.supervisor")
    before = epochs(run)
    wait(lambda: epochs(run) >= before + 3)
    ensure_supervisor(workspace)
    wait(lambda: run.status() == "finished")
    assert run.state()["pid"] == worker  # nobody started it a second time
    assert run.state()["attempt"] == 0


def test_a_killed_worker_is_noticed_and_continued_to_the_same_weights(workspace):
    whole = submit_run(workspace, long_recipe())
    wait(lambda: whole.status() == "finished")
    run = submit_run(workspace, long_recipe())
    wait(lambda: epochs(run) >= 3)
    os.kill(run.state()["pid"], signal.SIGKILL)
    wait(lambda: run.status() == "finished")
    assert run.state()["attempt"] == 1
    one, other = (load_file(r.stage(1) / "model.safetensors") for r in (whole, run))
    assert all((one[name] == other[name]).all() for name in one)
    assert [path for path in Path(run.path).rglob("*") if ".tmp" in path.name] == []


def test_the_app_is_killed_and_started_again_and_shows_the_run_as_it_goes_on(workspace):
    with sync_api.sync_playwright() as playwright:
        with serve(ROOT / "app.py", workspace.root) as url, open_page(playwright, url) as page:
            settle(page, 60)
            run = submit_run(workspace, long_recipe())
            wait(lambda: epochs(run) >= 2)
            port = url.rsplit(":", 1)[1]
            server = next(
                p for p in psutil.process_iter(["cmdline"]) if port in (p.info["cmdline"] or [])
            )
            os.kill(server.pid, signal.SIGKILL)
        before = epochs(run)
        wait(lambda: epochs(run) >= before + 2)
        with (
            serve(ROOT / "app.py", workspace.root) as url,
            open_page(playwright, f"{url}/runs?run={run.id}") as page,
        ):
            settle(page, 60)
            page.get_by_text("Training").first.wait_for(timeout=60_000)
            wait(lambda: run.status() == "finished")
            page.get_by_text("Finished").first.wait_for(timeout=60_000)
    assert run.state()["attempt"] == 0
