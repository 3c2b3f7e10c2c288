"""What resolution does: how large things look, what a stage says at each size, where it looks."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from small import small_recipe
from torch import nn
from torchvision.transforms import RandomResizedCrop

from lab.analysis.apparent import apparent, corners, matched_side, quad_areas, size_words
from lab.analysis.test_sizes import predicted_side
from lab.data.pixels import kept_pixels
from lab.data.transform import TestTransform
from lab.errors import LabError
from lab.recipe import recipe_from
from lab.recipe.stage import Stage
from lab.runs.folder import RunFolder, create_run
from lab.scoring.gradcam import evidence_map, map_layer, spotlight
from lab.scoring.inference import evaluate_run
from lab.scoring.resolution import answer_at, stages_seen, train_quads
from lab.scoring.resolution import test_quads as quads_of_test
from lab.scoring.stages import load_stage, open_run
from lab.vision.draws import uniforms
from lab.vision.loader import DRAWS, random_pixels
from lab.worker import train_in_process
from lab.workers import ops
from lab.workspace import Workspace

STILL = {"flip": "none", "rotate_deg": 0, "zoom_max": 1, "warp": 0, "lighting": 0}
U = uniforms(4000, DRAWS, "a test of sizes")


def stage(size: int | tuple[int, int] = 128, **values: object) -> Stage:
    return recipe_from(
        {"stages": [{"size": size, "epochs": 1, "augment": STILL, **values}]}
    ).stages[0]


def found_for(made: Stage, picture: tuple[int, int], test: TestTransform) -> object:
    """Apparent sizes of a stage on a picture of (height, width) under a test transform."""
    areas = quad_areas(train_quads(made, picture, picture, U, None))
    test_area = float(quad_areas(quads_of_test(made, test, *picture)[None])[0])
    return apparent(areas, made.hw, test_area, (test.height, test.width))


# How large things look


def test_the_formula_is_that_of_the_predicted_best_size():
    """Crops of 8 to 100 % of the area, a centre crop of 0.875: 1.2354 times, methods.md."""
    recipe = recipe_from(
        {"stages": [{"size": 224, "epochs": 1, "resize": "random-resized-crop", "min_scale": 0.08,
                     "valid_crop_pct": 0.875}]}
    )  # fmt: skip
    side = matched_side(recipe.stages[0], 0.875)
    assert side == pytest.approx(224 * 1.2354, abs=0.1)
    assert side == predicted_side(recipe, recipe.stages[0])


def test_drawn_crops_of_a_square_picture_agree_with_the_formula():
    made = stage(128, min_scale=0.35, resize="crop")
    found = found_for(made, (400, 400), TestTransform(128, 128, "center", 0.9))
    assert found.matched_px == pytest.approx(matched_side(made, 0.9), rel=0.01)


@pytest.mark.parametrize("picture", [(300, 300), (200, 320), (360, 240)])
def test_apparent_size_is_what_torchvisions_crops_give(picture):
    """Lengths in training: 128 px over the crop's; at test: 112 px over 0.8 of the short side."""
    torch.manual_seed(0)
    height, width = picture
    image = torch.empty(3, height, width)
    crops = [
        RandomResizedCrop.get_params(image, (0.2, 1.0), (3 / 4, 4 / 3))[2:] for _ in range(4000)
    ]
    in_training = np.array([128 / math.sqrt(h * w) for h, w in crops])
    at_test = 112 / (0.8 * min(picture))
    found = found_for(
        stage(128, resize="random-resized-crop", min_scale=0.2), picture,
        TestTransform(112, 112, "center", 0.8),
    )  # fmt: skip
    assert found.ratio == pytest.approx(1 / np.mean(at_test / in_training), rel=0.015)
    low, high = np.quantile(in_training / at_test, (0.05, 0.95))
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.03)
    assert found.matched_px == pytest.approx(112 * found.ratio)


