"""RandAugment on batches: geometry as matrices for the one warp, colours as masked tensor ops.

    r = rand_draws(augment, n, *where)               # numbers of their own stream, None where off
    matrices = matrices @ rand_matrices(augment, r, aspect)
    x = recolour(x, augment, r)

Cubuk et al. 2019 (arXiv 1909.13719); ranges as in torchvision, magnitude 0..30. All geometry comes
before all colour, so that a picture is interpolated once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from lab.recipe.augment import Augment
from lab.vision.draws import RAND, uniforms
from lab.vision.geometry import turned
from lab.vision.resident import sent

FULL = 30.0  # the largest magnitude
SHEAR, TRANSLATE, ROTATE_DEG, FACTOR = 0.3, 150 / 331, 30.0, 0.9  # at the largest magnitude
FLAT = 0.5 / 255
LUMA = (0.299, 0.587, 0.114)  # of PIL's grey
GEOMETRIC = ("shear-x", "shear-y", "translate-x", "translate-y", "rotate")


def rand_draws(augment: Augment, n: int, *where: int | str) -> np.ndarray | None:
    """For n pictures and each of their operations: which, and its sign. None where it is off.

    float64 (n, rand_ops, 2) in [0, 1), from a stream of their own: the warp's draws stay.
    """
    if augment.rand_magnitude == 0:
        return None
    return uniforms(n, 2 * augment.rand_ops, *where, RAND).reshape(n, augment.rand_ops, 2)


def operations(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each picture's operations as numbers into GEOMETRIC + colours, and signs: (n, ops) both."""
    numbers = (r[..., 0] * (len(GEOMETRIC) + len(COLOURS))).astype(int)
    return numbers, np.where(r[..., 1] < 0.5, -1.0, 1.0)


def rand_matrices(augment: Augment, r: np.ndarray, aspect: float) -> np.ndarray:
    """All geometric operations of each picture, composed, on [-1, 1]: float64 (n, 3, 3).

    Output square -> framed picture. aspect: width / height of the output.
    """
    numbers, signs = operations(r)
    matrices = np.tile(np.eye(3), (len(r), 1, 1))
    for slot in range(r.shape[1]):
        strength = signs[:, slot] * augment.rand_magnitude / FULL
        for number, name in enumerate(GEOMETRIC):
            rows = np.flatnonzero(numbers[:, slot] == number)
            if len(rows):
                matrices[rows] = matrices[rows] @ _matrix(name, strength[rows], aspect)
    return matrices


def _matrix(name: str, strength: np.ndarray, aspect: float) -> np.ndarray:
    """One operation at strengths -1..1. A shear is of pixels: it keeps its angle on rectangles."""
    if name == "rotate":
        return turned(np.deg2rad(ROTATE_DEG) * strength, aspect)
    matrices = np.tile(np.eye(3), (len(strength), 1, 1))
    match name:
        case "shear-x":
            matrices[:, 0, 1] = SHEAR * strength / aspect
        case "shear-y":
            matrices[:, 1, 0] = SHEAR * strength * aspect
        case "translate-x":
            matrices[:, 0, 2] = 2 * TRANSLATE * strength
        case "translate-y":
            matrices[:, 1, 2] = 2 * TRANSLATE * strength
    return matrices


def recolour(x: torch.Tensor, augment: Augment, r: np.ndarray) -> torch.Tensor:
    """The colour operations of each picture in their order, in place: (n, 3, h, w) in [0, 1].

    A picture's rows are worked on by themselves, so its company makes no difference.
    """
    numbers, signs = operations(r)
    share = augment.rand_magnitude / FULL
    for slot in range(r.shape[1]):
        for number, change in enumerate(COLOURS, start=len(GEOMETRIC)):
            rows = np.flatnonzero(numbers[:, slot] == number)
            if len(rows):
                at = sent(rows, x.device)
                factors = sent(
                    (1 + FACTOR * share * signs[rows, slot]).astype(np.float32), x.device
                )
                x[at] = change(x[at], factors.view(-1, 1, 1, 1), share)
    return x


