"""First weights: a file, another run, the small body, the hub's cache; and what belongs to them."""

import json

import pytest
import timm
import torch
from safetensors.torch import save_file
from small import small_recipe

from lab.errors import LabError
from lab.recipe.model import Recipe
from lab.runs.folder import RunFolder, create_run
from lab.scoring.start import start_weights
from lab.train.checkpoint import sha256
from lab.train.model import IMAGENET, Network, build
from lab.workspace import Workspace, write_json

SEVEN = tuple("abcdefg")
MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


def recipe(name: str = "test_resnet", **model) -> Recipe:
    return small_recipe(model={"name": name, "groups": 2, **model}, seed=5)


def network(name: str = "test_resnet", n: int = 7, size: int = 64, **model) -> Network:
    return build(recipe(name, **model), n, 2, (size, size))


def source(n: int = 7, name: str = "test_resnet", size: int = 64) -> Network:
    """A network that no recipe here makes from its own seed."""
    return build(small_recipe(model={"name": name}, seed=99), n, 2, (size, size))


def saved(path, found: Network, **metadata) -> str:
    """The network as a safetensors file with such metadata."""
    state = {key: t.contiguous() for key, t in found.model.state_dict().items()}
    save_file(state, path, {key: json.dumps(value) for key, value in metadata.items()})
    return str(path)


def body(found: Network) -> dict[str, torch.Tensor]:
    return {k: t for k, t in found.model.state_dict().items() if not k.startswith("fc.")}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


# --- a file


def test_a_file_gives_body_and_classifier(tmp_path):
    file = saved(tmp_path / "w.safetensors", source())
    found = network(weights="file", file=file)
    assert same(found.model.state_dict(), source().model.state_dict())


def test_a_classifier_of_another_width_is_left_out_and_said_so(tmp_path):
    file = saved(tmp_path / "w.safetensors", source(n=3))
    found = network(weights="file", file=file)
    assert same(body(found), body(source(n=3)))
    assert found.source == (
        "the file w.safetensors; its classifier, for another number of classes, is left out"
    )


def test_normalisation_comes_from_the_files_metadata(tmp_path):
    file = saved(tmp_path / "w.safetensors", source(), mean=MEAN, std=STD)
    found = network(weights="file", file=file)
    assert (found.mean, found.std) == (MEAN, STD)


def test_without_metadata_the_architectures_own_normalisation_is_meant(tmp_path):
    file = saved(tmp_path / "w.safetensors", source())
    found = network(weights="file", file=file)  # timm trained test_resnet with 0.5 throughout
    assert found.mean == found.std == (0.5, 0.5, 0.5)


def test_what_the_recipe_says_of_normalisation_wins(tmp_path):
    file = saved(tmp_path / "w.safetensors", source(), mean=MEAN, std=STD)
    found = network(weights="file", file=file, normalise="imagenet")
    assert (found.mean, found.std) == IMAGENET


def test_normalisation_outlives_a_rebuild(tmp_path):
    first = source(name="mixer_s32_224")
    file = saved(tmp_path / "w.safetensors", first, mean=MEAN, std=STD, size=[64, 64])
    found = network("mixer_s32_224", weights="file", file=file)
    found.at_size(96, 96)
    assert (found.mean, found.std) == (MEAN, STD)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "mixer_s32_224"])
def test_the_size_of_a_file_is_found_out_and_its_weights_resampled(tmp_path, name):
    first = source(name=name, size=96)
    file = saved(tmp_path / "w.safetensors", first)
    found = network(name, weights="file", file=file)
    assert same(found.model.state_dict(), first.copy_at(64, 64).model.state_dict())


def test_another_architecture_in_the_file_is_named(tmp_path):
    file = saved(tmp_path / "w.safetensors", source(), architecture="test_resnet")
    with pytest.raises(LabError, match="are test_resnet's, and the recipe's network is test_vit"):
        network("test_vit", weights="file", file=file)


def test_tensors_that_do_not_fit_are_counted(tmp_path):
    file = saved(tmp_path / "w.safetensors", source())
    with pytest.raises(LabError, match=r"0 of the body's \d+ tensors fit lcnet_050"):
        network("lcnet_050", weights="file", file=file)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("weights.pth", "is not a safetensors file"),
        ("gone.safetensors", "There is no file"),
        ("torn.safetensors", "cannot be read as safetensors"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(tmp_path, file, words):
    (tmp_path / "torn.safetensors").write_bytes(b"\x08\x00\x00")
    with pytest.raises(LabError, match=words):
        network(weights="file", file=str(tmp_path / file))


# --- the small body


@pytest.fixture
def small_body(monkeypatch):
    """The package's two functions, with the body of `source`."""
    about = {"architecture": "test_resnet", "mean": list(MEAN), "std": list(STD)}
    tensors = body(source())
    monkeypatch.setattr("lab.train.small_body.about", lambda: about)
    monkeypatch.setattr("lab.train.small_body.body_weights", lambda: tensors)


def test_the_small_body_comes_with_a_new_classifier(small_body):
    found = network(weights="small-body")
    assert same(body(found), body(source()))
    assert found.source == "the lab's small body; its classifier is new"


def test_the_small_body_brings_its_normalisation(small_body):
    found = network(weights="small-body")
    assert (found.mean, found.std) == (MEAN, STD)


def test_the_small_body_says_which_network_it_is_of(small_body):
    with pytest.raises(LabError, match=r"Set model\.name to test_resnet"):
        network("resnet18", weights="small-body")


# --- a stage of another run


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path / "workspace").create()


