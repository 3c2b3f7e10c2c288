"""One picture through every stage of a run, and what a stage's weights say of it at any size.

for seen in stages_seen(run, image, draws=2, roll=0):
    seen.test, seen.train             # uint8 pictures, as validation and as training show it
    seen.quads, seen.test_quad        # where those lie on the picture, as shares of its sides
answer_at(loaded, image, (160, 160))  # {"probs", "pixels"}, or {"refused", "fix"}
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from lab.analysis.apparent import Apparent, apparent, corners, matched_side, quad_areas
from lab.analysis.apparent import times_larger as larger
from lab.data.pixels import LONGEST, kept_pixels
from lab.data.transform import TestTransform
from lab.errors import LabError
from lab.recipe import Recipe
from lab.recipe.stage import Stage
from lab.runs.folder import RunFolder
from lab.scoring.stages import LoadedStage, transform_of
from lab.train.model import IMAGENET
from lab.train.sizes import check_size
from lab.vision.draws import uniforms
from lab.vision.geometry import DRAWS as WARP_DRAWS
from lab.vision.geometry import box_matrices, test_boxes, warp_matrices
from lab.vision.loader import DRAWS, random_pixels, to_input
from lab.vision.randaugment import rand_draws, rand_matrices
from lab.vision.transforms import final_transform, test_transform

COUNTED, DRAWN = 2000, 60  # draws that the sizes are counted over; of those, drawn on the picture
Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class StageSeen:
    """A picture as one stage shows it. Quadrangles: corners x, y as shares of width and height."""

    stage: int
    size: Pair
    final_size: Pair
    test: np.ndarray  # uint8 (h, w, 3)
    train: list[np.ndarray]
    test_quad: np.ndarray  # (4, 2)
    final_quad: np.ndarray
    quads: np.ndarray  # (DRAWN, 4, 2)
    larger: np.ndarray  # (DRAWN,): how many times larger things look than at test
    own: Apparent  # training against the stage's own test transform
    final: Apparent  # against that of the final scores
    formula_px: float  # the test side that matches, for a square picture
    formula_final_px: float


def stages_seen(run: RunFolder, image: Image.Image, draws: int, roll: int) -> Iterator[StageSeen]:
    """Stage by stage. Another `roll` gives other random training pictures."""
    recipe = run.recipe()
    tests, final = test_transforms(run, recipe)
    for number, stage in enumerate(recipe.stages):
        yield _seen(recipe, number, trained(stage), tests[number], final, image, draws, roll)


def test_transforms(run: RunFolder, recipe: Recipe) -> tuple[list[TestTransform], TestTransform]:
    """Of each stage at its own size, and the final one: as scored, where a stage is finished."""
    scored = {number: run.scores(number) for number in run.finished_stages()}
    model = next((info["model"] for info in scored.values()), {})
    mean = tuple(model.get("mean", IMAGENET[0]))
    interpolation = model.get("interpolation", "bicubic")
    tests = [
        transform_of(scored[number]["transform"])
        if number in scored
        else test_transform(stage, mean, interpolation)
        for number, stage in enumerate(recipe.stages)
    ]
    last = [transform_of(info["final_transform"]) for info in scored.values()]
    return tests, last[-1] if last else final_transform(recipe, mean, interpolation)


test_transforms.__test__ = False  # no test, whatever pytest thinks of the name


def trained(stage: Stage) -> Stage:
    """The stage as its pictures are really shown: cached activations without views are plain."""
    plain = stage.cached_activations and not stage.cached_views
    return stage.still() if plain else stage


def _seen(
    recipe: Recipe, number: int, stage: Stage, test: TestTransform, final: TestTransform,
    image: Image.Image, draws: int, roll: int,
) -> StageSeen:  # fmt: skip
    kept = kept_pixels(image, stage.stored_px)
    where = ("preview", recipe.seed, roll, number)
    u, rand = uniforms(COUNTED, DRAWS, *where), rand_draws(stage.augment, COUNTED, *where)
    quads = train_quads(stage, kept.shape[:2], (image.height, image.width), u, rand)
    test_quad, final_quad = (
        test_quads(stage, transform, image.height, image.width) for transform in (test, final)
    )
    areas, own_hw, final_hw = quad_areas(quads), _hw(test), _hw(final)
    test_area, final_area = (float(quad_areas(quad[None])[0]) for quad in (test_quad, final_quad))
    x = random_pixels([kept] * draws, stage, u[:draws], r=None if rand is None else rand[:draws])
    train = (x.permute(0, 2, 3, 1).numpy() * 255).round().clip(0, 255).astype(np.uint8)
    return StageSeen(
        stage=number, size=own_hw, final_size=final_hw,
        test=test.apply(image), train=list(train),
        test_quad=test_quad, final_quad=final_quad, quads=quads[:DRAWN],
        larger=larger(areas[:DRAWN], stage.hw, test_area, own_hw),
        own=apparent(areas, stage.hw, test_area, own_hw),
        final=apparent(areas, stage.hw, final_area, final_hw),
        formula_px=matched_side(stage, test.crop_pct),
        formula_final_px=matched_side(stage, final.crop_pct),
    )  # fmt: skip


def train_quads(
    stage: Stage, kept: Pair, original: Pair, u: np.ndarray, rand: np.ndarray | None
) -> np.ndarray:
    """What each draw shows of the picture: corners (n, 4, 2) as shares of its width and height.

    kept, original: (height, width) of the stored picture and of its file. Stored pictures longer
    than 4:1 have lost their ends.
    """
    matrices = warp_matrices(stage, np.tile(kept, (len(u), 1)), u[:, :WARP_DRAWS])
    if rand is not None and stage.augment.rand_magnitude > 0:
        matrices = matrices @ rand_matrices(stage.augment, rand, stage.hw[1] / stage.hw[0])
    height, width = original
    longest = LONGEST * min(original)
    share = np.array([min(width, longest) / width, min(height, longest) / height])
    return (corners(matrices) / np.array([kept[1], kept[0]]) - 0.5) * share + 0.5


def test_quads(stage: Stage, transform: TestTransform, height: int, width: int) -> np.ndarray:
    """What a test transform frames of a picture: corners (4, 2) as shares of its sides."""
    framing = stage.but(
        size=_hw(transform), valid_resize=transform.resize, valid_crop_pct=transform.crop_pct
    )
    boxes = test_boxes(framing, np.array([[height, width]]))
    return corners(box_matrices(boxes))[0] / np.array([width, height])


test_quads.__test__ = False


def answer_at(loaded: LoadedStage, image: Image.Image, size: Pair) -> dict[str, Any]:
    """Probabilities (classes,) of a picture at a test size, and the pixels that were shown.

    Exact test transform, fp32: what `evaluate` counts. `refused` where the network takes no such
    size.
    """
    try:
        check_size(loaded.network, loaded.network.spec.name, *size)
    except LabError as error:
        return {"refused": error.what, "fix": error.fix}
    pixels = loaded.transform(size).apply(image)
    return {"probs": loaded.softmax(to_input(pixels[None], loaded.norm))[0], "pixels": pixels}


def shown_at(image: Image.Image, longest_px: int) -> Image.Image:
    """The picture small enough for a page, aspect kept."""
    scale = min(1.0, longest_px / max(image.size))
    sides = [max(1, math.floor(side * scale + 0.5)) for side in image.size]
    return image if scale == 1 else image.resize((sides[0], sides[1]), Image.Resampling.HAMMING)


def _hw(transform: TestTransform) -> Pair:
    return transform.height, transform.width