def test_zoom_of_the_augmentation_enlarges_things_too():
    """Zoom U(1, 1.5) always: the mean of 1 / zoom is ln(1.5) / 0.5."""
    made = stage(96, augment={**STILL, "zoom_max": 1.5, "affine_p": 1.0})
    found = found_for(made, (200, 200), TestTransform(96, 96))
    assert found.ratio == pytest.approx(0.5 / math.log(1.5), rel=0.01)


def test_turns_and_flips_change_no_size():
    made = stage(96, augment={**STILL, "flip": "dihedral", "rotate_deg": 40, "affine_p": 1.0})
    found = found_for(made, (200, 200), TestTransform(96, 96))
    assert (found.ratio, found.low, found.high) == pytest.approx((1, 1, 1))


def test_a_larger_test_shows_things_larger():
    made = stage(96)
    assert found_for(made, (200, 200), TestTransform(192, 192)).ratio == pytest.approx(0.5)


def test_the_frame_of_a_test_is_that_of_its_transform():
    """Of 300 x 200 (width x height): 0.8 of the short side is 160 px, in the middle."""
    centre = quads_of_test(stage(), TestTransform(128, 128, "center", 0.8), 200, 300)
    np.testing.assert_allclose(
        centre, [[70 / 300, 0.1], [230 / 300, 0.1], [230 / 300, 0.9], [70 / 300, 0.9]]
    )
    squashed = quads_of_test(stage(), TestTransform(128, 128, "squash", 1.0), 200, 300)
    np.testing.assert_allclose(squashed, [[0, 0], [1, 0], [1, 1], [0, 1]], atol=1e-12)
    border = quads_of_test(stage(), TestTransform(128, 128, "border", 1.0), 200, 300)
    np.testing.assert_allclose(border, [[0, -0.25], [1, -0.25], [1, 1.25], [0, 1.25]])


def test_frames_of_training_lie_where_their_pictures_come_from():
    """A picture whose red is x and whose green is y tells where each pixel is from."""
    side = 200
    y, x = np.mgrid[0:side, 0:side] + 0.5
    coded = np.stack([x, y, np.zeros_like(x)], axis=2).astype(np.uint8)
    made = stage(64, resize="random-resized-crop", min_scale=0.3, presize_px=side,
                 augment={**STILL, "flip": "dihedral", "rotate_deg": 20, "zoom_max": 1.2,
                          "warp": 0.1, "affine_p": 1.0}, pad_mode="border")  # fmt: skip
    quads = train_quads(made, (side, side), (side, side), U[:40], None)
    shown = random_pixels([coded] * 40, made, U[:40]).numpy() * 255
    for quad, picture in zip(quads, shown, strict=True):
        middle = picture[:2, 31:33, 31:33].mean(axis=(1, 2))
        # The middle of the output is where the diagonals of its frame cross, whatever the tilt.
        np.testing.assert_allclose(middle, crossing(quad) * side, atol=1.6)


def crossing(quad: np.ndarray) -> np.ndarray:
    a, b, c, d = quad
    t, _ = np.linalg.solve(np.stack([c - a, b - d], axis=1), b - a)
    return a + t * (c - a)


def test_long_pictures_lose_their_ends_in_training_only():
    """1,000 x 100 is kept as its middle 400 x 100: squished training shows 0.3 to 0.7 of it."""
    made = stage(64, resize="squish")
    kept = kept_pixels(Image.new("RGB", (1000, 100)), made.stored_px).shape[:2]
    quad = train_quads(made, kept, (100, 1000), U[:1], None)[0]
    np.testing.assert_allclose(quad, [[0.3, 0], [0.7, 0], [0.7, 1], [0.3, 1]], atol=1e-9)


def test_corners_go_in_a_round():
    quad = corners(np.eye(3)[None])
    np.testing.assert_allclose(quad, [[[-1, -1], [1, -1], [1, 1], [-1, 1]]])
    assert quad_areas(quad) == pytest.approx([4])


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (1.28, "1.28 times larger in training than at test at 128 px; tested at 164"),
        (0.8, "1.25 times smaller in training than at test at 128 px; tested at 102"),
        (1.001, "as large in training as at test at 128 px."),
    ],
)
def test_the_size_is_said_in_one_sentence(ratio, said):
    assert said in size_words(ratio, "128 px", 128 * ratio)


