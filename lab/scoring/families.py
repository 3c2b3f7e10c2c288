"""The views of test-time augmentation as pictures: by the training transform, flips, parts, sizes.

    found, note = make_views(loaded, "d4", 0, (128, 128))
    x = found[0].pixels(source, slice(0, 64))        # float32 (n, 3, h, w) in [0, 1]

A source gives the same pictures in two forms: as the exact test transform makes them at a size
(flips, quarter turns and sizes start from those), and as training keeps them (random views and
parts go through the one warp of training). Names are in lab/analysis/view_families.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from lab.analysis.view_families import CORNERS, FAMILIES, MIRRORED, RANDOM, SCALES, family_of
from lab.data.pixels import kept_pixels
from lab.data.transform import TestTransform
from lab.errors import LabError
from lab.recipe.stage import Stage
from lab.scoring.stages import LoadedStage
from lab.train.sizes import check_size
from lab.vision import frames, geometry
from lab.vision.loader import TestPictures, view_pixels
from lab.vision.rundata import RunData
from lab.vision.warp import gather, warp

Hw = tuple[int, int]
Pixels = Callable[["Source", slice], torch.Tensor]
PART = 0.875  # of each side at most: parts that are nearly the whole would all look alike
# Networks of patches take multiples of their patch; the nearest size that one takes is tried.
STEPS, NEAR, SMALLEST_PX = (16, 32, 14, 1), 0.1, 16
FLIP = "Flipped left-right"

# uint8 (n, h, w, 3) in, the same turned out. Those that swap height and width need a square.
_TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    FLIP: lambda x: x[:, :, ::-1],
    "Flipped up-down": lambda x: x[:, ::-1],
    "Turned by 180°": lambda x: x[:, ::-1, ::-1],
    "Turned by 90° to the left": lambda x: np.rot90(x, 1, axes=(1, 2)),
    "Turned by 90° to the right": lambda x: np.rot90(x, -1, axes=(1, 2)),
    "Mirrored at the falling diagonal": lambda x: x.transpose(0, 2, 1, 3),
    "Mirrored at the rising diagonal": lambda x: x[:, ::-1, ::-1].transpose(0, 2, 1, 3),
}
_FOR_ANY_SHAPE = 3  # of the turns above
_PLACES = dict(zip(CORNERS, ((0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5))))


class Source(Protocol):
    """Pictures that views are made of."""

    items: np.ndarray

    def exact(self, size: Hw, rows: slice) -> np.ndarray:
        """uint8 (n, height, width, 3) by the test transform at that size."""

    def kept(self, rows: slice) -> Sequence[np.ndarray]:
        """uint8 (h, w, 3) each, as training keeps them."""


@dataclass(frozen=True)
class View:
    """One view: its name, the size that the network gets, and how its pixels are made.

    `from_kept`: of pictures as training keeps them, not of exact test pictures.
    """

    title: str
    size: Hw
    pixels: Pixels
    from_kept: bool = False

    def prepare(self, source: Source) -> None:
        """Have the stores built that it reads, so that what follows is the network's time."""
        nothing = slice(0, 0)
        source.kept(nothing) if self.from_kept else source.exact(self.size, nothing)


class StoredPictures:
    """The validation part of a run, from its stores; those of other sizes are built when asked."""

    def __init__(
        self, opened: RunData, transform: TestTransform, stage: Stage, plain: TestPictures
    ):
        self.items = plain.items
        self._opened, self._transform = opened, transform
        self._tests = {plain.hw: plain}
        self._train = None
        self._stage = stage

    def exact(self, size: Hw, rows: slice) -> np.ndarray:
        if size not in self._tests:
            transform = replace(self._transform, height=size[0], width=size[1])
            found = self._opened.test_pictures(transform)
            if not np.array_equal(found.items, self.items):
                raise LabError("Some pictures cannot be read any more.", "Check the files.")
            self._tests[size] = found
        return np.asarray(self._tests[size].images[rows])

    def kept(self, rows: slice) -> Sequence[np.ndarray]:
        if self._train is None:
            self._train = self._opened.ragged("valid", self._stage)
        return self._train.gather(self._train.rows_of(self.items[rows]))


class OnePicture:
    """One upright RGB picture. `item` decides the random draws."""

    def __init__(self, image: Image.Image, transform: TestTransform, stage: Stage, item: int = 0):
        self.items = np.array([item])
        self._image, self._transform, self._stage = image, transform, stage

    def exact(self, size: Hw, rows: slice) -> np.ndarray:
        transform = replace(self._transform, height=size[0], width=size[1])
        return transform.apply(self._image)[None][rows]

    def kept(self, rows: slice) -> Sequence[np.ndarray]:
        return [kept_pixels(self._image, self._stage.stored_px)][rows]


