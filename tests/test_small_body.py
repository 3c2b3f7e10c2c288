"""The small body: how its pictures are drawn, what its package promises, what it can tell apart."""

import argparse
import json

import numpy as np
import pytest
import timm
import torch

from benchmarks import small_body as script
from lab.data.drawn import CLASSES, DrawnSet, draw, draw_array, label_of
from lab.data.drawn.spec import VERSION
from lab.recipe.models import SMALL_BODY
from lab.train import small_body
from lab.train.checkpoint import sha256

UNSEEN = DrawnSet(n=480, size_px=64, seed=7)  # neither trained on nor held out


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    drawn = [draw(UNSEEN, index) for index in range(UNSEEN.n)]
    return np.stack([pixels for pixels, _ in drawn]), np.array([label for _, label in drawn])


def as_input(images: np.ndarray) -> torch.Tensor:
    about = small_body.about()
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    return (x - torch.tensor(about["mean"]).view(3, 1, 1)) / torch.tensor(about["std"]).view(
        3, 1, 1
    )


def share_nearest_to_own_class(model: torch.nn.Module, images, labels) -> float:
    """Two of three pictures make a class's centre: how many others are nearest to their own."""
    with torch.inference_mode():
        features = model.eval()(as_input(images)).numpy()
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    known = np.arange(len(labels)) < len(labels) * 2 // 3
    centres = np.stack([features[known & (labels == k)].mean(axis=0) for k in range(len(CLASSES))])
    gaps = ((features[~known, None] - centres[None]) ** 2).sum(axis=2)
    return float((gaps.argmin(axis=1) == labels[~known]).mean())


def settle(model: torch.nn.Module, images: np.ndarray) -> None:
    """Let norm layers take their statistics from the pictures: random weights' best chance."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(as_input(images))


def bare_network() -> torch.nn.Module:
    torch.manual_seed(0)
    return timm.create_model(small_body.about()["architecture"], num_classes=0)


def test_a_picture_is_the_same_whenever_it_is_drawn():
    first, _ = draw(UNSEEN, 17)
    draw(UNSEEN, 3)
    again, _ = draw(UNSEEN, 17)
    assert (first == again).all()


def test_another_seed_draws_every_class_anew():
    other = DrawnSet(n=80, size_px=64, seed=8)
    assert all((draw(UNSEEN, k)[0] != draw(other, k)[0]).any() for k in range(len(CLASSES)))


def test_no_two_pictures_of_a_set_are_equal(pictures):
    assert len({image.tobytes() for image in pictures[0]}) == UNSEEN.n


def test_eighty_pictures_in_a_row_hold_each_class_once(pictures):
    assert len(CLASSES) == len(set(CLASSES)) == 80
    assert sorted(pictures[1][80:160]) == list(range(80))


def test_pictures_are_colour_bytes_of_the_size_that_was_asked_for():
    pixels, _ = draw(DrawnSet(n=1, size_px=96), 0)
    assert (pixels.shape, pixels.dtype) == ((96, 96, 3), np.uint8)


def test_an_array_is_the_same_however_many_processes_draw_it(tmp_path):
    spec = DrawnSet(n=12, size_px=64)
    one, labels = draw_array(spec, tmp_path / "one.npy", processes=1)
    two, _ = draw_array(spec, tmp_path / "two.npy", processes=2)
    assert (one == two).all()
    assert (one[5] == draw(spec, 5)[0]).all()
    assert labels[5] == label_of(5)


def test_an_array_that_could_not_be_finished_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("lab.data.drawn.write.draw_part", fail)
    with pytest.raises(OSError, match="no space"):
        draw_array(DrawnSet(n=4, size_px=64), tmp_path / "a.npy", processes=1)
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_small_and_is_the_one_that_the_record_describes():
    about = small_body.about()
    assert small_body.path().stat().st_size == about["bytes"] <= 8_000_000
    assert sha256(small_body.path()) == about["sha256"]


def test_the_record_names_what_trained_it():
    about = small_body.about()
    assert (about["classes"], about["drawing_version"]) == (len(CLASSES), VERSION)
    assert len(about["by_epoch"]) == sum(about["epochs"])
    assert about["command"].startswith("python -m benchmarks.small_body train")


def test_a_plain_timm_network_lacks_only_its_classifier():
    model = timm.create_model(small_body.about()["architecture"], num_classes=3)
    missing, unexpected = model.load_state_dict(small_body.body_weights(), strict=False)
    assert unexpected == []
    assert set(missing) == {
        f"{name}.{part}"
        for name, module in model.named_modules()
        if module is model.get_classifier()
        for part in ("weight", "bias")
    }


def test_weights_come_out_in_single_precision_and_finite():
    for name, tensor in small_body.body_weights().items():
        assert tensor.dtype == (torch.int64 if "num_batches" in name else torch.float32), name
        assert torch.isfinite(tensor).all(), name


def test_whoever_changes_the_weights_they_got_changes_no_one_elses():
    first = small_body.body_weights()
    name = next(iter(first))
    first[name].zero_()
    assert small_body.body_weights()[name].abs().sum() > 0


def test_the_body_tells_unseen_drawings_apart_far_better_than_random_weights(pictures):
    body, random = bare_network(), bare_network()
    body.load_state_dict(small_body.body_weights())
    settle(random, pictures[0])
    known = share_nearest_to_own_class(body, *pictures)
    assert known > 0.2  # by chance 0.0125; the body alone reached 0.31 when it was made
    assert known > 3 * share_nearest_to_own_class(random, *pictures)


@pytest.mark.slow
def test_a_training_writes_a_package_and_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "VALID_N", 80)
    monkeypatch.setattr(script, "PAUSE_S", 0)
    threads = torch.get_num_threads()
    wanted = argparse.Namespace(
        folder=str(tmp_path / "work"), to=str(tmp_path / "body"), network="lcnet_050", n=80,
        stages="32:1,48:1", lr=1e-3, batch=32, precision="fp32", threads=1,
    )  # fmt: skip
    script.train(wanted)
    first = json.loads((tmp_path / "body/about.json").read_text())
    newest = max((tmp_path / "work").glob("step-*.json"))
    newest.unlink()  # as if it had been killed before its last epoch was kept
    script.train(wanted)
    again = json.loads((tmp_path / "body/about.json").read_text())
    torch.set_num_threads(threads)
    assert again["sha256"] == first["sha256"] == sha256(tmp_path / "body/body.safetensors")
    assert [row["size_px"] for row in again["by_epoch"]] == [32, 48]


def test_the_recipe_and_the_screens_know_its_architecture():
    assert small_body.about()["architecture"] == SMALL_BODY