# What a stage says at each size, where it looks: a run trained for a second


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("resolution")).create()


@pytest.fixture(scope="module")
def run(workspace: Workspace) -> RunFolder:
    stages = [
        {"size": 32, "epochs": 1, "batch_size": 16, "lr": 3e-3, "resize": "random-resized-crop",
         "min_scale": 0.35, "valid_crop_pct": 0.9},
        {"size": 48, "epochs": 1, "batch_size": 16, "lr": 3e-3},
    ]  # fmt: skip
    made = create_run(workspace, small_recipe(stages))
    assert train_in_process(workspace, made, 0, "cpu", lambda event: None) == 0
    return made


@pytest.mark.slow
def test_a_cell_of_the_grid_is_what_evaluation_scores(workspace, run):
    """Own size, final size and another one: the same as the stored predictions of that size."""
    evaluate_run(workspace, run, 0, 64)
    for number, side in [(0, 32), (0, 48), (0, 64), (1, 48)]:
        loaded = load_stage(run, number)
        with np.load(run.predictions / f"s{number}-{side}x{side}.npz") as stored:
            items, probs = stored["item"], stored["probs"]
        dataset = open_run(workspace, loaded).dataset
        for row in (0, len(items) - 1):
            with Image.open(dataset.path(int(items[row]))) as file:
                found = answer_at(loaded, file.convert("RGB"), (side, side))
            np.testing.assert_allclose(found["probs"], probs[row], atol=1e-5)
            values, pngs = ops.size_answer(
                {"run": run.id, "stage": number, "size": [side, side], "item": int(items[row])},
                workspace,
            )
            np.testing.assert_allclose(values["probs"], probs[row], atol=1e-5)
            with Image.open(io.BytesIO(pngs[0])) as shown:
                np.testing.assert_array_equal(np.asarray(shown), found["pixels"])


@pytest.mark.slow
def test_a_picture_that_is_not_there_is_refused_in_words(workspace, run):
    asked = {"run": run.id, "stage": 1, "size": 48, "item": 10**6}
    with pytest.raises(LabError, match="no picture 1000000"):
        ops.size_answer(asked, workspace)


def test_a_size_that_the_network_refuses_is_a_cell_with_its_words():
    """efficientformer_l1 is made for 224 px and nothing else."""
    network = SimpleNamespace(spec=SimpleNamespace(name="efficientformer_l1"))
    found = answer_at(SimpleNamespace(network=network), Image.new("RGB", (96, 96)), (96, 96))
    assert found["refused"].startswith("efficientformer_l1 is made for 224×224 px")


@pytest.mark.slow
def test_every_stage_shows_a_picture_as_it_was_trained_and_scored(workspace, run):
    loaded = load_stage(run, 0)
    opened = open_run(workspace, loaded)
    pictures = opened.test_pictures(loaded.transform((32, 32)))
    with Image.open(opened.dataset.path(int(pictures.items[0]))) as file:
        seen = list(stages_seen(run, file.convert("RGB"), draws=2, roll=0))
    assert [(found.size, found.final_size) for found in seen] == [
        ((32, 32), (48, 48)), ((48, 48), (48, 48)),
    ]  # fmt: skip
    np.testing.assert_array_equal(seen[0].test, pictures.images[0])
    assert [picture.shape for picture in seen[0].train] == [(32, 32, 3)] * 2
    assert seen[0].own.ratio > 1.05
    assert seen[0].final.ratio == pytest.approx(seen[0].own.ratio * 32 / 48 / 0.9, rel=1e-6)


@pytest.mark.slow
def test_the_helper_gives_frames_and_pictures_of_all_stages(workspace, run):
    values, pngs = ops.resolution_views({"run": run.id, "item": 3, "draws": 2}, workspace)
    assert len(pngs) == 1 + 2 * 3
    assert [len(found["quads"]) for found in values["stages"]] == [60, 60]
    with Image.open(io.BytesIO(pngs[4])) as picture:
        assert picture.size == (48, 48)


