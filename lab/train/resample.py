"""Weights that belong to an input size, carried to another: position embeddings, bias tables.

weights = carried("cait_xxs24_224", weights, (224, 224), model_for_128, (128, 128))

Which tensors these are, and along which axes, is read off outlines of several sizes. An axis that
grows with the area is a flattened grid (perhaps after prefix tokens), two adjacent axes that grow
with the side are a grid, and one that grows with the side is a line. Grids go through timm's own
bicubic resample_abs_pos_embed, lines are interpolated linearly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed
from torch import nn

from lab.errors import LabError
from lab.train.architectures import native_px, outline

SIDES = (128, 192, 256, 96, 320)  # px; two that pass are compared with the native side
MOST_PREFIX = 3  # class, distillation ... tokens before the grid
Size = tuple[int, int]


@dataclass(frozen=True)
class Axis:
    """An axis that grows with the input: "grid" (flattened), "pair" (with the next one), "line"."""

    axis: int
    kind: str
    prefix: int = 0


@lru_cache(maxsize=64)
def sized_tensors(name: str) -> dict[str, tuple[Axis, ...]]:
    """Tensors of an architecture built by `img_size` whose shape follows the size."""
    native = native_px(name)
    own = _shapes(name, native)
    found: dict[str, tuple[Axis, ...]] = {}
    compared = 0
    for side in (side for side in SIDES if side != native):
        try:
            other = _shapes(name, side)
        except Exception:  # a side that this architecture refuses tells nothing
            continue
        for key in own.keys() & other.keys() - found.keys():
            if own[key] != other[key]:
                found[key] = _axes(own[key], other[key], native / side)
        compared += 1
        if compared == 2:
            break
    return found


def carried(
    name: str, weights: dict[str, torch.Tensor], size: Size, model: nn.Module, new_size: Size
) -> dict[str, torch.Tensor]:
    """A whole state for `model`, which is built for new_size, from weights at `size`.

    Sizes are (height, width) in pixels. Raises LabError where a tensor cannot be carried over.
    """
    target, buffers = model.state_dict(), dict(model.named_buffers())
    sized = sized_tensors(name)
    state = {}
    for key, new in target.items():
        old = weights.get(key)
        if key in buffers and (key in sized or old is None or not old.is_floating_point()):
            counter = key.endswith("num_batches_tracked") and old is not None
            state[key] = old if counter else new  # index tables belong to the size
        elif old is None:
            raise _cannot(name, key, size, new_size)
        elif key in sized:
            state[key] = _resampled(name, key, old, size, new, new_size, model)
        elif old.shape == new.shape:
            state[key] = old
        else:
            raise _cannot(name, key, size, new_size)
    return state


def _resampled(
    name: str, key: str, t: torch.Tensor, size: Size, new: torch.Tensor, new_size: Size, model
) -> torch.Tensor:
    """One tensor, axis by axis. A linear layer over tokens keeps its sums: its input axis is
    divided by the growth, as for an integral over a finer grid."""
    before = t.shape
    for axis in sized_tensors(name)[key]:
        try:
            t = _along(t, axis, size, new.shape, new_size)
        except (ValueError, RuntimeError) as error:
            raise _cannot(name, key, size, new_size) from error
    if t.shape != new.shape:
        raise _cannot(name, key, size, new_size)
    owner = model.get_submodule(key.rpartition(".")[0])
    takes_tokens = any(axis.axis == 1 for axis in sized_tensors(name)[key])
    if isinstance(owner, nn.Linear) and t.ndim == 2 and takes_tokens:
        t = t * (before[1] / t.shape[1])
    return t


def _along(t: torch.Tensor, axis: Axis, size: Size, shape: torch.Size, new_size: Size):
    at = axis.axis
    if axis.kind == "line":
        moved = t.movedim(at, -1)
        flat = moved.reshape(1, -1, moved.shape[-1]).float()
        flat = F.interpolate(flat, size=shape[at], mode="linear", align_corners=False)
        return flat.reshape(*moved.shape[:-1], -1).to(t.dtype).movedim(-1, at)
    if axis.kind == "pair":
        grid, new_grid = tuple(t.shape[at : at + 2]), tuple(shape[at : at + 2])
        t = t.flatten(at, at + 1)
    else:
        grid = grid_of(t.shape[at] - axis.prefix, size)
        new_grid = grid_of(shape[at] - axis.prefix, new_size)
    moved = t.movedim(at, 0)
    flat = resample_abs_pos_embed(
        moved.reshape(1, moved.shape[0], -1), new_grid, grid, num_prefix_tokens=axis.prefix
    )
    moved = flat.reshape(flat.shape[1], *moved.shape[1:])
    t = moved.movedim(0, at)
    return t.unflatten(at, new_grid) if axis.kind == "pair" else t


def grid_of(length: int, size: Size) -> tuple[int, int]:
    """(rows, columns) of a flattened grid: of all with this many cells, nearest the aspect.

    grid_of(60, (96, 160)) -> (6, 10)
    """
    wanted = math.log(size[0] / size[1])
    rows = [n for n in range(1, length + 1) if length % n == 0]
    best = min(rows, key=lambda n: abs(math.log(n * n / length) - wanted))
    return best, length // best


def _axes(own: torch.Size, other: torch.Size, ratio: float) -> tuple[Axis, ...]:
    if len(own) != len(other):
        return ()
    changed = [i for i in range(len(own)) if own[i] != other[i]]
    by_area = {i: math.log(own[i] / other[i]) / math.log(ratio) > 1.5 for i in changed}
    if len(changed) == 2 and changed[1] == changed[0] + 1 and not any(by_area.values()):
        return (Axis(changed[0], "pair"),)
    found = []
    for i in changed:
        prefix = own[i] - math.isqrt(own[i]) ** 2
        if by_area[i] and prefix > MOST_PREFIX:
            return ()
        found.append(Axis(i, "grid", prefix) if by_area[i] else Axis(i, "line"))
    return tuple(found)


def _shapes(name: str, side: int) -> dict[str, torch.Size]:
    size = None if side == native_px(name) else (side, side)
    return {key: t.shape for key, t in outline(name, size).state_dict().items()}


def _cannot(name: str, key: str, size: Size, new_size: Size) -> LabError:
    return LabError(
        f"{name} cannot be carried from {size[0]}×{size[1]} to {new_size[0]}×{new_size[1]} px: "
        f"its {key} belongs to one size.",
        "Keep one size, or choose a network that takes any size, such as resnet18.",
        where="stages",
    )
