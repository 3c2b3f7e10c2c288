"""Runs that cannot be: each ends with one clear sentence and its fix."""

import pytest
from small import small_recipe

from lab.runs.events import read_events
from lab.runs.folder import RunFolder, create_run
from lab.workers.resolve import probe_precision
from lab.workers.runner import execute
from lab.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("failures")).create()


def failed(workspace: Workspace, **changes) -> RunFolder:
    run = create_run(workspace, small_recipe(**changes))
    assert execute(workspace, run, 0, "cpu") == 1
    return run


def test_an_unknown_network_is_answered_with_near_names(workspace):
    run = failed(workspace, model={"name": "resnet81"})
    assert "timm knows no architecture 'resnet81'" in run.state()["message"]
    assert "resnet18" in run.state()["fix"]


def test_a_size_that_the_network_refuses_is_named_before_training(workspace):
    stages = [{"size": 40, "epochs": 1, "batch_size": 16}, {"size": 20, "epochs": 1}]
    run = failed(workspace, stages=stages, model={"name": "test_convnext"})
    assert "test_convnext refuses pictures of 20×20 px" in run.state()["message"]
    assert not [event for event in read_events(run) if event["kind"] == "run_started"]


def test_missing_pretrained_weights_say_how_to_get_them(workspace, monkeypatch):
    # The environment variable is read when the package is imported: that is long ago.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    run = failed(workspace, model={"name": "resnet18", "weights": "hub"})
    assert "pretrained weights of resnet18 could not be had" in run.state()["message"]
    assert "none" in run.state()["fix"]


def test_a_pickle_is_not_opened_as_weights(workspace, tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"pickle")
    model = {"name": "test_resnet", "weights": "file", "file": str(tmp_path / "weights.pth")}
    run = failed(workspace, model=model)
    assert "not a safetensors file" in run.state()["message"]


def test_a_path_that_is_not_there_is_said(workspace):
    run = failed(workspace, dataset={"source": "path", "path": "/nowhere/photos"})
    assert "/nowhere/photos" in run.state()["message"]


def test_a_label_that_the_data_lack_is_answered_with_those_they_have(workspace):
    leaves = small_recipe().dataset.model_dump()
    run = failed(workspace, dataset={**leaves, "target": "colour"})
    assert "disease" in run.state()["fix"]


def test_a_device_that_is_not_there_is_said(workspace):
    run = create_run(workspace, small_recipe())
    assert execute(workspace, run, 0, "cuda:7") == 1
    assert run.state()["fix"] == "Use --device cpu."


def test_a_failed_run_says_so_in_its_events(workspace):
    run = failed(workspace, model={"name": "resnet81"})
    last = read_events(run)[-1]
    assert last["kind"] == "failed"
    assert last["message"] == run.state()["message"]


def test_a_precision_probe_leaves_weights_and_random_state_as_they_were():
    import torch

    from lab.train.model import build

    recipe = small_recipe(precision="auto")
    network = build(recipe, 5, 2, (32, 32))
    before = {k: v.clone() for k, v in network.model.state_dict().items()}
    state = torch.get_rng_state()
    precision, reason = probe_precision(recipe, network, "cpu")
    assert precision in ("fp32", "bf16")
    assert "images/s" in reason
    assert torch.equal(torch.get_rng_state(), state)
    after = network.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_run_with_an_error_in_its_recipe_does_not_start(workspace):
    run = failed(workspace, stages=[{"size": 32, "epochs": 0}])
    assert "trains nothing" in run.state()["message"]


def test_a_baseline_takes_over_the_choices_of_its_reference(workspace):
    reference = create_run(workspace, small_recipe(precision="auto"))
    assert execute(workspace, reference, 0, "cpu") == 0
    baseline = create_run(workspace, small_recipe(precision="auto"), {"baseline_of": reference.id})
    assert execute(workspace, baseline, 0, "cpu") == 0
    chosen, theirs = baseline.resolved()["resolved"], reference.resolved()["resolved"]
    assert chosen["precision"] == theirs["precision"]
    assert reference.id in chosen["reasons"]["precision"]
