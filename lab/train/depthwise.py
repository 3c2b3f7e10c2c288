"""Depthwise convolutions whose gradients avoid oneDNN's slow paths; the forward pass is plain.

    module.__class__ = DepthwiseConv2d    # an nn.Conv2d that trains so; evaluation stays plain

Slow are: the weights' gradient on tiny maps and of 5x5 and 7x7 kernels in bf16, and the input's
gradient at stride 2 in bf16. Measured, 32 images, one core of a Zen 5: 960 channels, 5x5 on 2x2:
fp32 2.45, bf16 8.38, here 0.23 ms; 32 channels, 3x3, stride 2 on 32x32: fp32 0.47, bf16 11.8 ms.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from lab.train.products import as_autocast, trains_here

# Pixels of the map up to which the sum over pairs of pixels beats oneDNN in fp32, by kernel side.
PAIRS_PX = {3: 4, 5: 16, 7: 16}


def fits(module: nn.Module) -> bool:
    """Whether a layer is a plain depthwise 3x3, 5x5 or 7x7 convolution, padded to keep its size."""
    if type(module) is not nn.Conv2d or module.padding_mode != "zeros":
        return False
    side = module.kernel_size[0]
    return (
        module.groups == module.in_channels == module.out_channels > 1
        and side in PAIRS_PX
        and module.kernel_size == (side, side)
        and module.padding == (side // 2, side // 2)
        and module.stride in ((1, 1), (2, 2))
        and module.dilation == (1, 1)
    )


def pair_sums(x: torch.Tensor, grad: torch.Tensor, side: int) -> torch.Tensor:
    """The weights' gradient at stride 1: fp32 (channels, 1, side, side).

    For each kernel element the sum over just those pixels that it joins: on a 2x2 map a 7x7 kernel
    has 9 elements that join any. x, grad: fp32 (n, channels, h, w).
    """
    _, channels, height, width = x.shape
    pixels, grads = x.permute(0, 2, 3, 1), grad.permute(0, 2, 3, 1)
    sums = torch.zeros(side, side, channels)
    for i in range(side):
        for j in range(side):
            (to_y, from_y), (to_x, from_x) = (
                _joined(i - side // 2, height),
                _joined(j - side // 2, width),
            )
            if to_y.start < to_y.stop and to_x.start < to_x.stop:
                both = pixels[:, from_y, from_x] * grads[:, to_y, to_x]
                sums[i, j] = both.sum(dim=(0, 1, 2))
    return sums.permute(2, 0, 1).unsqueeze(1)


def _joined(shift: int, length: int) -> tuple[slice, slice]:
    """Output pixels whose input, `shift` further on, lies on the map; and those inputs."""
    first, last = max(0, -shift), min(length, length - shift)
    return slice(first, last), slice(first + shift, last + shift)


class _Depthwise(torch.autograd.Function):
    """conv2d of as many groups as channels, padding side // 2."""

    @staticmethod
    def forward(ctx, x, w, bias, stride):
        ctx.save_for_backward(x, w)
        ctx.stride, ctx.has_bias = stride, bias is not None
        return F.conv2d(x, w, bias, stride, w.shape[-1] // 2, groups=len(w))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        side, stride = w.shape[-1], ctx.stride
        grad_x = grad_w = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = _plain(grad, x, w, stride, stride > 1, "x")
        if ctx.needs_input_grad[1]:
            if stride == 1 and x.shape[2] * x.shape[3] <= PAIRS_PX[side]:
                grad_w = pair_sums(x.float(), grad.float(), side).to(w.dtype)
            else:
                grad_w = _plain(grad, x, w, stride, stride > 1 or side > 3, "w")
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = grad.sum(dim=(0, 2, 3))
        return grad_x, grad_w, grad_bias, None


def _plain(
    grad: torch.Tensor, x: torch.Tensor, w: torch.Tensor, stride: int, in_fp32: bool, of: str
) -> torch.Tensor:
    """torch's own gradient of the input ("x") or the weights ("w"), in fp32 where so asked."""
    pad, mask = w.shape[-1] // 2, [of == "x", of == "w", False]
    if in_fp32:
        grad, x, w = grad.float(), x.float(), w.float()
    found = torch.ops.aten.convolution_backward(
        grad, x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], len(w), mask
    )
    return found[0 if of == "x" else 1]


class DepthwiseConv2d(nn.Conv2d):
    """An nn.Conv2d, depthwise, whose training steps avoid the slow gradients."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 4 or not x.numel() or not trains_here(self, x):
            return super().forward(x)
        return _Depthwise.apply(*as_autocast(x, self.weight, self.bias), self.stride[0])
