"""`lab experiment` and the baselines of `lab train` as real processes: order, resume, refusals."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import ROOT, environment, lab, recipe_file, trained

from lab.recipe.baselines import KINDS
from lab.runs.experiments import list_experiments, members
from lab.runs.folder import all_runs
from lab.workspace import Workspace

slow = pytest.mark.slow


def problem(done) -> str:
    return " ".join(f"{one['where']} {one['what']} {one['fix']}" for one in done.last["problems"])


@pytest.fixture
def copy(tmp_path_factory, tmp_path) -> Path:
    """A workspace with two finished runs of the tiny recipe."""
    shutil.copytree(trained(tmp_path_factory), tmp_path / "ws")
    return tmp_path / "ws"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--arms", "fixed-same-luck"], "There is no baseline 'fixed-same-luck'"),
        (["--arms", "head-only"], "teaches nothing"),
        (["--vary", "stages.0.lr"], "has no '='"),
        (["--vary", "stages.7.lr=1"], "no field stages.7.lr"),
        (["--vary", "stages.0.epochs=0"], "The stage trains nothing"),
        ([], "There is nothing to compare"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(tmp_path, options, words):
    file = recipe_file(tmp_path)
    done = lab("experiment", "--recipe", file, *options, workspace=tmp_path / "ws")
    assert done.code == 1
    assert words in problem(done)
    assert all_runs(Workspace(tmp_path / "ws")) == []
    assert list_experiments(Workspace(tmp_path / "ws")) == []


@pytest.mark.parametrize("options", [[], ["--preset", "quick", "--resume", "x"]])
def test_one_beginning_is_needed(tmp_path, options):
    done = lab("experiment", *options, workspace=tmp_path)
    assert done.code == 2
    assert "Give one of --preset, --recipe, --of and --resume." in problem(done)


def test_an_experiment_that_is_not_there_cannot_be_resumed(tmp_path):
    done = lab("experiment", "--resume", "nothing", workspace=tmp_path)
    assert done.code == 1
    assert "no experiment nothing" in problem(done)


def test_a_baseline_that_means_nothing_is_refused_in_words(tmp_path):
    file = recipe_file(tmp_path)
    assert lab("train", "--baseline", "x", "--of", "last", workspace=tmp_path).code == 1
    done = lab("train", "--recipe", file, "--baseline", "fixres", workspace=tmp_path)
    assert done.code == 2


@slow
def test_all_runs_are_trained_in_order_and_told(tmp_path):
    done = lab(
        "experiment", "--recipe", recipe_file(tmp_path), "--arms", "fixed-same-time", "--vary",
        "stages.0.lr=0.01", "--seeds", 2, "--name", "Two seeds", "--question", "Does it help?",
        workspace=tmp_path / "ws",
    )  # fmt: skip
    assert done.code == 0, done.err
    head, end = done.lines[0], done.last
    assert (head["kind"], head["name"], head["question"]) == (
        "experiment", "Two seeds", "Does it help?",
    )  # fmt: skip
    arms = ["reference", "fixed-same-time", "stage 1 lr = 0.01"]
    order = [(arm, seed) for seed in (0, 1) for arm in arms]
    assert [(one["arm"], one["seed"]) for one in head["runs"]] == order
    ended = [line["run"] for line in done.lines if line["kind"] == "finished"]
    assert ended == [one["run"] for one in head["runs"]]
    assert [one["status"] for one in end["results"]] == ["finished"] * 6
    assert all(0 <= one["error_rate"] <= 1 for one in end["results"])


@slow
def test_a_finished_run_is_the_reference_and_the_rest_is_trained(copy):
    done = lab("experiment", "--of", "last", "--arms", "small-only,fixres", workspace=copy)
    assert done.code == 0, done.err
    assert len(all_runs(Workspace(copy))) == 4
    assert sum(line["kind"] == "finished" for line in done.lines) == 2
    again = lab("experiment", "--resume", "last", workspace=copy)
    assert again.code == 0
    assert [line["kind"] for line in again.lines] == ["experiment", "experiment_ended"]
    assert again.last == done.last


@slow
def test_an_interrupted_experiment_goes_on_where_it_was(tmp_path):
    stages = [{"size": size, "epochs": 30, "batch_size": 16} for size in (32, 48)]
    file, place = recipe_file(tmp_path, stages=stages), tmp_path / "ws"
    words = ["experiment", "--recipe", str(file), "--arms", "small-only", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", *words, "--workspace", str(place)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    for line in process.stdout:
        if json.loads(line)["kind"] == "epoch":
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 75
    (found,) = list_experiments(Workspace(place))
    assert f"lab experiment --resume {found.id}" in said
    assert [one.row.status for one in members(Workspace(place), found)] == ["stopped", "stopped"]
    done = lab("experiment", "--resume", found.id[:20], workspace=place)
    assert done.code == 0, done.err
    assert "resumed" in [line["kind"] for line in done.lines]
    assert [one.row.status for one in members(Workspace(place), found)] == ["finished"] * 2


@slow
def test_what_follows_a_failed_reference_is_left_out(tmp_path):
    place = tmp_path / "ws"
    file = recipe_file(tmp_path, model={"name": "no_such_network"})
    done = lab("experiment", "--recipe", file, "--arms", "small-only", workspace=place)
    assert done.code == 1
    (found,) = list_experiments(Workspace(place))
    first, second = members(Workspace(place), found)
    assert first.row.status == "failed"
    assert f"{second.run.id} is left out: it was to follow {first.run.id}." in done.err
    assert not second.run.resolved()


@slow
@pytest.mark.parametrize("kind", KINDS)
def test_train_knows_every_baseline(copy, kind):
    done = lab("train", "--baseline", kind, "--of", "last", workspace=copy)
    refused = {"head-only": "teaches nothing", "single-target": "no second label"}
    assert done.code == int(kind in refused), done.err
    if kind in refused:
        assert refused[kind] in problem(done)
        return
    newest = all_runs(Workspace(copy))[0]
    assert newest.meta()["baseline_of"] == all_runs(Workspace(copy))[1].id
    assert newest.status() == "finished"
