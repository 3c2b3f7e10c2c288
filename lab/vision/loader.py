"""Batches for the network from pictures in stores.

    TrainPictures(images, labels).batches(stage, row, seed, start, norm)   -> x, y per step
    TestPictures(images, labels, items).batches(batch, norm)              -> x, y, exact test pixels
    view_batch(images, stage, items, seed, view, norm)                     -> one random view each

x: float32 (n, 3, height, width), channels-last, normalised. y: int64 (n,).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lab.recipe.stage import Stage
from lab.schedules.plan import EpochRow
from lab.vision import geometry, lighting
from lab.vision.draws import VIEW, order, uniforms
from lab.vision.warp import gather, warp

DRAWS = geometry.DRAWS + lighting.DRAWS


@dataclass(frozen=True)
class Normalisation:
    """Channel means and deviations of pictures in [0, 1], and where batches go."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    device: str = "cpu"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        mean = torch.tensor(self.mean, device=x.device)
        std = torch.tensor(self.std, device=x.device)
        x = lighting.normalise(x, mean, std)
        return x.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class TrainPictures:
    """Ragged uint8 pictures (h, w, 3) with labels int64 (n,)."""

    images: Sequence[np.ndarray]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self, stage: Stage, row: EpochRow, seed: int, start: int, norm: Normalisation
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The steps of an epoch from step `start` on; the same, interrupted or not."""
        where = (seed, row.stage, row.epoch)
        sequence = order(*where, len(self))
        draws = uniforms(len(self), DRAWS, *where)
        for step in range(start, row.steps):
            at = slice(step * row.batch, min((step + 1) * row.batch, len(self)))
            picked = sequence[at]
            x = random_batch([self.images[i] for i in picked], stage, draws[at], norm)
            yield x, torch.from_numpy(self.labels[picked]).to(norm.device)


def random_batch(
    pictures: Sequence[np.ndarray], stage: Stage, u: np.ndarray, norm: Normalisation
) -> torch.Tensor:
    """Pictures through the stage's random training transform. u: (n, DRAWS) in [0, 1)."""
    return norm(random_pixels(pictures, stage, u, norm.device))


def random_pixels(
    pictures: Sequence[np.ndarray], stage: Stage, u: np.ndarray, device: str = "cpu"
) -> torch.Tensor:
    """The same before normalisation: float32 (n, 3, height, width) in [0, 1]."""
    canvas, shapes = gather(pictures)
    matrices = geometry.warp_matrices(stage, shapes, u[:, : geometry.DRAWS])
    x = warp(canvas.to(device), shapes, matrices, stage.hw, stage.pad_mode)
    return lighting.relight(x, stage.augment, u[:, geometry.DRAWS :])


def view_draws(items: np.ndarray, seed: int, view: int) -> np.ndarray:
    """The draws of one test-time view: a function of the item, not of its company. (n, DRAWS)."""
    return np.concatenate([uniforms(1, DRAWS, VIEW, seed, view, int(item)) for item in items])


def view_pixels(
    pictures: Sequence[np.ndarray], stage: Stage, items: np.ndarray, seed: int, view: int
) -> torch.Tensor:
    """View number `view` of each picture, as training would see it: float32 in [0, 1]."""
    return random_pixels(pictures, stage, view_draws(items, seed, view))


@dataclass(frozen=True)
class TestPictures:
    """Pictures as the exported test transform makes them: uint8 (n, height, width, 3)."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    images: np.ndarray
    labels: np.ndarray
    items: np.ndarray

    def __len__(self) -> int:
        return len(self.items)

    @property
    def hw(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.images.shape[1]), int(self.images.shape[2])

    def batches(
        self, batch: int, norm: Normalisation
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """In order, none left out."""
        for start in range(0, len(self), batch):
            block = np.array(self.images[start : start + batch])  # a copy: torch wants it writable
            yield to_input(block, norm), torch.from_numpy(self.labels[start : start + batch])


def to_input(block: np.ndarray, norm: Normalisation) -> torch.Tensor:
    """uint8 (n, h, w, 3) as the network takes it."""
    x = torch.from_numpy(block).to(norm.device).permute(0, 3, 1, 2).to(torch.float32) / 255
    return norm(x)