def finished_run(workspace: Workspace, found: Network, size: int = 64) -> RunFolder:
    """A run with stage 0 as the worker leaves it."""
    run = create_run(workspace, small_recipe(model={"name": found.spec.name}))
    folder = run.stage(0)
    folder.mkdir(parents=True)
    saved(folder / "model.safetensors", found)
    model = {
        "name": found.spec.name,
        "num_classes": found.n_classes,
        "classes": list(SEVEN[: found.n_classes]),
        "mean": list(MEAN),
        "std": list(STD),
        "interpolation": "bicubic",
    }
    digest = sha256(folder / "model.safetensors")
    write_json(folder / "scores.json", {"size": [size, size], "model": model, "sha256": digest})
    return run


def started(workspace: Workspace, wanted: Recipe, classes=SEVEN, size: int = 64) -> Network:
    start = start_weights(workspace, wanted.model)
    return build(wanted, len(classes), 2, (size, size), start, classes)


def test_a_run_gives_its_weights_and_its_normalisation(workspace):
    run = finished_run(workspace, source())
    found = started(workspace, recipe(weights="run", run=run.id))
    assert same(found.model.state_dict(), source().model.state_dict())
    assert (found.mean, found.std) == (MEAN, STD)
    assert found.source == f"stage 0 (from 0) of run {run.id} (64×64 px)"


def test_a_unique_prefix_names_a_run(workspace):
    run = finished_run(workspace, source())
    found = started(workspace, recipe(weights="run", run=run.id[:10]))
    assert same(body(found), body(source()))


def test_the_classifier_of_other_classes_is_new(workspace):
    run = finished_run(workspace, source())
    found = started(workspace, recipe(weights="run", run=run.id), classes=tuple("ABCDEFG"))
    assert same(body(found), body(source()))
    assert torch.equal(found.model.fc.weight, network().model.fc.weight)
    assert found.source.endswith("its classifier, for other classes, is left out")


def test_weights_of_a_run_are_resampled_where_its_size_was_another(workspace):
    first = source(name="mixer_s32_224", size=96)
    run = finished_run(workspace, first, size=96)
    found = started(workspace, recipe("mixer_s32_224", weights="run", run=run.id))
    assert same(found.model.state_dict(), first.copy_at(64, 64).model.state_dict())


def test_damaged_weights_of_a_run_are_refused(workspace):
    run = finished_run(workspace, source())
    file = run.stage(0) / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(LabError, match="checksum"):
        start_weights(workspace, recipe(weights="run", run=run.id).model)


def test_a_run_of_another_architecture_is_refused_in_words(workspace):
    run = finished_run(workspace, source())
    with pytest.raises(LabError, match=r"Set model\.name to test_resnet"):
        start_weights(workspace, recipe("resnet18", weights="run", run=run.id).model)


def test_a_run_that_is_not_there_is_said_at_its_field(workspace):
    finished_run(workspace, source())
    with pytest.raises(LabError, match="No run is called 'nowhere'") as caught:
        start_weights(workspace, recipe(weights="run", run="nowhere").model)
    assert caught.value.where == "model.run"


def test_a_run_without_a_finished_stage_is_refused(workspace):
    run = create_run(workspace, small_recipe())
    with pytest.raises(LabError, match="has no finished stage yet"):
        start_weights(workspace, recipe(weights="run", run=run.id).model)


def test_weights_of_a_run_that_nobody_fetched_are_an_error_in_words():
    with pytest.raises(LabError, match="weights of run r1 are not at hand"):
        network(weights="run", run="r1")


# --- the hub


@pytest.fixture
def offline_hub(monkeypatch, tmp_path):
    """No network, and a cache of our own."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_pretrained_weights_without_a_network_are_refused_in_words(offline_hub):
    with pytest.raises(LabError, match=r"could not be had .* connect"):
        network(weights="hub")


def test_pretrained_weights_in_the_hubs_cache_need_no_network(offline_hub):
    known = timm.create_model("test_resnet")  # a thousand classes, as on the hub
    place = offline_hub / f"models--{known.pretrained_cfg['hf_hub_id'].replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    (place / "snapshots" / "abc").mkdir(parents=True)
    save_file(known.state_dict(), place / "snapshots" / "abc" / "model.safetensors")
    found = network(weights="hub")
    assert torch.equal(found.model.conv1[0].weight, known.conv1[0].weight)
    assert found.source == "timm's pretrained weights of test_resnet.r160_in1k"


def test_a_tag_that_timm_does_not_have_is_named_with_those_it_has():
    with pytest.raises(LabError, match=r"no 'test_resnet.x'. It has test_resnet.r160_in1k"):
        network("test_resnet.x")


def test_an_architecture_without_pretrained_weights_says_so(offline_hub):
    with pytest.raises(LabError, match="timm has no pretrained weights for lcnet_035"):
        network("lcnet_035", weights="hub")