def make_views(loaded: LoadedStage, family: str, count: int, size: Hw) -> tuple[list[View], str]:
    """The views of a family at a size, and what to know of them ('' for nothing).

    count: for random views only. Raises LabError for a family or a number that cannot be.
    """
    family_of(family)
    if family == RANDOM:
        return random_views(loaded, count, size)
    flips = [_turned(title, size) for title in FAMILIES["flips"].titles]
    if family == "flips":
        return flips, ""
    if family == "d4":
        square = size[0] == size[1]
        names = FAMILIES["d4"].titles[: None if square else _FOR_ANY_SHAPE]
        words = "" if square else "Pictures that are not square have no quarter turns."
        return [_turned(title, size) for title in names], words
    if family in ("five-crop", "ten-crop"):
        found = parts(loaded.transform(size))
        return found + _mirrored(found) * (family == "ten-crop"), ""
    found, words = sizes(loaded, size)
    return (found if family == "scales" else [*flips, *found, *_mirrored(found)]), words


def random_views(loaded: LoadedStage, count: int, size: Hw) -> tuple[list[View], str]:
    """So many through the stage's training transform; view v of an item is f(seed, v, item)."""
    if not 1 <= count <= 64:
        raise LabError(f"{count} views are asked for.", "Use 1 to 64.", where="views")
    stage, seed = viewing_stage(loaded, size), loaded.run.recipe().seed

    def pixels(view: int, source: Source, rows: slice) -> torch.Tensor:
        return view_pixels(source.kept(rows), stage, source.items[rows], seed, view)

    found = [View(f"View {v + 1}", size, partial(pixels, v), True) for v in range(count)]
    return found, note_on(stage)


def parts(transform: TestTransform) -> list[View]:
    """The corners and the middle, each PART of what fits, cut by the warp in one interpolation."""
    size = transform.height, transform.width
    share, squash = min(PART, transform.crop_pct), transform.resize == "squash"

    def pixels(place: tuple[float, float], source: Source, rows: slice) -> torch.Tensor:
        canvas, shapes = gather(source.kept(rows))
        boxes = part_boxes(shapes, size[1] / size[0], share, place, squash)
        return warp(canvas, shapes, geometry.box_matrices(boxes), size, "border")

    titles = FAMILIES["five-crop"].titles
    return [View(t, size, partial(pixels, at), True) for t, at in zip(titles, _PLACES.values())]


def part_boxes(
    shapes: np.ndarray, aspect: float, share: float, place: tuple[float, float], squash: bool
) -> np.ndarray:
    """`share` of the whole picture (squash) or of the largest box of that aspect, placed from
    (0, 0), the upper left corner of the picture, to (1, 1), the lower right: boxes (n, 4)."""
    middle = np.full((len(shapes), 2), 0.5)
    boxes = frames.whole(shapes) if squash else frames.cover(shapes, aspect, middle)
    sides = boxes[:, 2:] * share
    room = shapes[:, ::-1] - sides
    return np.concatenate([sides / 2 + room * np.array(place), sides], axis=1)


def sizes(loaded: LoadedStage, size: Hw) -> tuple[list[View], str]:
    """A smaller and a larger size through the exact test transform, where the network takes one."""
    found, missing = [], []
    for scale in SCALES:
        near = near_size(loaded, size, scale)
        if near is None:
            missing.append(f"{scale:g}")
            continue
        words = str(near[0]) if near[0] == near[1] else f"{near[0]}×{near[1]}"
        found.append(View(f"At {words} px", near, partial(_exact, near)))
    note = f"{loaded.network.spec.name} takes no size near {' or '.join(missing)} times this one."
    return found, note if missing else ""


def near_size(loaded: LoadedStage, size: Hw, scale: float) -> Hw | None:
    """The size nearest to `scale` times this one that the network takes; None without one."""
    for step in STEPS:
        near = tuple(round(side * scale / step) * step for side in size)
        far = max(abs(new - side * scale) / (side * scale) for new, side in zip(near, size))
        if far > NEAR or near == size or min(near) < SMALLEST_PX:
            continue
        try:
            check_size(loaded.network, loaded.network.spec.name, *near)
        except LabError:
            continue
        return near
    return None


def viewing_stage(loaded: LoadedStage, size: Hw) -> Stage:
    """The stage whose training transform makes the views, at the size that is scored."""
    stage = loaded.stage
    if stage.hw == size:
        return stage
    return stage.but(size=size[0] if size[0] == size[1] else list(size))


def note_on(stage: Stage) -> str:
    """What to know of views that cannot differ from each other; '' otherwise."""
    random = (stage.resize in ("crop", "pad") or stage.min_scale < 1) and stage.resize != "as-test"
    if random or stage.resize == "random-resized-crop" or not stage.augment.is_off:
        return ""
    return "This stage trains without random changes, so all its views are alike."


def unit(block: np.ndarray) -> torch.Tensor:
    """uint8 (n, h, w, 3) as float32 (n, 3, h, w) in [0, 1]."""
    return torch.from_numpy(np.array(block)).permute(0, 3, 1, 2).to(torch.float32) / 255


def _exact(size: Hw, source: Source, rows: slice) -> torch.Tensor:
    return unit(source.exact(size, rows))


def _turned(title: str, size: Hw) -> View:
    return View(title, size, lambda source, rows: unit(_TURNS[title](source.exact(size, rows))))


def _mirrored(found: Sequence[View]) -> list[View]:
    """The same views, left and right exchanged."""

    def pixels(view: View, source: Source, rows: slice) -> torch.Tensor:
        return view.pixels(source, rows).flip(3)

    return [replace(v, title=f"{v.title}{MIRRORED}", pixels=partial(pixels, v)) for v in found]
