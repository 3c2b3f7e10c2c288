"""Batches for the network from pictures in stores.

    TrainPictures(images, labels).batches(stage, row, seed, start, norm)   -> x, y per step
    TestPictures(images, labels, items).batches(batch, norm)              -> x, y, exact test pixels
    view_pixels(pictures, stage, items, seed, view)                       -> one random view each

x: float32 (n, 3, height, width), channels-last, normalised. y: int64 (n,), or (n, 2) where two
targets are learned, -1 where the second is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from lab.recipe.stage import Stage
from lab.schedules.plan import EpochRow
from lab.vision import geometry, lighting
from lab.vision.draws import VIEW, epoch_order, uniforms
from lab.vision.randaugment import rand_draws, rand_matrices, recolour
from lab.vision.resident import Kept, ahead, sent
from lab.vision.warp import gather, warp

DRAWS = geometry.DRAWS + lighting.DRAWS


@dataclass(frozen=True)
class Normalisation:
    """Channel means and deviations of pictures in [0, 1], and where batches go."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    device: str = "cpu"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = lighting.normalise(x, _channels(self.mean, x.device), _channels(self.std, x.device))
        return x.contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=16)
def _channels(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Kept: on a GPU, making a tensor of numbers waits for all that is queued."""
    return torch.tensor(values, device=device)


def stage_at(stage: Stage, row: EpochRow, step: int) -> Stage:
    """The stage as it is at a step of an epoch: the size on its ramp, augmented or not."""
    stage = stage.at(*row.size_at(step))
    return stage if row.augmented else stage.still()


@dataclass(frozen=True)
class TrainPictures:
    """Ragged uint8 pictures (h, w, 3) with labels int64 (n,) or (n, 2).

    `kept`: the same pictures where the network is; see resident.py.
    """

    images: Sequence[np.ndarray]
    labels: np.ndarray
    kept: Kept | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self, stage: Stage, row: EpochRow, seed: int, start: int, norm: Normalisation
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The steps of an epoch from step `start` on; the same, interrupted or not."""
        return ahead(self._batches(stage, row, seed, start, norm), norm.device)

    def _batches(
        self, stage: Stage, row: EpochRow, seed: int, start: int, norm: Normalisation
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        where = (seed, row.stage, row.epoch)
        sequence = epoch_order(stage, row, seed, self.labels)
        draws = uniforms(len(self), DRAWS, *where)
        rand = rand_draws(stage.augment, len(self), *where)
        for step in range(start, row.steps):
            at = slice(step * row.batch, min((step + 1) * row.batch, len(self)))
            picked, now = sequence[at], stage_at(stage, row, step)
            canvas, shapes = self.canvas(picked, norm.device)
            r = None if rand is None else rand[at]
            x = norm(random_canvas(canvas, shapes, now, draws[at], r))
            yield x, sent(self.labels[picked], norm.device)

    def canvas(self, rows: np.ndarray, device: str = "cpu") -> tuple[torch.Tensor, np.ndarray]:
        """Pictures of some rows on one canvas uint8 (n, H, W, 3), and their shapes (n, 2)."""
        if self.kept is not None:
            return self.kept.canvas(rows)
        canvas, shapes = gather([self.images[row] for row in rows])
        return canvas.to(device), shapes


def random_batch(
    pictures: Sequence[np.ndarray],
    stage: Stage,
    u: np.ndarray,
    norm: Normalisation,
    r: np.ndarray | None = None,
) -> torch.Tensor:
    """Pictures through the stage's random training transform. As `random_pixels`, normalised."""
    return norm(random_pixels(pictures, stage, u, norm.device, r))


def random_pixels(
    pictures: Sequence[np.ndarray],
    stage: Stage,
    u: np.ndarray,
    device: str = "cpu",
    r: np.ndarray | None = None,
) -> torch.Tensor:
    """The same before normalisation: float32 (n, 3, height, width) in [0, 1].

    u: (n, DRAWS) in [0, 1); r: RandAugment's `rand_draws`, None for none of it.
    """
    canvas, shapes = gather(pictures)
    return random_canvas(canvas.to(device), shapes, stage, u, r)


def random_canvas(
    canvas: torch.Tensor, shapes: np.ndarray, stage: Stage, u: np.ndarray, r: np.ndarray | None
) -> torch.Tensor:
    """The same from a canvas: one warp, RandAugment's colours, light."""
    matrices = geometry.warp_matrices(stage, shapes, u[:, : geometry.DRAWS])
    rand = r is not None and stage.augment.rand_magnitude > 0
    if rand:
        matrices = matrices @ rand_matrices(stage.augment, r, stage.hw[1] / stage.hw[0])
    x = warp(canvas, shapes, matrices, stage.hw, stage.pad_mode)
    if rand:
        x = recolour(x, stage.augment, r)
    return lighting.relight(x, stage.augment, u[:, geometry.DRAWS :])


def view_draws(items: np.ndarray, seed: int, view: int) -> np.ndarray:
    """The draws of one test-time view: a function of the item, not of its company. (n, DRAWS)."""
    return np.concatenate([uniforms(1, DRAWS, VIEW, seed, view, int(item)) for item in items])


def view_rand_draws(stage: Stage, items: np.ndarray, seed: int, view: int) -> np.ndarray | None:
    """The same for RandAugment; None where it is off."""
    if stage.augment.rand_magnitude == 0:
        return None
    where = [(VIEW, seed, view, int(item)) for item in items]
    return np.concatenate([rand_draws(stage.augment, 1, *key) for key in where])


def view_pixels(
    pictures: Sequence[np.ndarray], stage: Stage, items: np.ndarray, seed: int, view: int
) -> torch.Tensor:
    """View number `view` of each picture, as training would see it: float32 in [0, 1]."""
    u, r = view_draws(items, seed, view), view_rand_draws(stage, items, seed, view)
    return random_pixels(pictures, stage, u, r=r)


@dataclass(frozen=True)
class TestPictures:
    """Pictures as the exported test transform makes them: uint8 (n, height, width, 3).

    labels, second: int64 (n,), of the first and of the second target, where there is one (-1:
    missing). `kept`: the same pictures where the network is; see resident.py.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    images: np.ndarray
    labels: np.ndarray
    items: np.ndarray
    second: np.ndarray | None = None
    kept: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.items)

    @property
    def hw(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.images.shape[1]), int(self.images.shape[2])

    @property
    def targets(self) -> np.ndarray:
        """int64 (n,), or (n, 2) with a second target."""
        return self.labels if self.second is None else np.stack([self.labels, self.second], axis=1)

    def batches(
        self, batch: int, norm: Normalisation
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """In order, none left out. y stays in ordinary memory."""
        targets = torch.from_numpy(self.targets)
        for start in range(0, len(self), batch):
            part = slice(start, start + batch)
            if self.kept is not None:
                x = norm(_unit(self.kept[part]))
            else:  # a copy of the file's pages: torch wants memory that it may write to
                x = to_input(np.array(self.images[part]), norm)
            yield x, targets[part]


def to_input(block: np.ndarray, norm: Normalisation) -> torch.Tensor:
    """uint8 (n, h, w, 3) as the network takes it."""
    return norm(_unit(sent(block, norm.device)))


def _unit(block: torch.Tensor) -> torch.Tensor:
    """uint8 (n, h, w, 3) as float32 (n, 3, h, w) in [0, 1]."""
    return block.permute(0, 3, 1, 2).to(torch.float32) / 255