@pytest.mark.slow
def test_evidence_comes_as_a_picture_of_the_tested_size(workspace, run):
    pytest.importorskip("pytorch_grad_cam")
    asked = {"run": run.id, "stage": 1, "size": 96, "item": 3}
    values, pictures = ops.grad_cam(asked, workspace)
    said, _ = ops.size_answer(asked, workspace)
    assert values["target"] == int(np.argmax(said["probs"]))
    with Image.open(io.BytesIO(pictures[0])) as picture:
        assert picture.size == (96, 96)
    again, _ = ops.size_answer(asked, workspace)
    assert again["probs"] == said["probs"]


# Grad-CAM


class Quadrants(nn.Module):
    """Two outputs: how much red there is, and how much blue, by 8 x 8 cells."""

    num_features = 2

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Conv2d(3, 2, 8, stride=8, bias=False)
        with torch.no_grad():
            self.cells.weight.zero_()
            self.cells.weight[0, 0] = self.cells.weight[1, 2] = 1 / 64

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return self.cells(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_features(x).mean(dim=(2, 3))


def coloured() -> torch.Tensor:
    """Red above on the right, blue below on the left; 64 x 96."""
    x = torch.zeros(1, 3, 64, 96)
    x[0, 0, :32, 48:] = 1
    x[0, 2, 32:, :48] = 1
    return x


def quadrant_shares(seen: np.ndarray) -> np.ndarray:
    """The share of all evidence in each quadrant: [[above left, above right], [below ...]]."""
    h, w = seen.shape
    return seen.reshape(2, h // 2, 2, w // 2).sum(axis=(1, 3)) / seen.sum()


@pytest.mark.parametrize(("target", "where"), [(0, (0, 1)), (1, (1, 0))])
def test_evidence_in_one_quadrant_is_found_there(target, where):
    pytest.importorskip("pytorch_grad_cam")
    model, x = Quadrants(), coloured()
    place = map_layer(model, x)
    assert place.cells == (8, 12)
    seen = evidence_map(model, x, place, target)
    assert seen.shape == (64, 96)
    assert quadrant_shares(seen)[where] > 0.9


def test_the_map_is_grad_cam_as_the_paper_defines_it():
    """Before it is enlarged: ReLU of the maps weighted with their mean gradient, over its maximum;
    at a scale at which the library's enlarging changes nothing in the middle of each cell."""
    pytest.importorskip("pytorch_grad_cam")
    torch.manual_seed(1)
    model = timm.create_model("test_resnet", num_classes=5).eval()
    x = torch.randn(1, 3, 96, 96)
    features = model.forward_features(x).detach().requires_grad_(True)
    gradients = [
        torch.autograd.grad(model.forward_head(features)[0, target], features)[0]
        for target in range(5)
    ]
    maps = [(g.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1).relu()[0] for g in gradients]
    target = max(range(5), key=lambda number: float(maps[number].detach().std()))
    expected = maps[target].detach().numpy()
    seen = evidence_map(model, x, map_layer(model, x), target)
    rows, columns = expected.shape
    middles = seen[96 // rows // 2 :: 96 // rows, 96 // columns // 2 :: 96 // columns]
    assert middles.shape == expected.shape
    assert np.corrcoef(middles.ravel(), expected.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(
    ("name", "size", "cells"),
    [
        ("resnet18", (128, 96), (4, 3)),
        ("test_convnext", (96, 96), None),
        ("efficientnet_b0", (64, 64), (2, 2)),
        ("mobilenetv3_small_050", (96, 96), (3, 3)),
        ("densenet121", (64, 64), (2, 2)),
        ("test_vit", (160, 160), (10, 10)),
        ("mixer_s32_224", (224, 224), (7, 7)),
    ],
)
@pytest.mark.slow
def test_the_last_map_is_found_in(name, size, cells):
    pytest.importorskip("pytorch_grad_cam")
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=4).eval()
    x = torch.randn(1, 3, *size)
    place = map_layer(model, x)
    assert cells is None or place.cells == cells
    assert evidence_map(model, x, place, 1).shape == size


@pytest.mark.slow
def test_channels_last_maps_are_turned_to_the_front():
    """Swin gives rows x columns x channels: a bright place above must not end up on the left."""
    pytest.importorskip("pytorch_grad_cam")
    model = timm.create_model("swin_tiny_patch4_window7_224", num_classes=4).eval()
    place = map_layer(model, torch.randn(1, 3, 224, 224))
    assert place.cells == (7, 7)
    maps = torch.zeros(1, 7, 7, model.num_features)
    maps[0, 1, 5] = 1
    assert place.reshape(maps)[0, 0].nonzero().tolist() == [[1, 5]]


def test_tokens_of_a_vit_lie_where_their_patches_do():
    """Without position embedding, a picture moved by whole patches moves its map as far."""
    pytest.importorskip("pytorch_grad_cam")
    torch.manual_seed(0)
    model = timm.create_model("test_vit", num_classes=4).eval()
    nn.init.zeros_(model.pos_embed)
    x = torch.randn(1, 3, 160, 160)
    place = map_layer(model, x)
    one = evidence_map(model, x, place, 2)
    other = evidence_map(model, x.roll((32, 48), (2, 3)), place, 2)
    middle = slice(8, None, 16)
    expected = np.roll(one[middle, middle], (2, 3), (0, 1))
    away = (slice(3, 9), slice(4, 9))  # from the seam: enlarging mixes neighbours a little
    np.testing.assert_allclose(other[middle, middle][away], expected[away], atol=1e-3)
    assert one.std() > 0.01


def test_a_map_of_one_cell_points_nowhere_and_says_so():
    model = timm.create_model("resnet18", num_classes=4).eval()
    with pytest.raises(LabError, match="At 32×32 px the last map of the network is a single cell"):
        map_layer(model, torch.randn(1, 3, 32, 32))


def test_a_network_without_a_map_of_places_says_so():
    class Flat(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :4]

    with pytest.raises(LabError, match="keeps no map of places"):
        map_layer(Flat(), torch.randn(1, 3, 32, 32))


def test_looking_for_evidence_leaves_the_network_as_it_was():
    pytest.importorskip("pytorch_grad_cam")
    model, x = Quadrants(), coloured()
    before = model(x).detach()
    evidence_map(model, x, map_layer(model, x), 0)
    assert model.cells.weight.requires_grad
    assert model.cells.weight.grad is None
    assert not model.cells._forward_hooks
    assert torch.equal(model(x).detach(), before)


def test_nothing_that_speaks_for_a_class_is_a_map_of_zeros():
    pytest.importorskip("pytorch_grad_cam")
    model, x = Quadrants(), coloured()
    with torch.no_grad():
        model.cells.weight.neg_()
    assert evidence_map(model, x, map_layer(model, x), 0).max() == 0


def test_the_spotlight_keeps_the_pictures_size_and_lights_the_evidence():
    pytest.importorskip("pytorch_grad_cam")
    seen = np.zeros((16, 24), np.float32)
    seen[:8, 12:] = 1
    shown = spotlight(np.full((16, 24, 3), 128, np.uint8), seen)
    assert (shown.shape, shown.dtype) == ((16, 24, 3), np.uint8)
    assert shown[:8, 12:].mean() > shown[8:, :12].mean() + 60


def test_without_the_library_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    model, x = Quadrants(), coloured()
    with pytest.raises(LabError, match="needs the library grad-cam") as caught:
        evidence_map(model, x, map_layer(model, x), 0)
    assert caught.value.fix == "Install it: pip install grad-cam"


def test_the_library_is_imported_only_when_asked_for():
    """The helper starts without it, and so do machines that lack it."""
    code = "import lab.workers.ops, sys; print('pytorch_grad_cam' in sys.modules)"
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
