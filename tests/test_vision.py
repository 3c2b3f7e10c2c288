"""The batch path against known geometry: frames, the one warp, light, draws; and on the device."""

import numpy as np
import pytest
import torch
from small import small_recipe

from lab.errors import LabError
from lab.recipe import Recipe
from lab.recipe.augment import Augment
from lab.recipe.stage import Stage
from lab.schedules.plan import make_plan
from lab.vision import frames, geometry
from lab.vision.draws import uniforms
from lab.vision.lighting import light_changes, relight
from lab.vision.loader import (
    DRAWS,
    Normalisation,
    TestPictures,
    TrainPictures,
    random_pixels,
    view_draws,
)
from lab.vision.resident import Flat, ResidentData, Staged, resident, resident_tests
from lab.vision.rundata import RunData, open_run_data, second_target
from lab.vision.warp import gather, oversampling, warp
from lab.workspace import Workspace

STILL = Augment.off()
NORM = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ramp(height: int, width: int) -> np.ndarray:
    """Red is the column, green the row: a warp's geometry can be read off its output."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[..., 0] = np.arange(width)[None, :]
    image[..., 1] = np.arange(height)[:, None]
    return image


def seen(stage: Stage, image: np.ndarray, u: np.ndarray | None = None) -> np.ndarray:
    """What the stage makes of one picture, 0..255 (3, h, w)."""
    u = np.full((1, DRAWS), 0.5) if u is None else u
    return 255 * random_pixels([image], stage, u)[0].numpy()


def same_batches(first, second) -> None:
    """Pictures and labels, bit for bit, and as many of them."""
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])


def test_a_picture_of_the_right_size_passes_unchanged():
    image = picture(32, 32)
    out = seen(Stage(size=32, resize="squish", augment=STILL), image)
    assert np.abs(out - image.transpose(2, 0, 1)).max() < 0.01


def test_a_flip_mirrors_every_column():
    image, u = picture(32, 32), np.full((1, DRAWS), 0.5)
    u[0, geometry._AUGMENT.start] = 0.1  # below a half: flip
    stage = Stage(size=32, resize="squish", augment=STILL.but(flip="horizontal"))
    assert np.abs(seen(stage, image, u) - image[:, ::-1].transpose(2, 0, 1)).max() < 0.01


def test_squish_takes_the_corners_to_the_corners():
    out = seen(Stage(size=32, resize="squish", augment=STILL), ramp(64, 128))
    # output pixel 0 covers columns 0..3 and rows 0..1: their means are 1.5 and 0.5
    assert out[0, 0, 0] == pytest.approx(1.5, abs=0.5)
    assert out[1, 0, 0] == pytest.approx(0.5, abs=0.5)
    assert out[0, -1, -1] == pytest.approx(125.5, abs=0.5)


def test_crop_in_the_middle_takes_the_middle():
    out = seen(Stage(size=64, resize="crop", augment=STILL), ramp(64, 128))
    assert out[0, 0, 0] == pytest.approx(32, abs=0.5)
    assert out[0, 0, -1] == pytest.approx(95, abs=0.5)


def test_pad_shows_the_whole_picture_between_black_bars():
    image = np.full((32, 64, 3), 200, dtype=np.uint8)
    out = seen(Stage(size=64, resize="pad", pad_mode="zeros", augment=STILL), image)
    assert out[0, :14].max() == 0
    assert out[0, 18:46].min() == pytest.approx(200, abs=0.5)


def test_reflection_leaves_no_black():
    image = np.full((32, 64, 3), 200, dtype=np.uint8)
    out = seen(Stage(size=64, resize="pad", pad_mode="reflection", augment=STILL), image)
    assert out.min() == pytest.approx(200, abs=0.5)


def test_as_test_shows_the_middle_share():
    stage = Stage(
        size=32, resize="as-test", valid_resize="squash", valid_crop_pct=0.5, augment=STILL
    )
    out = seen(stage, ramp(64, 64))
    assert out[0, 0, 0] == pytest.approx(16, abs=0.5)
    assert out[0, 0, -1] == pytest.approx(47, abs=0.5)


def test_a_quarter_turn_takes_the_left_edge_to_the_top_or_bottom():
    matrix = geometry.turned(np.array([np.pi / 2]), 1.0)[0]
    assert matrix @ [1, 0, 1] == pytest.approx([0, 1, 1])


def test_a_turn_keeps_right_angles_on_a_rectangle():
    aspect = 2.0
    matrix = geometry.turned(np.array([0.3]), aspect)[0, :2, :2]
    scale = np.diag([aspect, 1.0])  # square coordinates to real lengths
    real = scale @ matrix @ np.linalg.inv(scale)
    assert real.T @ real == pytest.approx(np.eye(2))


def test_the_perspective_moves_the_corners_as_asked():
    matrix = geometry.perspective(np.array([[0.1, -0.2]]))[0]
    corner = matrix @ [-1, -1, 1]
    # fastai's Warp: (-1, -1) goes to (-1 - y, -1 - x)
    assert corner[:2] / corner[2] == pytest.approx([-1 + 0.2, -1 - 0.1])


def test_a_random_part_has_an_area_within_its_bounds():
    shapes = np.tile([300, 400], (500, 1))
    u = uniforms(500, 2 * frames.TRIES + 2, "test")
    boxes = frames.random_part(frames.whole(shapes), 1.0, 0.25, u, frames.whole(shapes))
    share = boxes[:, 2] * boxes[:, 3] / (300 * 400)
    assert share.min() >= 0.25 - 1e-9
    assert share.max() <= 1 + 1e-9


def test_a_random_part_lies_within_the_picture():
    shapes = np.tile([300, 400], (500, 1))
    u = uniforms(500, 2 * frames.TRIES + 2, "test")
    boxes = frames.random_part(frames.whole(shapes), 1.0, 0.08, u, frames.whole(shapes))
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    assert low.min() >= -1e-9
    assert (high <= [400 + 1e-9, 300 + 1e-9]).all()


def test_shrinking_does_not_alias():
    # a one-pixel checkerboard shrunk four times is even grey, not stripes
    board = np.indices((128, 128)).sum(axis=0) % 2 * 255
    image = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    out = seen(Stage(size=32, resize="squish", augment=STILL), image)
    assert out.std() < 12


def test_no_oversampling_where_nothing_shrinks():
    boxes = geometry.box_matrices(frames.whole(np.array([[64, 64]])))
    assert oversampling(boxes, (64, 64)).tolist() == [1]


def test_pictures_in_one_batch_do_not_touch_each_other():
    alone, company = picture(40, 60), picture(90, 30, seed=1)
    stage = Stage(size=32, resize="squish", augment=Augment())
    u = uniforms(2, DRAWS, "company")
    together = random_pixels([alone, company], stage, u)[0]
    assert torch.allclose(together, random_pixels([alone], stage, u[:1])[0], atol=2 / 255)


def test_what_a_picture_becomes_does_not_depend_on_its_company():
    large, small = picture(200, 260), picture(40, 40, seed=1)  # one is sampled finer, one is not
    stage = Stage(size=32, resize="squish", augment=Augment())
    u = uniforms(2, DRAWS, "company")
    together = random_pixels([large, small], stage, u)
    alone = [random_pixels([p], stage, u[i : i + 1])[0] for i, p in enumerate([large, small])]
    assert torch.allclose(together, torch.stack(alone), atol=1e-4)


def test_brightness_and_contrast_stay_where_they_are_at_the_middle():
    brightness, contrast = light_changes(Augment(lighting_p=1.0), np.full((1, 4), 0.5))
    assert brightness == pytest.approx([0.5])
    assert contrast == pytest.approx([1.0])


def test_contrast_spreads_evenly_in_ratio():
    u = np.array([[0, 0.5, 0, 0.0], [0, 0.5, 0, 1.0]])
    _, contrast = light_changes(Augment(lighting=0.2, lighting_p=1.0), u)
    assert contrast == pytest.approx([1 / 0.8, 0.8])


def test_logit_light_is_the_formula():
    x = torch.full((1, 3, 2, 2), 0.3)
    u = np.array([[0.0, 1.0, 0.0, 0.25]])
    augment = Augment(lighting=0.2, lighting_p=1.0, lighting_space="logit")
    # brightness .6, contrast .8 ** -.5; sigmoid(c * logit(x) + logit(b))
    c, b = 0.8**-0.5, np.log(0.6 / 0.4)
    expected = 1 / (1 + np.exp(-(c * np.log(0.3 / 0.7) + b)))
    assert relight(x, augment, u).flatten()[0].item() == pytest.approx(expected, abs=1e-6)


def test_linear_light_keeps_pixels_in_range():
    x = torch.rand(4, 3, 8, 8)
    out = relight(x, Augment(lighting=0.9, lighting_p=1.0), uniforms(4, 4, "light"))
    assert 0 <= out.min() <= out.max() <= 1


def test_batches_after_an_interruption_are_those_without_one():
    images = [picture(40, 50, seed=n) for n in range(20)]
    pictures = TrainPictures(images, np.arange(20))
    stage = Stage(size=32, batch_size=4)
    row = make_plan(Recipe(stages=(stage,)), 20, 1).epochs[0]
    whole = list(pictures.batches(stage, row, 0, 0, NORM))
    same_batches(whole[3:], pictures.batches(stage, row, 0, 3, NORM))


def test_a_view_is_a_function_of_the_item_alone():
    together = view_draws(np.array([5, 9, 2]), 0, 1)
    assert (view_draws(np.array([9]), 0, 1)[0] == together[1]).all()


def test_batches_are_channels_last():
    images = [picture(40, 50, seed=n) for n in range(4)]
    stage = Stage(size=32, batch_size=4)
    row = make_plan(Recipe(stages=(stage,)), 4, 1).epochs[0]
    x, _ = next(TrainPictures(images, np.arange(4)).batches(stage, row, 0, 0, NORM))
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_a_canvas_holds_each_picture_in_its_corner():
    a, b = picture(3, 5), picture(4, 2, seed=1)
    canvas, shapes = gather([a, b])
    assert canvas.shape == (2, 4, 5, 3)
    assert (canvas[1, :4, :2].numpy() == b).all()
    assert shapes.tolist() == [[3, 5], [4, 2]]


def test_a_warp_reads_a_drawn_corner_within_half_a_pixel():
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[20:22, 30:32] = 255
    canvas, shapes = gather([image])
    tilt = geometry.perspective(np.array([[0.15, -0.1]]))
    matrices = geometry.box_matrices(frames.whole(shapes)) @ tilt
    out = warp(canvas, shapes, matrices, (64, 64), "zeros")[0, 0].numpy()
    y, x = (np.indices(out.shape) * out).sum(axis=(1, 2)) / out.sum() + 0.5
    there = np.linalg.inv(matrices[0]) @ [31, 21, 1]
    expected = (there[:2] / there[2] + 1) * 32
    assert [x, y] == pytest.approx(expected, abs=0.5)


def epoch_of(stage: Stage, n: int, epoch: int = 0):
    return make_plan(Recipe(stages=(stage,)), n, 1).epochs[epoch]


def ragged(n: int = 20) -> TrainPictures:
    return TrainPictures([picture(40 + i % 5, 60 - i % 7, seed=i) for i in range(n)], np.arange(n))


def test_batches_have_the_sizes_of_their_ramp():
    stage = Stage(size=48, epochs=1, batch_size=4, ramp_from=32, ramp_by="batch", ramp_multiple=8)
    row = epoch_of(stage, 20)
    sizes = [tuple(x.shape[-2:]) for x, _ in ragged().batches(stage, row, 0, 0, NORM)]
    assert sizes == [row.size_at(step) for step in range(5)]
    assert sizes[0] == (32, 32)
    assert sizes[-1] == (48, 48)


def test_a_batch_on_the_ramp_shows_what_a_stage_of_that_size_does():
    common = {"batch_size": 20, "epochs": 2}
    ramped = Stage(size=48, ramp_from=32, **common)
    plain = Stage(size=32, presize_px=ramped.stored_px, **common)
    found = [
        next(ragged().batches(stage, epoch_of(stage, 20), 0, 0, NORM))[0]
        for stage in (ramped, plain)
    ]
    assert torch.equal(*found)


def test_the_last_epochs_come_without_augmentation_and_framed_as_in_validation():
    stage = Stage(size=32, epochs=2, batch_size=20, augment_off_epochs=1)
    pictures = ragged()
    x, y = next(pictures.batches(stage, epoch_of(stage, 20, epoch=1), 0, 0, NORM))
    shown = [pictures.images[i] for i in y]
    assert torch.equal(x, NORM(random_pixels(shown, stage.still(), np.zeros((20, DRAWS)))))
    first, order_ = next(pictures.batches(stage, epoch_of(stage, 20), 0, 0, NORM))
    assert not torch.allclose(first[order_.argsort()], x[y.argsort()], atol=0.1)


def test_labels_of_two_targets_come_side_by_side():
    labels = np.stack([np.arange(20), np.arange(20) - 1], axis=1)
    pictures = TrainPictures(ragged().images, labels)
    stage = Stage(size=32, batch_size=8)
    y = torch.cat([y for _, y in pictures.batches(stage, epoch_of(stage, 20), 0, 0, NORM)])
    assert y.dtype == torch.int64
    assert sorted(y.tolist()) == labels.tolist()


def test_test_pictures_give_the_second_label_beside_the_first():
    images, second = np.zeros((3, 16, 16, 3), dtype=np.uint8), np.array([2, -1, 0])
    pictures = TestPictures(images, np.array([0, 1, 0]), np.arange(3), second)
    y = torch.cat([y for _, y in pictures.batches(2, NORM)])
    assert y.tolist() == [[0, 2], [1, -1], [0, 0]]


BUDGET = 10**9


@pytest.mark.parametrize("budget_bytes", [BUDGET, 0], ids=["kept", "staged"])
@pytest.mark.parametrize("shape", ["ragged", "even"])
def test_resident_pictures_give_the_same_batches_bit_for_bit(budget_bytes, shape):
    even = TrainPictures([picture(40, 40, seed=i) for i in range(20)], np.arange(20))
    pictures = ragged() if shape == "ragged" else even
    kept = resident(pictures, "cpu", budget_bytes)
    assert isinstance(kept.kept, Flat if budget_bytes else Staged)
    stage = Stage(size=32, batch_size=6, augment=Augment(rand_magnitude=9), sampling="weighted")
    row = epoch_of(stage, 20)
    same_batches(pictures.batches(stage, row, 0, 0, NORM), kept.batches(stage, row, 0, 0, NORM))


def test_a_resident_canvas_is_the_gathered_one():
    pictures, rows = ragged(), np.array([3, 17, 3, 8])
    canvas, shapes = resident(pictures, "cpu", BUDGET).canvas(rows)
    expected, expected_shapes = gather([pictures.images[row] for row in rows])
    assert torch.equal(canvas, expected)
    assert (shapes == expected_shapes).all()


def test_pictures_copied_in_many_chunks_are_whole(monkeypatch):
    monkeypatch.setattr("lab.vision.resident.CHUNK_BYTES", 20_000)  # about three pictures
    test_a_resident_canvas_is_the_gathered_one()


def test_resident_test_pictures_give_the_same_batches():
    images = np.stack([picture(24, 32, seed=i) for i in range(7)])
    pictures = TestPictures(images, np.arange(7), np.arange(7))
    kept = resident_tests(pictures, "cpu", BUDGET)
    assert kept.kept is not None
    same_batches(pictures.batches(3, NORM), kept.batches(3, NORM))


def test_test_pictures_beyond_the_budget_stay_where_they_are():
    pictures = TestPictures(picture(24, 32)[None], np.arange(1), np.arange(1))
    assert resident_tests(pictures, "cpu", 24 * 32 * 3 - 1) is pictures


@pytest.fixture(scope="module")
def two_targets(tmp_path_factory) -> RunData:
    """Leaves with disease and variety; the first ten have no variety."""
    changes = {"dataset": {**small_recipe().dump()["dataset"], "second_target": "variety"}}
    workspace = Workspace(tmp_path_factory.mktemp("two")).create()
    data = open_run_data(workspace, small_recipe(**changes))
    data.second[:10] = -1
    data.build()
    return data


def test_training_pictures_of_two_targets_have_both_labels(two_targets):
    data, pictures = two_targets, two_targets.train(0)
    items = data.dataset.items.iloc[pictures.images.items]
    assert [data.classes[c] for c in pictures.labels[:, 0]] == items["label:disease"].tolist()
    known = pictures.images.items >= 10
    names = [data.second_classes[c] for c in pictures.labels[known, 1]]
    assert names == items["label:variety"][known].tolist()
    assert (pictures.labels[~known, 1] == -1).all()


def test_validation_keeps_the_first_labels_and_carries_the_second(two_targets):
    for pictures in (two_targets.valid(0), two_targets.final()):
        assert (pictures.labels == two_targets.parts.labels[pictures.items]).all()
        assert (pictures.second == two_targets.second[pictures.items]).all()


@pytest.mark.parametrize("name", ["disease", "colour"])
def test_a_second_target_that_cannot_be_is_refused_in_words(two_targets, name):
    with pytest.raises(LabError, match="Use variety") as error:
        second_target(two_targets.dataset, name, first="disease")
    assert error.value.where == "dataset.second_target"


def test_resident_data_keep_one_train_store_and_let_go_of_the_last(two_targets):
    data = ResidentData(two_targets, "cpu", BUDGET)
    first = data.train(0)
    assert data.train(0).kept is first.kept
    assert data.train(1).kept is not first.kept
    assert data._train.images is two_targets.train(1).images


def test_resident_data_keep_the_tests_of_a_stage_and_the_final_ones(two_targets):
    data = ResidentData(two_targets, "cpu", BUDGET)
    own, final = data.valid(0), data.final()
    assert data.valid(0) is own
    assert data.final() is final
    assert data.valid(1) is final  # the last stage's own size is the final one


def test_training_pictures_come_before_test_pictures_in_the_budget(two_targets):
    train = sum(image.nbytes for image in two_targets.train(0).images)
    data = ResidentData(two_targets, "cpu", train)
    assert isinstance(data.train(0).kept, Flat)
    assert data.valid(0).kept is None
