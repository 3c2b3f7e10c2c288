"""RandAugment against PIL's and torchvision's own operations, and its independence of company."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as TF

from lab.recipe import Recipe
from lab.recipe.augment import Augment
from lab.recipe.stage import Stage
from lab.schedules.plan import make_plan
from lab.vision import randaugment
from lab.vision.draws import uniforms
from lab.vision.loader import DRAWS, Normalisation, TrainPictures, random_pixels, view_pixels
from lab.vision.randaugment import COLOURS, GEOMETRIC, operations, rand_draws, rand_matrices

NORM = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
NAMES = [*GEOMETRIC, *(change.__name__ for change in COLOURS)]
STILL = Augment.off()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth blobs with some noise: unlike pure noise it has dark, light and grey parts."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=int)
    noisy = smooth + rng.integers(-12, 13, smooth.shape)
    return np.clip(noisy * 0.7 + 20, 0, 255).astype(np.uint8)


def unit(image: np.ndarray) -> torch.Tensor:
    """uint8 (h, w, 3) as float32 (1, 3, h, w) in [0, 1]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255


def chosen(*names: str, sign: float = 1.0) -> np.ndarray:
    """Draws that choose these operations for one picture: (1, ops, 2)."""
    u = [[(NAMES.index(name) + 0.5) / len(NAMES), 0.75 if sign > 0 else 0.25] for name in names]
    return np.array([u])


def changed(name: str, image: np.ndarray, magnitude: float, sign: float = 1.0) -> torch.Tensor:
    augment = Augment(rand_magnitude=magnitude, rand_ops=1)
    return randaugment.recolour(unit(image), augment, chosen(name, sign=sign))


def grey_levels(x: torch.Tensor) -> np.ndarray:
    return (x[0].permute(1, 2, 0) * 255).round().numpy().astype(int)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("brightness", TF.adjust_brightness),
        ("contrast", TF.adjust_contrast),
        ("colour", TF.adjust_saturation),
        ("sharpness", TF.adjust_sharpness),
    ],
)
def test_a_blend_is_torchvisions_at_the_same_factor(name, reference, sign):
    image = picture(40, 50)
    # magnitude 20 of 30: a factor of 1 + 0.9 * 2 / 3 = 1.6, or 0.4
    expected = reference(unit(image), 1 + 0.6 * sign)
    assert torch.allclose(changed(name, image, 20, sign), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "magnitude", "reference"),
    [
        ("posterize", 30, lambda image: ImageOps.posterize(image, 4)),
        ("posterize", 15, lambda image: ImageOps.posterize(image, 6)),
        ("posterize", 1, lambda image: image),
        ("solarize", 15, lambda image: ImageOps.solarize(image, 128)),
        ("solarize", 30, ImageOps.invert),
        ("equalize", 1, ImageOps.equalize),
        ("identity", 30, lambda image: image),
    ],
)
def test_a_table_of_levels_is_pils(name, magnitude, reference):
    image = picture(40, 50)
    expected = np.asarray(reference(Image.fromarray(image)), dtype=int)
    assert (grey_levels(changed(name, image, magnitude)) == expected).all()


def test_autocontrast_is_pils_to_a_level():
    image = picture(40, 50)
    expected = np.asarray(ImageOps.autocontrast(Image.fromarray(image)), dtype=int)
    assert np.abs(grey_levels(changed("autocontrast", image, 9)) - expected).max() <= 1


@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
def test_a_flat_picture_stays_flat(name):
    image = np.full((40, 50, 3), 77, dtype=np.uint8)
    stage = Stage(size=24, augment=STILL.but(rand_magnitude=9, rand_ops=1))
    x = random_pixels([image], stage, np.full((1, DRAWS), 0.4), r=chosen(name))
    assert (x * 255).numpy() == pytest.approx(77, abs=0.01)


@pytest.mark.parametrize(
    ("name", "point", "moved"),
    [
        # On 64 x 32 pixels the half width is 32 and the half height 16 pixels.
        ("shear-x", (0, 1), (0.15, 1)),  # 16 px down: 0.3 * 16 = 4.8 px aside
        ("shear-y", (1, 0), (1, 0.6)),  # 32 px right: 0.3 * 32 = 9.6 px down
        ("translate-x", (0, 0), (300 / 331, 0)),  # 150 / 331 of the whole width
        ("translate-y", (0, 0), (0, 300 / 331)),
        ("rotate", (0, 1), (-0.5 * 16 / 32, 0.75**0.5)),  # 30 degrees
    ],
)
def test_geometry_at_full_magnitude_moves_points_by_its_range(name, point, moved):
    matrices = rand_matrices(Augment(rand_magnitude=30, rand_ops=1), chosen(name), aspect=2.0)
    assert matrices[0] @ [*point, 1] == pytest.approx([*moved, 1])


