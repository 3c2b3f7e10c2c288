"""Test-time augmentation: views against known geometry, averages against plain timm and by hand."""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from cli_runs import lab
from PIL import Image
from safetensors.torch import load_file
from small import small_recipe

from lab.analysis.tta import (
    average_by,
    combine,
    contributions,
    fastai_average,
    gain_by_views,
    growing,
    running_averages,
    usual_weights,
)
from lab.analysis.view_families import FAMILIES, WAYS
from lab.data.transform import TestTransform
from lab.errors import LabError
from lab.recipe.augment import Augment
from lab.recipe.stage import Stage
from lab.runs.folder import RunFolder, create_run
from lab.scoring import views as scoring_views
from lab.scoring.families import (
    OnePicture,
    StoredPictures,
    View,
    make_views,
    near_size,
    parts,
    viewing_stage,
)
from lab.scoring.stages import load_stage, open_run
from lab.scoring.views import tta_image, tta_run, view_precision
from lab.ui.evidence import evidence
from lab.vision import geometry
from lab.vision.draws import uniforms
from lab.vision.warp import gather, warp
from lab.worker import train_in_process
from lab.workers import ops
from lab.workspace import Workspace, read_json, write_json

TURNS = {
    "Flipped left-right": Image.Transpose.FLIP_LEFT_RIGHT,
    "Flipped up-down": Image.Transpose.FLIP_TOP_BOTTOM,
    "Turned by 180°": Image.Transpose.ROTATE_180,
    "Turned by 90° to the left": Image.Transpose.ROTATE_90,
    "Turned by 90° to the right": Image.Transpose.ROTATE_270,
    "Mirrored at the falling diagonal": Image.Transpose.TRANSPOSE,
    "Mirrored at the rising diagonal": Image.Transpose.TRANSVERSE,
}
ALL = slice(None)


def photo(height: int, width: int) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def source(image: Image.Image, size: tuple[int, int], **choices: Any) -> OnePicture:
    stage = Stage(size=size[0], resize="squish", augment=Augment.off())
    return OnePicture(image, TestTransform(*size, **choices), stage)


def pixels(view: View, of: OnePicture) -> np.ndarray:
    """A view of one picture as uint8 (h, w, 3)."""
    return (255 * view.pixels(of, ALL)[0].permute(1, 2, 0).numpy()).round().astype(np.uint8)


# Views against known geometry


@pytest.mark.parametrize("title", FAMILIES["d4"].titles)
def test_a_d4_view_is_exactly_the_plain_picture_turned(title: str) -> None:
    of = source(photo(80, 60), (32, 32))
    plain = Image.fromarray(of.exact((32, 32), ALL)[0])
    found, _ = make_views(None, "d4", 0, (32, 32))
    (view,) = [view for view in found if view.title == title]
    assert np.array_equal(pixels(view, of), np.asarray(plain.transpose(TURNS[title])))


def test_with_the_plain_picture_d4_is_eight_different_ones() -> None:
    of = source(photo(40, 40), (32, 32))
    found, _ = make_views(None, "d4", 0, (32, 32))
    seen = {of.exact((32, 32), ALL)[0].tobytes(), *(pixels(view, of).tobytes() for view in found)}
    assert len(seen) == 8


def test_a_picture_that_is_not_square_keeps_its_shape_in_d4() -> None:
    of = source(photo(40, 60), (24, 32))
    found, words = make_views(None, "d4", 0, (24, 32))
    assert [pixels(view, of).shape for view in found] == [(24, 32, 3)] * 3
    assert "quarter turns" in words


@pytest.mark.parametrize(
    ("title", "left", "top"),
    [("upper left", 0, 0), ("upper right", 40, 0), ("lower left", 0, 8), ("lower right", 40, 8),
     ("middle", 20, 4)],
)  # fmt: skip
def test_a_part_begins_at_its_corner_within_half_a_pixel(title: str, left: int, top: int) -> None:
    # 64 x 96 px; the largest square is 64, a part 7/8 of it: 56 px, shown on 56 px.
    ramp = np.zeros((64, 96, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(96)[None, :], np.arange(64)[:, None]
    stage = Stage(size=56, presize_px=64, augment=Augment.off())
    of = OnePicture(Image.fromarray(ramp), TestTransform(56, 56), stage)
    (view,) = [v for v in parts(TestTransform(56, 56)) if v.title == f"Part, {title}"]
    seen = 255 * view.pixels(of, ALL)[0].numpy()
    assert seen[:2, 0, 0] == pytest.approx([left, top], abs=0.5)
    assert seen[:2, -1, -1] == pytest.approx([left + 55, top + 55], abs=0.5)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3000), (700, 3)])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_family_copes_with_the_oddest_shapes(shape: tuple[int, int], family: str) -> None:
    stage = Stage(size=32, resize="crop", augment=Augment())
    network = SimpleNamespace(spec=SimpleNamespace(name="resnet18"))
    run = SimpleNamespace(recipe=lambda: SimpleNamespace(seed=0))
    loaded = SimpleNamespace(
        transform=lambda size: TestTransform(*size), stage=stage, run=run, network=network
    )
    of = OnePicture(photo(*shape), TestTransform(32, 32), stage)
    for view in make_views(loaded, family, 2, (32, 32))[0]:
        x = view.pixels(of, ALL)
        assert x.shape == (1, 3, *view.size)
        assert 0 <= x.min() <= x.max() <= 1


