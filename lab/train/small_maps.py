"""Convolutions on tiny maps as matrix products: oneDNN's kernels waste most of their work there.

    module.__class__ = SmallMapConv2d     # an nn.Conv2d that trains so; evaluation stays plain

A 3x3 convolution is one product of its nine shifted slices with the weights; the decision is taken
at every call by the size of the map, so that one setting serves all sizes of a run.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from lab.train.products import as_autocast, product, trains_here

# Pixels of the output map up to which products win: of any layer, and of one with stride 2, a 1x1
# kernel or so many channels. 32 images, one core of a Zen 5, 512 -> 512 channels, forward and
# backward: on 2x2 fp32 18.5 -> 9.3, bf16 13.0 -> 6.4 ms; on 4x4 37.9 -> 32.0 and 24.3 -> 19.4 ms.
SMALL_PX, WIDE_PX, WIDE = 9, 16, 512


def pays(side: int, stride: int, channels: int, pixels: int) -> bool:
    """Whether products win for a kernel of that side. channels: in; pixels: of the output map."""
    return pixels <= (WIDE_PX if side == 1 or stride > 1 or channels >= WIDE else SMALL_PX)


def fits(module: nn.Module) -> bool:
    """Whether a layer is a plain dense 1x1 or 3x3 convolution, padded to keep its size."""
    if type(module) is not nn.Conv2d or module.groups != 1 or module.padding_mode != "zeros":
        return False
    side = module.kernel_size[0]
    return (
        module.kernel_size in ((1, 1), (3, 3))
        and module.padding == (side // 2, side // 2)
        and module.stride in ((1, 1), (2, 2))
        and module.dilation == (1, 1)
    )


def columns(x: torch.Tensor, side: int, stride: int) -> torch.Tensor:
    """What each output pixel sees: (n, c, h, w) -> (n * rows * columns, side * side * c)."""
    _, c, height, width = x.shape
    pad = side // 2
    nhwc = x.permute(0, 2, 3, 1)
    if pad:
        nhwc = F.pad(nhwc, (0, 0, pad, pad, pad, pad))
    slices = [nhwc[at] for at in _taps(height, width, side, stride)]
    seen = torch.cat(slices, dim=3) if len(slices) > 1 else slices[0]
    return seen.reshape(-1, side * side * c)


def folded(seen: torch.Tensor, like: torch.Tensor, side: int, stride: int) -> torch.Tensor:
    """The transpose of `columns`: sums, in fp32, into a tensor of the shape and dtype of `like`."""
    n, c, height, width = like.shape
    pad = side // 2
    total = torch.zeros(n, height + 2 * pad, width + 2 * pad, c)
    parts = seen.view(n, *map_size(like, stride), side * side, c)
    for number, at in enumerate(_taps(height, width, side, stride)):
        total[at] += parts[:, :, :, number]
    inner = total[:, pad : pad + height, pad : pad + width]
    return inner.permute(0, 3, 1, 2).to(like.dtype).contiguous(memory_format=torch.channels_last)


def _taps(height: int, width: int, side: int, stride: int) -> list[tuple[slice, slice, slice]]:
    """Where each kernel element looks in the padded NHWC map, row by row."""
    down, across = (height - 1) // stride * stride + 1, (width - 1) // stride * stride + 1
    return [
        (slice(None), slice(i, i + down, stride), slice(j, j + across, stride))
        for i in range(side)
        for j in range(side)
    ]


class _SmallMap(torch.autograd.Function):
    """conv2d with padding side // 2, as products; its pixels as rows: (n * rows * columns, out).

    Shaped outside, because a view made in here may not be changed in place (ReLU does)."""

    @staticmethod
    def forward(ctx, x, w, bias, stride):
        ctx.save_for_backward(x, w)
        ctx.stride, ctx.has_bias = stride, bias is not None
        return product(columns(x, w.shape[-1], stride), _matrix(w), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, rows):
        x, w = ctx.saved_tensors
        side, stride = w.shape[-1], ctx.stride
        grad_x = grad_w = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = folded(product(rows, _matrix(w).t()), x, side, stride)
        if ctx.needs_input_grad[1]:
            found = product(rows.t(), columns(x, side, stride).t())
            grad_w = found.view(len(w), side, side, x.shape[1]).permute(0, 3, 1, 2)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = rows.sum(dim=0)
        return grad_x, grad_w, grad_bias, None


def _matrix(w: torch.Tensor) -> torch.Tensor:
    """(out, in, side, side) as (out, side * side * in): a view where weights are channels-last."""
    return w.permute(0, 2, 3, 1).reshape(len(w), -1)


def map_size(x: torch.Tensor, stride: int) -> tuple[int, int]:
    """Rows and columns of what a convolution that keeps its size makes of x, in pixels."""
    return (x.shape[-2] - 1) // stride + 1, (x.shape[-1] - 1) // stride + 1


class SmallMapConv2d(nn.Conv2d):
    """An nn.Conv2d that trains by matrix products where its map is tiny."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 4 or not x.numel() or not trains_here(self, x):
            return super().forward(x)
        side, stride = self.kernel_size[0], self.stride[0]
        rows, wide = map_size(x, stride)
        if not pays(side, stride, self.in_channels, rows * wide):
            return super().forward(x)
        pixels = _SmallMap.apply(*as_autocast(x, self.weight, self.bias), stride)
        return pixels.view(len(x), rows, wide, self.out_channels).permute(0, 3, 1, 2)
