"""The batch path against known geometry: frames, the one warp, light, draws."""

import numpy as np
import pytest
import torch

from lab.recipe import Recipe
from lab.recipe.stage import Augment, Stage
from lab.schedules.plan import make_plan
from lab.vision import frames, geometry
from lab.vision.draws import order, uniforms
from lab.vision.lighting import light_changes, relight
from lab.vision.loader import DRAWS, Normalisation, TrainPictures, random_pixels, view_draws
from lab.vision.warp import gather, oversampling, warp

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


def test_an_epochs_order_is_a_permutation():
    assert sorted(order(0, 1, 2, 100)) == list(range(100))


def test_another_epoch_has_another_order():
    assert (order(0, 0, 0, 100) != order(0, 0, 1, 100)).any()


def test_batches_after_an_interruption_are_those_without_one():
    images = [picture(40, 50, seed=n) for n in range(20)]
    pictures = TrainPictures(images, np.arange(20))
    stage = Stage(size=32, batch_size=4)
    row = make_plan(Recipe(stages=(stage,)), 20, 1).epochs[0]
    whole = list(pictures.batches(stage, row, 0, 0, NORM))
    rest = list(pictures.batches(stage, row, 0, 3, NORM))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(whole[3:], rest))


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