Change = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]


def brightness(x: torch.Tensor, factor: torch.Tensor, share: float) -> torch.Tensor:
    """Towards black or away from it. factor: (n, 1, 1, 1), 0.1 to 1.9; 1 changes nothing."""
    return (x * factor).clamp_(0, 1)


def contrast(x: torch.Tensor, factor: torch.Tensor, share: float) -> torch.Tensor:
    """Towards the picture's mean grey or away from it."""
    return _blend(grey(x).mean(dim=(1, 2, 3), keepdim=True), x, factor)


def colour(x: torch.Tensor, factor: torch.Tensor, share: float) -> torch.Tensor:
    """Towards grey or away from it."""
    return _blend(grey(x), x, factor)


def sharpness(x: torch.Tensor, factor: torch.Tensor, share: float) -> torch.Tensor:
    """Towards PIL's smoothed picture (neighbours 1, centre 5, of 13) or away; edges stay."""
    if min(x.shape[-2:]) < 3:
        return x
    smooth = x.clone()
    inner = x[..., 1:-1, 1:-1]
    smooth[..., 1:-1, 1:-1] = (F.avg_pool2d(x, 3, stride=1) * 9 + inner * 4) / 13
    return _blend(smooth, x, factor)


def posterize(x: torch.Tensor, factor: torch.Tensor, share: float) -> torch.Tensor:
    """Keep the upper bits of each of the 256 levels: 8 at no strength, 4 at the largest."""
    step = 2 ** int(4 * share + 0.5)
    return torch.floor(levels(x) / step) * (step / 255)


def solarize(x: torch.Tensor, factor: torch.Tensor, share: float) -> torch.Tensor:
    """Invert what is at least as bright as 1 - share."""
    return torch.where(x >= 1 - share, 1 - x, x)


def autocontrast(x: torch.Tensor, factor: torch.Tensor, share: float) -> torch.Tensor:
    """Stretch each channel to [0, 1]; one that spans less than half a grey level stays.

    A warped flat picture has rounding noise of 1e-7: that must not be stretched.
    """
    low, high = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    return torch.where(high - low > FLAT, (x - low) / (high - low).clamp_min(FLAT), x)


def equalize(x: torch.Tensor, factor: torch.Tensor, share: float) -> torch.Tensor:
    """Spread each channel's 256 levels evenly, by PIL's table; a channel of one level stays."""
    flat = levels(x).flatten(0, 1).flatten(1).long()  # (n * 3, h * w)
    counts = torch.zeros(len(flat), 256, dtype=torch.long, device=x.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    highest = (counts > 0).long().mul_(torch.arange(256, device=x.device)).argmax(dim=1)
    last = counts.gather(1, highest[:, None])
    step = torch.div(flat.shape[1] - last, 255, rounding_mode="floor")
    below = counts.cumsum(dim=1) - counts
    table = torch.div(below + step // 2, step.clamp_min(1), rounding_mode="floor").clamp_(0, 255)
    table = torch.where(step > 0, table, torch.arange(256, device=x.device))
    return (table.gather(1, flat).to(x.dtype) / 255).view(x.shape)


def identity(x: torch.Tensor, factor: torch.Tensor, share: float) -> torch.Tensor:
    """The picture as it is: one of the paper's operations."""
    return x


COLOURS: tuple[Change, ...] = (
    brightness, contrast, colour, sharpness, posterize, solarize, autocontrast, equalize, identity,
)  # fmt: skip


def grey(x: torch.Tensor) -> torch.Tensor:
    """Luma of (n, 3, h, w): (n, 1, h, w)."""
    red, green, blue = x.unbind(dim=1)
    return (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]).unsqueeze(1)


def levels(x: torch.Tensor) -> torch.Tensor:
    """The nearest of the 256 levels of a picture in [0, 1], as floats."""
    return torch.floor(x * 255 + 0.5)


def _blend(away_from: torch.Tensor, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return (away_from + (x - away_from) * factor).clamp_(0, 1)