def test_ten_parts_are_five_and_their_mirrors() -> None:
    of = source(photo(64, 96), (32, 32))
    loaded = SimpleNamespace(transform=lambda size: TestTransform(*size))
    ten, _ = make_views(loaded, "ten-crop", 0, (32, 32))
    for one, mirrored in zip(ten[:5], ten[5:]):
        assert np.array_equal(pixels(one, of)[:, ::-1], pixels(mirrored, of))


@pytest.mark.parametrize("draw", range(4))
def test_a_drawn_grid_lies_where_pillow_puts_it_to_half_a_pixel(draw: int) -> None:
    image = np.zeros((96, 96, 3), np.uint8)
    knots = [(x, y) for x in (30, 48, 66) for y in (30, 48, 66)]
    for x, y in knots:
        image[y - 1 : y + 1, x - 1 : x + 1] = 255
    augment = Augment(flip="horizontal", rotate_deg=15, zoom_max=1.2, warp=0.2, affine_p=1.0)
    stage = Stage(size=96, resize="squish", augment=augment)
    canvas, shapes = gather([image])
    matrix = geometry.warp_matrices(stage, shapes, uniforms(1, geometry.DRAWS, "grid", draw))
    ours = warp(canvas, shapes, matrix, (96, 96), "zeros")[0, 0].numpy()
    to_unit = np.array([[2 / 96, 0, -1], [0, 2 / 96, -1], [0, 0, 1]])
    inward = matrix[0] @ to_unit
    values = (inward / inward[2, 2]).flatten()[:8]
    theirs = Image.fromarray(image[..., 0]).transform(
        (96, 96), Image.Transform.PERSPECTIVE, values, Image.Resampling.BILINEAR
    )
    for x, y in knots:
        there = np.linalg.inv(inward) @ [x, y, 1]
        where = there[:2] / there[2]
        if not ((where > 8) & (where < 88)).all():
            continue
        spot = centre(ours, where)
        assert spot == pytest.approx(centre(np.asarray(theirs, float), where), abs=0.5)
        assert spot == pytest.approx(where, abs=0.5)