def test_the_later_of_two_moves_is_looked_through_first():
    # Shown is the shear of the shifted picture: a point goes through the shear, then the shift.
    matrices = rand_matrices(Augment(rand_magnitude=30), chosen("translate-x", "shear-y"), 1.0)
    assert matrices[0] @ [0, 1, 1] == pytest.approx([300 / 331, 1, 1])


def test_a_shift_moves_the_picture_in_its_one_warp():
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[:, 40:] = 255  # light from column 40 on
    stage = Stage(size=64, resize="squish", augment=STILL.but(rand_magnitude=6.62, rand_ops=1))
    x = random_pixels([image], stage, np.full((1, DRAWS), 0.5), r=chosen("translate-x"))
    # 6.62 / 30 * 150 / 331 = 0.1 of the width: 6.4 px to the left
    assert (64 - x[0, 0].sum(dim=1)).numpy() == pytest.approx(40 - 6.4, abs=0.05)


def test_no_magnitude_means_no_draws():
    assert rand_draws(Augment(rand_magnitude=0), 5, 0, 0, 0) is None


def test_its_draws_leave_the_other_random_changes_as_they_are():
    image, u = picture(50, 60), uniforms(1, DRAWS, "other")
    plain = Augment(lighting=0)
    stages = [Stage(size=32, augment=a) for a in (plain, plain.but(rand_magnitude=9, rand_ops=1))]
    before = random_pixels([image], stages[0], u)
    assert torch.equal(random_pixels([image], stages[1], u, r=chosen("identity")), before)


def test_every_operation_is_as_likely_as_any_other():
    numbers, _ = operations(rand_draws(Augment(rand_magnitude=1, rand_ops=2), 7000, 0))
    counts = np.bincount(numbers.ravel(), minlength=14)
    assert len(counts) == 14
    assert np.abs(counts - 1000).max() < 150  # five standard deviations


def test_half_of_the_signs_are_negative():
    _, signs = operations(rand_draws(Augment(rand_magnitude=1, rand_ops=2), 7000, 0))
    assert abs((signs < 0).mean() - 0.5) < 0.02


@pytest.mark.parametrize("magnitude", [1, 9, 30])
def test_pixels_stay_in_range(magnitude):
    stage = Stage(size=32, augment=Augment(rand_magnitude=magnitude, rand_ops=3))
    images = [picture(44, 52, seed) for seed in range(40)]
    r = rand_draws(stage.augment, 40, "range")
    x = random_pixels(images, stage, uniforms(40, DRAWS, "range"), r=r)
    assert 0 <= x.min() <= x.max() <= 1


def test_what_a_picture_becomes_does_not_depend_on_its_company():
    # Canvases of other extents round a point's place by 1e-5: a pixel may cross a threshold.
    images = [picture(40 + 5 * seed, 90 - 4 * seed, seed) for seed in range(12)]
    stage = Stage(size=32, augment=Augment(rand_magnitude=15, rand_ops=3))
    u, r = uniforms(12, DRAWS, "company"), rand_draws(stage.augment, 12, "company")
    together = random_pixels(images, stage, u, r=r)
    rows = [slice(i, i + 1) for i in range(12)]
    alone = torch.cat([random_pixels(images[at], stage, u[at], r=r[at]) for at in rows])
    assert ((together - alone).abs() > 1e-4).float().mean() < 1e-3


def test_a_view_is_the_same_alone_and_in_company():
    images = [picture(48, 60, seed) for seed in range(6)]
    stage = Stage(size=32, augment=Augment(rand_magnitude=12))
    together = view_pixels(images, stage, np.arange(6), seed=3, view=1)
    alone = view_pixels(images[4:5], stage, np.array([4]), seed=3, view=1)
    assert torch.allclose(together[4:5], alone, atol=1e-5)


def test_views_differ_where_only_randaugment_is_on():
    stage = Stage(size=32, resize="squish", augment=STILL.but(rand_magnitude=12))
    images, items = [picture(48, 60, seed) for seed in range(6)], np.arange(6)
    views = [view_pixels(images, stage, items, seed=3, view=view) for view in (0, 1)]
    assert not torch.allclose(*views, atol=0.05)


def test_batches_after_an_interruption_are_those_without_one():
    pictures = TrainPictures([picture(40, 50, seed) for seed in range(20)], np.arange(20))
    stage = Stage(size=32, batch_size=4, augment=Augment(rand_magnitude=9))
    row = make_plan(Recipe(stages=(stage,)), 20, 1).epochs[0]
    whole = list(pictures.batches(stage, row, 0, 0, NORM))
    rest = list(pictures.batches(stage, row, 0, 3, NORM))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[3:], rest, strict=True))
