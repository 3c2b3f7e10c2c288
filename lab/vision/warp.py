"""One interpolation from stored pictures to a batch: ragged uint8 in, float in [0, 1] out.

    canvas, shapes = gather(pictures)                       # uint8 (n, H, W, 3), zero-filled
    x = warp(canvas, shapes, matrices, (128, 128), "reflection")

Bilinear. Where a picture shrinks by more than 1.5, the warp is sampled more finely and averaged, so
that nothing aliases.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from lab.vision.resident import sent

MAX_SHRINK, MAX_OVERSAMPLE = 1.5, 4


def gather(pictures: Sequence[np.ndarray]) -> tuple[torch.Tensor, np.ndarray]:
    """Pictures uint8 (h, w, 3) in one zero-filled canvas; shapes (n, 2): height, width."""
    shapes = np.array([picture.shape[:2] for picture in pictures])
    height, width = shapes.max(axis=0)
    canvas = np.zeros((len(pictures), height, width, 3), dtype=np.uint8)
    for row, picture in enumerate(pictures):
        canvas[row, : picture.shape[0], : picture.shape[1]] = picture
    return torch.from_numpy(canvas), shapes


def warp(
    canvas: torch.Tensor,
    shapes: np.ndarray,
    matrices: np.ndarray,
    size: tuple[int, int],
    pad_mode: str,
) -> torch.Tensor:
    """Sample each picture through its matrix: float32 (n, 3, height, width) in [0, 1].

    matrices: (n, 3, 3), output [-1, 1] -> picture pixels. pad_mode (zeros | border | reflection)
    fills what lies outside the picture. What a picture becomes does not depend on its company.
    """
    finer = oversampling(matrices, size)
    kinds = np.unique(finer)
    if len(kinds) == 1:
        return _sampled(canvas, shapes, matrices, size, pad_mode, int(kinds[0]))
    out = torch.empty(len(canvas), 3, *size, device=canvas.device)
    for kind in kinds:
        rows = np.flatnonzero(finer == kind)
        at = sent(rows, canvas.device)
        part = (canvas[at], shapes[rows], matrices[rows])
        out[at] = _sampled(*part, size, pad_mode, int(kind))
    return out


def _sampled(
    canvas: torch.Tensor,
    shapes: np.ndarray,
    matrices: np.ndarray,
    size: tuple[int, int],
    pad_mode: str,
    finer: int,
) -> torch.Tensor:
    """Pictures that are sampled equally finely."""
    points = _points(matrices, (size[0] * finer, size[1] * finer), canvas.device)
    picture = sent(shapes[:, None, None, ::-1].astype(np.float32), canvas.device)
    inside, points = _fold(points, picture, pad_mode, near=_lies_near(matrices, shapes))
    pixels = canvas.permute(0, 3, 1, 2).to(torch.float32)
    extent = sent(np.array([canvas.shape[2], canvas.shape[1]]), canvas.device)
    grid = points.mul_(2 / extent).sub_(1)
    out = F.grid_sample(pixels, grid, "bilinear", "border", align_corners=False)
    if inside is not None:
        out = out * inside[:, None]
    if finer > 1:
        out = F.avg_pool2d(out, finer)
    return out * (1 / 255)


def oversampling(matrices: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How many times finer to sample each picture so that neighbours lie at most 1.5 pixels apart.

    int (n,), 1 to 4.
    """
    step_x = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0]) * 2 / size[1]
    step_y = np.hypot(matrices[:, 0, 1], matrices[:, 1, 1]) * 2 / size[0]
    shrink = np.maximum(step_x, step_y)
    return np.clip(np.ceil(shrink / MAX_SHRINK), 1, MAX_OVERSAMPLE).astype(int)


def _points(matrices: np.ndarray, size: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Where each output pixel's centre lies in its picture: float32 (n, height, width, 2) x, y."""
    height, width = size
    x = (torch.arange(width, device=device) + 0.5) * (2 / width) - 1
    y = (torch.arange(height, device=device) + 0.5) * (2 / height) - 1
    m = sent(matrices.astype(np.float32), device)[:, :, :, None, None]
    across, down = x[None, None, :], y[None, :, None]
    # Each sum below is one pass over (n, height, width): the rest is as small as a row or a column.
    points = torch.empty(len(matrices), height, width, 2, device=device)
    for axis in range(2):
        torch.add(
            m[:, axis, 0] * across + m[:, axis, 2], m[:, axis, 1] * down, out=points[..., axis]
        )
    if (matrices[:, 2, :2] != 0).any():  # perspective
        depth = (m[:, 2, 0] * across + m[:, 2, 2]) + m[:, 2, 1] * down
        points.div_(depth[..., None])
    return points


def _lies_near(matrices: np.ndarray, shapes: np.ndarray) -> bool:
    """Whether all points lie less than a picture beyond the pictures' edges: then each is reflected
    once at most. A homography keeps the corners' quadrangle, so the corners decide."""
    corners = np.array([[-1, -1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, 1]], dtype=float)
    seen = corners @ matrices.transpose(0, 2, 1)
    if (seen[..., 2] <= 0).any():
        return False
    seen, size = seen[..., :2] / seen[..., 2:], shapes[:, None, ::-1]
    return bool(((seen > -size) & (seen < 2 * size)).all())


def _fold(
    points: torch.Tensor, picture: torch.Tensor, pad_mode: str, near: bool
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Bring points back into the picture; for zeros, also which lay inside."""
    inside = None
    if pad_mode == "reflection":
        points, whole = points.abs_(), 2 * picture
        if not near:
            # points % whole, which on a CPU is a scalar fmod: a quarter of the batch path's time.
            points = torch.addcmul(points, (points / whole).floor_(), whole, value=-1)
        points = torch.minimum(points, whole - points)
    elif pad_mode == "zeros":
        inside = ((points >= 0) & (points <= picture)).all(dim=-1).to(points.dtype)
    return inside, torch.minimum(points.clamp_min_(0.5), picture - 0.5)