def centre(picture: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The middle of the light within 6 px of a place, x and y."""
    y, x = np.indices(picture.shape) + 0.5
    light = picture * (np.hypot(x - near[0], y - near[1]) < 6)
    return np.array([(x * light).sum(), (y * light).sum()]) / light.sum()


@pytest.mark.parametrize(
    ("name", "size", "scale", "near"),
    [("resnet18", 128, 0.8, 96), ("resnet18", 128, 1.2, 160), ("resnet18", 96, 1.2, 112),
     ("vit_tiny_patch16_224", 224, 0.8, 176)],
)  # fmt: skip
def test_other_sizes_are_the_nearest_that_the_network_takes(name, size, scale, near) -> None:
    network = SimpleNamespace(spec=SimpleNamespace(name=name))
    assert near_size(SimpleNamespace(network=network), (size, size), scale) == (near, near)


def test_an_unknown_family_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(LabError, match="no family") as error:
        make_views(None, "d5", 0, (32, 32))
    assert "five-crop" in error.value.fix


# Arithmetic by hand

PLAIN = np.array([[0.6, 0.4]])
VIEWS = np.array([[[0.2, 0.8], [0.4, 0.6]]])


@pytest.mark.parametrize(
    ("way", "first"),
    [
        ("fastai", 0.25 * 0.6 + 0.75 * 0.3),
        ("mean", 0.4),
        # cube roots of 0.6 * 0.2 * 0.4 = 0.048 and 0.4 * 0.8 * 0.6 = 0.192, whose ratio is 1 : 4
        ("geometric", 1 / (1 + 4 ** (1 / 3))),
        ("logits", 1 / (1 + 4 ** (1 / 3))),
        ("max", 0.6 / (0.6 + 0.8)),
    ],
)
def test_each_way_of_averaging_by_hand(way: str, first: float) -> None:
    found = average_by(way, PLAIN, VIEWS, 0.25)
    assert found[0] == pytest.approx([first, 1 - first])


def test_the_mean_of_logits_is_torchs_softmax_of_their_mean() -> None:
    logits = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    probs = logits.softmax(dim=-1).numpy()
    expected = logits.mean(dim=1).softmax(dim=-1).numpy()
    assert average_by("logits", probs[:, 0], probs[:, 1:]) == pytest.approx(expected)


def test_an_unknown_way_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(LabError, match="no way of averaging") as error:
        combine("median", VIEWS, np.ones(2))
    assert "geometric" in error.value.fix


def test_fastais_average_grows_as_it_always_did() -> None:
    looks = np.concatenate([PLAIN[:, None], VIEWS], axis=1)
    found = growing("fastai", looks, usual_weights("fastai", 2, 0.25))
    assert found == pytest.approx(running_averages(PLAIN, VIEWS, 0.25))
    assert found[:, -1] == pytest.approx(fastai_average(PLAIN, VIEWS, 0.25))


def test_a_look_without_weight_takes_no_part() -> None:
    looks = np.concatenate([PLAIN[:, None], VIEWS], axis=1)
    for way in WAYS:
        with_zero = combine(way, looks, np.array([1.0, 0.0, 2.0]))
        assert with_zero == pytest.approx(combine(way, looks[:, [0, 2]], np.array([1.0, 2.0])))


@pytest.mark.parametrize("way", list(WAYS))
def test_what_the_looks_add_sums_to_the_lead(way: str) -> None:
    looks = np.random.default_rng(0).dirichlet(np.ones(4), 5)
    weights = np.array([0.3, 0.1, 0.2, 0.25, 0.15])
    found = combine(way, looks, weights)
    logs = way in ("geometric", "logits")
    lead = np.log(found[2] / found[1]) if logs else found[2] - found[1]
    assert contributions(way, looks, weights, over=2, under=1).sum() == pytest.approx(lead)


def test_the_gain_counts_corrected_less_corrupted() -> None:
    # With the first view two of four become right; with both one of those is lost again.
    plain = np.array([[0.4, 0.6], [0.4, 0.6], [0.9, 0.1], [0.9, 0.1]])
    views = np.array([
        [[0.9, 0.1], [0.9, 0.1]], [[0.6, 0.4], [0.1, 0.9]],
        [[0.9, 0.1], [0.9, 0.1]], [[0.9, 0.1], [0.9, 0.1]],
    ])  # fmt: skip
    found = gain_by_views(plain, views, np.zeros(4, int), beta=0.0)
    assert [row["gain"] for row in found] == [0.5, 0.25]
    assert [row["corrected"] for row in found] == [2, 1]
    assert all(row["low"] <= row["gain"] <= row["high"] for row in found)


# A trained run

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("tta")).create()


@pytest.fixture(scope="module")
def run(workspace: Workspace) -> RunFolder:
    run = create_run(workspace, small_recipe())
    assert train_in_process(workspace, run, 0, "cpu", lambda event: None) == 0
    return run


@pytest.fixture
def in_bf16(run: RunFolder) -> Iterator[RunFolder]:
    """The same run, as if it had been trained in bf16."""
    known = read_json(run.resolved_file)
    write_json(run.resolved_file, known | {"resolved": known["resolved"] | {"precision": "bf16"}})
    yield run
    write_json(run.resolved_file, known)


def plain_timm(run: RunFolder, x: torch.Tensor) -> np.ndarray:
    """Probabilities by timm alone: its own network, the weights of the file, in fp32."""
    info = run.scores(1)
    classes = info["model"]["num_classes"]
    model = timm.create_model("test_resnet", num_classes=classes).eval()
    model.load_state_dict(load_file(run.stage(1) / "model.safetensors"))
    mean, std = (torch.tensor(info["model"][key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        return model((x - mean) / std).softmax(dim=1).double().numpy()


def recorded(workspace: Workspace, run: RunFolder, family: str) -> list[torch.Tensor]:
    """The plain pictures and every view as tensors in [0, 1]."""
    loaded = load_stage(run)
    opened, transform = open_run(workspace, loaded), loaded.transform()
    pictures = opened.test_pictures(transform)
    size = pictures.hw
    of = StoredPictures(opened, transform, viewing_stage(loaded, size), pictures)
    plain = torch.from_numpy(of.exact(size, ALL) / 255).permute(0, 3, 1, 2).float()
    return [plain, *(view.pixels(of, ALL) for view in make_views(loaded, family, 3, size)[0])]


@slow
@pytest.mark.parametrize("family", ["training", "d4", "five-crop", "scale-flips"])
def test_averages_are_those_of_a_plain_loop_over_plain_timm(workspace, run, family) -> None:
    said = [plain_timm(run, x) for x in recorded(workspace, run, family)]
    n = len(said)
    for way in WAYS:
        found = tta_run(workspace, run, views=3, beta=0.25, family=family, average=way)
        name = "s1-48x48-tta" + ("" if family == "training" else f"-{family}")
        with np.load(run.predictions / f"{name}.npz") as file:
            stored = file["average"]
        expected = np.zeros_like(said[0])
        for at, probs in enumerate(said):
            if way == "fastai":
                expected += probs * (0.25 if at == 0 else 0.75 / (n - 1))
            elif way == "mean":
                expected += probs / n
            elif way == "max":
                expected = np.maximum(expected, probs)
            else:
                expected += np.log(probs) / n
        if way in ("geometric", "logits"):
            expected = np.exp(expected)
        expected /= expected.sum(axis=1, keepdims=True)
        assert np.abs(stored - expected).max() < 1e-6
        right = (
            expected.argmax(axis=1)
            == open_run(workspace, load_stage(run))
            .test_pictures(load_stage(run).transform())
            .labels
        )
        assert found["tta"]["accuracy"] == pytest.approx(right.mean())


@slow
@pytest.mark.parametrize("family", list(FAMILIES))
def test_one_picture_says_what_was_averaged_over_the_set(workspace, run, family) -> None:
    tta_run(workspace, run, views=2, family=family)
    said = evidence(run, 1, family)
    row = 5
    shown = tta_image(workspace, run, int(said.item[row]), views=2, family=family)
    assert [view["title"] for view in shown["views"]] == list(said.titles)
    seen = np.array([view["probabilities"] for view in shown["views"]])
    assert np.abs(seen - said.views[row]).max() < 1e-5


@slow
def test_views_that_are_stored_are_not_made_again(workspace, run, monkeypatch) -> None:
    first = tta_run(workspace, run, views=3)

    def refuse(*_: Any) -> None:
        raise AssertionError("asked the network again")

    monkeypatch.setattr(scoring_views, "answered", refuse)
    again = tta_run(workspace, run, views=2)
    assert again["views"] == 2
    assert again["plain"] == first["plain"]


@slow
def test_more_views_begin_with_the_ones_before(workspace, run) -> None:
    tta_run(workspace, run, views=2, family="training")
    before = evidence(run, 1).views
    tta_run(workspace, run, views=4)
    assert np.array_equal(evidence(run, 1).views[:, :2], before)
    assert evidence(run, 1).views.shape[1] == 4


@slow
def test_views_are_in_the_runs_precision_and_plain_pictures_in_fp32(workspace, in_bf16) -> None:
    plain = evidence(in_bf16, 1, "d4").plain
    found = tta_run(workspace, in_bf16, family="d4")
    said = evidence(in_bf16, 1, "d4")
    assert (found["precision"], said.precision) == ("bf16", "bf16")
    assert np.array_equal(said.plain, plain)
    assert found["plain"]["log_loss"] == pytest.approx(in_bf16.scores(1)["final"]["log_loss"])


@slow
def test_on_another_device_than_it_was_trained_on_views_are_fp32(in_bf16) -> None:
    loaded = load_stage(in_bf16)
    assert view_precision(loaded) == "bf16"
    known = read_json(in_bf16.resolved_file)
    cuda = known | {"resolved": known["resolved"] | {"device": "cuda:0"}}
    write_json(in_bf16.resolved_file, cuda)
    assert view_precision(loaded) == "fp32"


@slow
def test_the_command_says_what_the_page_shows(workspace, run) -> None:
    found = lab(
        "tta", run.id, "--family", "d4", "--average", "geometric", workspace=workspace.root
    ).last
    said = evidence(run, 1, "d4")
    assert (found["family"], found["average"], found["views"]) == ("d4", "geometric", 7)
    right = said.average(said.beta, "geometric").argmax(axis=1) == said.target
    assert found["tta"]["accuracy"] == pytest.approx(right.mean())


@slow
def test_an_unknown_way_is_refused_before_any_work(workspace, run) -> None:
    with pytest.raises(LabError, match="no way of averaging"):
        tta_run(workspace, run, average="median")


@slow
def test_a_picture_of_ones_own_is_looked_at_by_the_helper(workspace, run) -> None:
    file = io.BytesIO()
    photo(90, 70).save(file, "PNG")
    asked = {"run": run.id, "family": "flips", "name": "my.png", "blobs": [file.getvalue()]}
    values, pngs = ops.tta_upload(asked, workspace)
    assert values["titles"] == ["Flipped left-right"]
    plain, flipped = (np.asarray(Image.open(io.BytesIO(png))) for png in pngs)
    assert np.array_equal(plain[:, ::-1], flipped)
    assert sum(values["average"]) == pytest.approx(1, abs=1e-5)


@slow
def test_what_is_no_picture_is_named_by_the_helper(workspace, run) -> None:
    with pytest.raises(LabError, match=r"notes\.png is not an image: it is text"):
        ops.tta_upload({"run": run.id, "name": "notes.png", "blobs": [b"hello there"]}, workspace)
