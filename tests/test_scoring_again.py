"""Finished runs scored again: at other sizes, on the locked part, by tasks, from the terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runs import lab
from small import small_recipe

from lab.analysis.ensembles import assess
from lab.analysis.members import read_member
from lab.data.catalog import materialise
from lab.data.split import parts
from lab.errors import LabError, Stopped
from lab.recipe import Recipe
from lab.runs.folder import RunFolder, create_run
from lab.runs.locked import looks
from lab.runs.speeds import device_facts
from lab.scoring import test_part, test_sizes
from lab.scoring.inference import evaluate_run
from lab.scoring.test_part import score_test
from lab.scoring.test_sizes import checked_sizes, score_sizes
from lab.worker import train_in_process
from lab.workers.tasks import perform
from lab.workspace import Workspace, new_folder, read_json, write_json

SPLIT = {"method": "random", "valid_fraction": 0.4, "test_fraction": 0.2}
STAGES = [
    {"size": 32, "epochs": 1, "batch_size": 16, "lr": 3e-3},
    {"size": 48, "epochs": 1, "batch_size": 16, "lr": 3e-3},
]


def recipe(name: str, *, split: dict, seed: int = 0, model: dict | None = None) -> Recipe:
    leaves = {"n": 150, "size_px": 64, "form": "demo", "seed": 3}
    data = {"source": "leaves", "leaves": leaves, "split": {**SPLIT, **split}}
    network = {"name": "test_resnet", **(model or {})}
    return small_recipe(STAGES, name=name, dataset=data, model=network, seed=seed)


def train(workspace: Workspace, wanted: Recipe) -> RunFolder:
    run = create_run(workspace, wanted)
    assert train_in_process(workspace, run, 0, "cpu", lambda event: None) == 0
    return run


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("scoring")).create()


@pytest.fixture(scope="module")
def run(workspace: Workspace) -> RunFolder:
    return train(workspace, recipe("one", split={"seed": 0, "test_seed": 7}))


@pytest.fixture(scope="module")
def other(workspace: Workspace) -> RunFolder:
    """Another seed, another division of the rest, the same locked part."""
    return train(workspace, recipe("other", split={"seed": 1, "test_seed": 7}, seed=1))


pytestmark = pytest.mark.slow


def stored(run: RunFolder, name: str) -> dict[str, np.ndarray]:
    with np.load(run.predictions / f"{name}.npz") as found:
        return dict(found)


def test_a_size_is_scored_as_evaluate_scores_it(workspace, run):
    row = score_sizes(workspace, run, 0, [64])["sizes"][0]
    said = evaluate_run(workspace, run, 0, 64)
    for name in ("n", "error_rate", "log_loss", "balanced_error"):
        assert row[name] == said[name]
    assert stored(run, "s0-64x64")["probs"].dtype == np.float32
    assert row["seconds"] > 0


def test_own_and_final_size_are_read_and_not_run_again(workspace, run, monkeypatch):
    monkeypatch.setattr(test_sizes, "predicted", None)  # calling it would fail
    own, final = score_sizes(workspace, run, 0, [32, 48])["sizes"]
    assert own["error_rate"] == run.scores(0)["own"]["error_rate"]
    assert final["error_rate"] == run.scores(0)["final"]["error_rate"]


def test_a_scored_size_is_not_scored_twice(workspace, run, monkeypatch):
    first = score_sizes(workspace, run, 1, [40])
    monkeypatch.setattr(test_sizes, "open_run", None)
    assert score_sizes(workspace, run, 1, [40]) == first


def test_numbers_of_other_weights_are_made_anew(workspace, run):
    score_sizes(workspace, run, 1, [40])
    file = run.stage(1) / "test_sizes.json"
    wrong = {**read_json(file), "weights": "another digest"}
    wrong["sizes"]["40x40"]["error_rate"] = 2.0
    write_json(file, wrong)
    assert score_sizes(workspace, run, 1, [40])["sizes"][0]["error_rate"] <= 1


def test_what_is_done_before_a_stop_stays(workspace, run):
    file = run.stage(0) / "test_sizes.json"
    file.unlink(missing_ok=True)

    def progress(what: str, done: int, total: int) -> None:
        if "72×72" in what:
            raise Stopped

    with pytest.raises(Stopped):
        score_sizes(workspace, run, 0, [56, 72], progress=progress)
    assert list(read_json(file)["sizes"]) == ["56x56"]


def test_sizes_above_the_originals_say_how_many_pictures_are_enlarged(workspace, run):
    below, above = score_sizes(workspace, run, 0, [56, 96])["sizes"]
    assert (below["enlarged"], above["enlarged"]) == (0.0, 1.0)


def test_the_measured_speed_is_remembered_for_forecasts(workspace, run):
    (run.stage(0) / "test_sizes.json").unlink(missing_ok=True)
    score_sizes(workspace, run, 0, [56])
    assert device_facts(workspace).valid_speeds["test_resnet|56x56|fp32"] > 0


def test_a_size_that_the_network_refuses_is_said_in_words(workspace):
    vit = train(workspace, recipe("vit", split={}, model={"name": "test_vit"}))
    fine, refused = score_sizes(workspace, vit, 0, [32, 40])["sizes"]
    assert fine["n"] == 60
    assert "refuses pictures of 40×40 px" in refused["refused"]


@pytest.mark.parametrize("sizes", [[], [8], [2048], ["big"], [[32]], list(range(16, 80))])
def test_what_is_no_size_is_refused_before_any_work(sizes):
    with pytest.raises(LabError):
        checked_sizes(sizes)


def test_the_locked_part_is_predicted_and_no_score_is_shown(workspace, run):
    before = looks(run)
    found = score_test(workspace, run)
    divided = parts(materialise(workspace, run.recipe().dataset), run.recipe().dataset.split)
    kept = stored(run, "s1-48x48-test")
    assert found == {"run": run.id, "stage": 1, "size": 48, "n": 30}
    assert kept["item"].tolist() == divided.test.tolist()
    assert kept["target"].tolist() == divided.labels[divided.test].tolist()
    assert looks(run) == before


def test_scores_of_the_locked_part_are_those_of_evaluate_which_counts_as_a_look(workspace, run):
    score_test(workspace, run)
    kept, before = stored(run, "s1-48x48-test"), len(looks(run))
    said = evaluate_run(workspace, run, part="test")
    assert (kept["probs"].argmax(1) != kept["target"]).mean() == pytest.approx(said["error_rate"])
    assert len(looks(run)) == before + 1
    evaluate_run(workspace, run, part="test")
    assert len(looks(run)) == before + 1


def test_known_predictions_of_the_locked_part_are_kept(workspace, run, monkeypatch):
    first = score_test(workspace, run)
    monkeypatch.setattr(test_part, "predicted", None)
    assert score_test(workspace, run) == first


def test_a_run_without_a_locked_part_is_refused_with_the_remedy(workspace):
    bare = train(workspace, recipe("bare", split={"test_fraction": 0}))
    with pytest.raises(LabError, match="no locked test part") as caught:
        score_test(workspace, bare)
    assert "test_fraction" in caught.value.fix


def test_pictures_that_the_run_before_has_trained_on_count_as_touched(workspace, run):
    """It begins with weights of `run`, and divides the pictures in its own way."""
    model = {"weights": "run", "run": run.id}
    later = train(workspace, recipe("later", split={"seed": 5}, model=model))
    score_test(workspace, later)
    score_test(workspace, run)
    dataset = materialise(workspace, run.recipe().dataset)
    mine = parts(dataset, later.recipe().dataset.split)
    before = parts(dataset, run.recipe().dataset.split)
    held = np.union1d(mine.valid, mine.test)
    met = np.intersect1d(held, np.union1d(before.train, before.valid))
    assert len(met) > 0
    assert stored(later, "s1-48x48-test")["touched"].tolist() == met.tolist()
    assert stored(run, "s1-48x48-test")["touched"].tolist() == []
    assert not read_member(later).unsure


def test_members_of_different_divisions_share_their_locked_part(workspace, run, other):
    for one in (run, other):
        score_test(workspace, one)
    found = assess([read_member(run), read_member(other)])
    by_hand = [stored(one, "s1-48x48-test") for one in (run, other)]
    mean = (by_hand[0]["probs"].astype(float) + by_hand[1]["probs"]) / 2
    assert found.n_locked == 30
    assert by_hand[0]["item"].tolist() == by_hand[1]["item"].tolist()
    average = next(row for row in found.rows if row.kind == "average")
    assert average.error == pytest.approx((mean.argmax(1) != by_hand[0]["target"]).mean())


def test_the_tasks_score_several_runs_and_tell_their_progress(workspace, run, other):
    for kind, more in (("test_sizes", {"sizes": [72]}), ("score_test", {})):
        task = new_folder(workspace.task, kind)
        (task / "events").mkdir()
        runs = [{"run": run.id, "stage": 0}, {"run": other.id, "stage": 0}]
        write_json(task / "request.json", {"kind": kind, "runs": runs, **more})
        assert perform(workspace, task.name, "cpu") == 0
        result = read_json(task / "result.json")
        assert [one["run"] for one in result["value"]["runs"]] == [run.id, other.id]
        assert "(run 2 of 2)" in (task / "events" / "0.jsonl").read_text()


def test_the_command_for_sizes_says_every_point_and_a_summary(workspace, run):
    done = lab("test-sizes", run.id, "--stage", 0, "--sizes", "32,64", workspace=workspace.root)
    *points, summary = done.lines
    assert done.code == 0
    assert {(p["train_size"], p["test_size"]) for p in points} >= {("32", "32"), ("32", "64")}
    assert summary["kind"] == "summary"
    assert summary["predicted_px"] == pytest.approx(32)
    assert 0 <= summary["p"] <= 1
    words = lab("test-sizes", run.id, "--stage", 9, workspace=workspace.root)
    assert words.code == 1
    assert "not finished" in words.last["problems"][0]["what"]


def test_the_command_for_ensembles_scores_what_is_missing_and_counts_a_look(workspace, run, other):
    for one in (run, other):
        for file in Path(one.predictions).glob("*-test.npz"):
            file.unlink()
    done = lab("ensemble", run.id, other.id, "--no-stack", workspace=workspace.root)
    *rows, summary = done.lines
    assert done.code == 0
    assert [row["kind"] for row in rows][:3] == ["member", "member", "average"]
    assert summary["n_locked"] == 30
    assert any("an ensemble of" in look["question"] for look in looks(run))
    alone = lab("ensemble", run.id, run.id, workspace=workspace.root)
    assert alone.code == 1
    assert "two different runs" in alone.last["problems"][0]["what"]
