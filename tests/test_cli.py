"""The command line as a real process: keys, exit codes, words. Two tiny trainings serve all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import ROOT, Done, environment, lab, recipe_file, trained

from lab.runs.folder import find_run
from lab.scoring.stages import load_stage, open_run
from lab.workspace import Workspace

slow = pytest.mark.slow
SCORES = {"accuracy", "error_rate", "balanced_error", "log_loss", "brier", "ece"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    return trained(tmp_path_factory)


@pytest.fixture(scope="module")
def events(workspace) -> list[dict]:
    """What `train --json` printed."""
    return [json.loads(line) for line in (workspace.parent / "events-0.jsonl").open()]


@pytest.fixture(scope="module")
def pictures(workspace) -> list[Path]:
    """Two pictures of the validation part."""
    space = Workspace(workspace)
    data = open_run(space, load_stage(find_run(space, "last")))
    return [data.dataset.path(int(item)) for item in data.parts.valid[:2]]


def words(done: Done) -> str:
    """The first problem of a failed command, as one text."""
    problem = done.last["problems"][0]
    return f"{problem['what']} {problem['fix']}"


# What needs no training


def test_help_names_every_command(tmp_path):
    done = lab("--help", workspace=tmp_path, as_json=False)
    commands = (
        "serve train runs resume stop rebuild data lr-find evaluate tta compare predict export"
    )
    assert all(f"  {name} " in done.out for name in commands.split())


def test_help_imports_neither_torch_nor_pandas():
    code = (
        "import lab.cli.commands, sys; print([m for m in ('torch', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_json_and_workspace_may_stand_before_the_command(tmp_path):
    command = [sys.executable, "-m", "lab", "--json", "--workspace", str(tmp_path), "rebuild"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment())
    assert json.loads(done.stdout) == {"runs": 0}


def test_the_workspace_is_also_taken_from_the_environment(tmp_path):
    command = [sys.executable, "-m", "lab", "rebuild"]
    place = {**environment(), "LAB_WORKSPACE": str(tmp_path / "here")}
    subprocess.run(
        command, cwd=tmp_path, capture_output=True, env={**place, "PYTHONPATH": str(ROOT)}
    )
    assert (tmp_path / "here" / "lab.db").is_file()


def test_an_unknown_command_is_exit_code_2(tmp_path):
    assert lab("paint", workspace=tmp_path).code == 2


def test_train_without_a_recipe_is_exit_code_2(tmp_path):
    assert lab("train", workspace=tmp_path).code == 2


def test_a_wrong_argument_is_an_error_line_with_json(tmp_path):
    assert lab("train", workspace=tmp_path).last["kind"] == "error"


def test_an_unknown_preset_is_answered_with_those_there_are(tmp_path):
    done = lab("train", "--preset", "quik", workspace=tmp_path)
    assert done.code == 1
    assert "quick" in words(done)


def test_an_unknown_key_in_a_recipe_is_answered_with_the_likely_one(tmp_path):
    file = recipe_file(tmp_path, stages=[{"size": 32, "epoch": 1}])
    done = lab("train", "--recipe", file, workspace=tmp_path)
    assert "epochs" in words(done)


def test_all_problems_of_a_recipe_are_told_at_once(tmp_path):
    file = recipe_file(tmp_path, stages=[{"size": 3, "lr": -1}])
    found = lab("train", "--recipe", file, workspace=tmp_path).last["problems"]
    assert {problem["where"] for problem in found} >= {"stages.0.size", "stages.0.lr"}


def test_without_json_an_error_is_a_sentence_on_standard_error(tmp_path):
    done = lab("evaluate", "last", workspace=tmp_path, as_json=False)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error. There are no runs here yet. Start one:")


def test_serve_refuses_to_listen_to_the_whole_network(tmp_path):
    done = lab("serve", "--address", "0.0.0.0", workspace=tmp_path)
    assert done.code == 1
    assert "no login" in words(done)


def test_data_check_counts_the_classes_of_a_folder(tmp_path):
    from PIL import Image

    for number, name in enumerate(["cat", "cat", "cat", "dog", "dog"]):
        (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40 + number)).save(tmp_path / "set" / name / f"{number}.png")
    done = lab("data", "check", tmp_path / "set", workspace=tmp_path / "ws")
    assert done.code == 0
    assert done.last["classes"] == {"class": {"cat": 3, "dog": 2}}


def test_data_check_of_nothing_is_an_error_in_words(tmp_path):
    done = lab("data", "check", tmp_path / "nowhere", workspace=tmp_path / "ws")
    assert done.code == 1
    assert "nowhere" in words(done)


# Training


@slow
def test_every_event_says_run_kind_number_and_time(events):
    assert all({"run", "kind", "seq", "t"} <= set(event) for event in events)


@slow
def test_an_epoch_event_has_the_keys_of_the_contract(events):
    keys = {
        "stage", "epoch", "global_epoch", "size", "train_loss", "valid_loss", "accuracy",
        "error_rate", "seconds", "train_seconds", "images_per_s", "lr", "pixels",
    }  # fmt: skip
    assert all(keys <= set(event) for event in events if event["kind"] == "epoch")


@slow
def test_the_finished_event_brings_the_scores_at_the_final_size(events):
    assert set(events[-1]["scores"]) >= SCORES


@slow
def test_train_prints_a_table_without_json(tmp_path):
    file = recipe_file(tmp_path)
    done = lab("train", "--recipe", file, workspace=tmp_path, as_json=False)
    assert done.code == 0
    assert "error_rate" in done.err
    assert "48 px" in done.err


@slow
def test_settings_name_and_seed_reach_the_recipe(tmp_path):
    file = recipe_file(tmp_path)
    change = ["--set", "stages.0.epochs=2", "--name", "mine", "--seed", "5"]
    lab("train", "--recipe", file, *change, "--set", "stages.1.lr=1e-4", workspace=tmp_path)
    recipe = find_run(Workspace(tmp_path), "last").recipe()
    shown = (recipe.stages[0].epochs, recipe.stages[1].lr, recipe.name, recipe.seed)
    assert shown == (2, 1e-4, "mine", 5)


@slow
def test_ctrl_c_leaves_a_run_that_resume_finishes(tmp_path):
    stages = [{"size": 32, "epochs": 60, "batch_size": 16, "resize": "squish"}]
    file = recipe_file(tmp_path, stages=stages)
    command = [sys.executable, "-m", "lab", "train", "--recipe", str(file), "--json"]
    process = subprocess.Popen(
        [*command, "--workspace", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    for line in process.stdout:
        if json.loads(line)["kind"] == "epoch":
            os.kill(process.pid, signal.SIGINT)
            break
    _, err = process.communicate(timeout=120)
    assert process.returncode == 75, err
    assert "python -m lab resume" in err
    done = lab("resume", "last", workspace=tmp_path)
    assert (done.code, done.last["kind"]) == (0, "finished")


@slow
def test_stop_reaches_a_training_in_another_terminal(tmp_path):
    stages = [{"size": 32, "epochs": 200, "batch_size": 16, "resize": "squish"}]
    file = recipe_file(tmp_path, stages=stages)
    command = [sys.executable, "-m", "lab", "train", "--recipe", str(file), "--json"]
    process = subprocess.Popen(
        [*command, "--workspace", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env=environment(),
    )  # fmt: skip
    for line in process.stdout:
        if json.loads(line)["kind"] == "epoch":
            break
    assert lab("stop", "last", workspace=tmp_path).code == 0
    process.communicate(timeout=120)
    assert process.returncode == 75


@slow
def test_a_matched_baseline_keeps_the_choices_of_its_reference(workspace, tmp_path):
    copy = tmp_path / "ws"
    shutil.copytree(workspace, copy)
    done = lab("train", "--baseline", "fixed-same-pixels", "--of", "last", workspace=copy)
    assert done.code == 0, done.err
    runs = [find_run(Workspace(copy), row["run"]) for row in lab("runs", workspace=copy).lines[:2]]
    baseline, reference = (run.resolved()["resolved"] for run in runs)
    assert {*baseline.pop("reasons").values()} == {f"as run {runs[1].id}"}
    reference.pop("reasons")
    assert baseline == reference


# Trained runs


@slow
def test_runs_lists_the_newest_first_with_the_keys_of_the_contract(workspace):
    rows = lab("runs", workspace=workspace).lines
    keys = {"run", "name", "status", "preset", "accuracy", "seconds"}
    assert keys <= set(rows[0])
    assert rows[0]["run"] > rows[1]["run"]


@slow
def test_rebuild_finds_the_runs_again(workspace):
    assert lab("rebuild", workspace=workspace).last == {"runs": 2}


@slow
def test_resuming_a_finished_run_is_exit_code_0_with_words(workspace):
    done = lab("resume", "last", workspace=workspace, as_json=False)
    assert done.code == 0
    assert "nothing to resume" in done.out


@slow
def test_evaluate_repeats_the_scores_of_the_training(workspace, events):
    run = events[-1]["run"]
    found = lab("evaluate", run, workspace=workspace).last
    expected = events[-1]["scores"]
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-6)


@slow
def test_evaluate_has_the_keys_of_the_contract_at_another_size(workspace):
    found = lab("evaluate", "last", "--stage", 0, "--size", "40x56", workspace=workspace).last
    assert SCORES | {"size", "n"} <= set(found)
    assert found["size"] == [40, 56]


@slow
def test_evaluate_maps_the_classes_of_other_data_by_name(workspace, pictures, tmp_path):
    for number, name in enumerate(("rust", "healthy")):
        (tmp_path / "set" / name).mkdir(parents=True)
        for place, picture in enumerate(pictures):
            shutil.copy(picture, tmp_path / "set" / name / f"{number}{place}{picture.suffix}")
    found = lab("evaluate", "last", "--data", tmp_path / "set", workspace=workspace)
    assert (found.code, found.last["n"]) == (0, 4)


@slow
def test_evaluate_refuses_classes_that_the_run_does_not_know(workspace, pictures, tmp_path):
    for name in ("rust", "truck"):
        (tmp_path / "set" / name).mkdir(parents=True)
        shutil.copy(pictures[0], tmp_path / "set" / name)
        shutil.copy(pictures[1], tmp_path / "set" / name)
    done = lab("evaluate", "last", "--data", tmp_path / "set", workspace=workspace)
    assert done.code == 1
    assert "truck" in words(done)


@slow
def test_a_stage_that_is_not_there_is_an_error_in_words(workspace):
    done = lab("evaluate", "last", "--stage", 7, workspace=workspace)
    assert done.code == 1
    assert "Finished, from 0: 0, 1." in words(done)


@slow
def test_tta_has_the_keys_of_the_contract(workspace):
    found = lab("tta", "last", "--views", 2, "--beta", 0.5, workspace=workspace).last
    assert {"plain", "tta", "views", "corrected", "corrupted", "p"} <= set(found)
    assert set(found["tta"]) >= SCORES
    assert found["views"] == 2


@slow
def test_tta_and_evaluate_agree_on_the_plain_pictures(workspace):
    plain = lab("tta", "last", "--views", 1, workspace=workspace).last["plain"]
    found = lab("evaluate", "last", workspace=workspace).last
    assert plain == pytest.approx({key: found[key] for key in plain}, abs=1e-6)


@slow
def test_compare_has_the_keys_of_the_contract(workspace):
    runs = [row["run"] for row in lab("runs", workspace=workspace).lines]
    rows = lab("compare", *runs, workspace=workspace).lines
    keys = {"a", "b", "metric", "difference", "low", "high", "p", "n", "verdict"}
    pairs = [row for row in rows if row["kind"] == "models"]
    assert rows[: len(pairs)] == pairs  # they come first
    assert [row["metric"] for row in pairs] == ["error_rate", "log_loss", "balanced_error"]
    assert all(keys < set(row) for row in pairs)


@slow
def test_comparing_a_run_with_itself_is_an_error_in_words(workspace):
    done = lab("compare", "last", "last", workspace=workspace)
    assert done.code == 1
    assert "two different runs" in words(done)


@slow
def test_predict_answers_good_pictures_beside_a_bad_one(workspace, pictures, tmp_path):
    (tmp_path / "bad.jpg").write_text("no picture")
    done = lab("predict", "last", tmp_path / "bad.jpg", pictures[0], workspace=workspace)
    assert done.code == 1
    assert set(done.lines[0]) >= {"image", "error"}
    assert set(done.lines[1]) == {"image", "label", "probabilities"}


@slow
def test_predicted_probabilities_sum_to_one_with_views_too(workspace, pictures):
    found = lab("predict", "last", pictures[0], "--tta", workspace=workspace).last
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-5)


@slow
def test_export_names_its_folder_and_zip(workspace, tmp_path):
    found = lab("export", "last", "--to", tmp_path / "out", workspace=workspace).last
    assert Path(found["folder"], "timm", "model.safetensors").is_file()
    assert Path(found["zip"]).is_file()


@slow
def test_export_to_onnx_is_an_error_in_words(workspace, tmp_path):
    done = lab("export", "last", "--to", tmp_path / "out", "--format", "onnx", workspace=workspace)
    assert done.code == 1
    assert "ONNX" in words(done)
