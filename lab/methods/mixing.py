"""MixUp and CutMix: pictures and labels of a batch mixed with those of a partner in it.

    x, mixed = mix(x, y, stage.augment, mix_rng(seed, stage, epoch, step))
    loss = mixed_cross_entropy(model(x), mixed, smoothing) if mixed else cross_entropy(...)

Zhang et al. 2017 (arXiv 1710.09412), with fastai's one share an image; Yun et al. 2019
(arXiv 1905.04899).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lab.recipe.augment import Augment
from lab.vision.draws import MIX, generator
from lab.vision.resident import sent


@dataclass(frozen=True, eq=False)
class Mixed:
    """Both labels of each picture, and how much of it is the first's.

    first, second: int64 (n,), or (n, 2) with two targets; share: float32 (n,) in [0, 1].
    """

    first: torch.Tensor
    second: torch.Tensor
    share: torch.Tensor

    def part(self, rows: slice) -> Mixed:
        """Some rows of it: for a batch that is cut into parts."""
        return Mixed(self.first[rows], self.second[rows], self.share[rows])


def mix_rng(seed: int, stage: int, epoch: int, step: int) -> np.random.Generator:
    """The numbers of one step; `step` counts within the epoch."""
    return generator(MIX, seed, stage, epoch, step)


def mix(
    x: torch.Tensor, y: torch.Tensor, augment: Augment, rng: np.random.Generator
) -> tuple[torch.Tensor, Mixed | None]:
    """x float32 (n, 3, h, w) mixed, and its labels; x itself and None where both are off.

    With both, a step takes either, evenly. What was given is not changed. A picture may be its own
    partner.
    """
    if augment.mixup == 0 and augment.cutmix == 0:
        return x, None
    cut = augment.mixup == 0 or (augment.cutmix > 0 and rng.random() < 0.5)
    partners = sent(rng.permutation(len(x)), x.device)
    if cut:
        x, share = _cutmix(x, partners, augment.cutmix, rng)
    else:
        share = larger_shares(len(x), augment.mixup, rng)
        x = _mixup(x, partners, share)
    return x, Mixed(y, y[partners], sent(share, x.device))


def larger_shares(n: int, alpha: float, rng: np.random.Generator) -> np.ndarray:
    """max(s, 1 - s) of s ~ Beta(alpha, alpha): float32 (n,) in [0.5, 1].

    The larger share is the picture's own: else two of a pair could become the same mixture.
    """
    drawn = rng.beta(alpha, alpha, size=n)
    return np.maximum(drawn, 1 - drawn).astype(np.float32)


def rectangle(
    height: int, width: int, share: float, rng: np.random.Generator
) -> tuple[slice, slice]:
    """Rows and columns of a rectangle over 1 - share of the area, clipped where it sticks out.

    It has the picture's aspect; its middle lies anywhere, evenly.
    """
    side = np.sqrt(1 - share)
    spans = []
    for length in (height, width):
        cut, middle = int(length * side), int(rng.integers(length))
        first = middle - cut // 2
        spans.append(slice(max(0, first), min(length, first + cut)))
    return spans[0], spans[1]


def _mixup(x: torch.Tensor, partners: torch.Tensor, share: np.ndarray) -> torch.Tensor:
    own = sent(share, x.device).to(x.dtype).view(-1, 1, 1, 1)
    return torch.addcmul(x[partners] * (1 - own), x, own).contiguous(memory_format=_format(x))


def _cutmix(
    x: torch.Tensor, partners: torch.Tensor, alpha: float, rng: np.random.Generator
) -> tuple[torch.Tensor, np.ndarray]:
    """One rectangle for the whole batch; the share is what is really left of the picture."""
    height, width = x.shape[-2:]
    rows, columns = rectangle(height, width, float(rng.beta(alpha, alpha)), rng)
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
    out = x.clone()
    out[:, :, rows, columns] = x[:, :, rows, columns][partners]
    return out, np.full(len(x), 1 - pasted / (height * width), dtype=np.float32)


def _format(x: torch.Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
