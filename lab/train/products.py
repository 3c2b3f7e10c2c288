"""Matrix products in fp32 by oneDNN instead of MKL, which runs at half speed on AMD processors.

    y = product(a, b)          # a @ b.T, like F.linear; a: (n, k), b: (m, k)
    module.__class__ = OneDnnLinear      # an nn.Linear that trains by it; evaluation stays plain

Measured on Zen 5, one core, 1088x192x576: MKL 112, oneDNN 238 GFLOP/s. On Intel they are alike.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable


def product(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """a @ b.T (+ bias). a: (n, k), b: (m, k), bias: (m,), all of one dtype; gives (n, m)."""
    if a.dtype == torch.float32 and onednn_has_it():
        # torch has no public switch for this: its compiler's operator is the only way in.
        return torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")
    return F.linear(a, b, bias)


@functools.cache
def onednn_has_it() -> bool:
    """Whether this build of torch has oneDNN's fp32 product and it multiplies rightly."""
    try:
        a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
        found = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
        return found.tolist() == [[11.0, 17.0, 23.0]]
    except (AttributeError, RuntimeError, TypeError):
        return False


class _LinearProduct(torch.autograd.Function):
    """y = x @ w.T + bias in fp32. x: (n, in); y: (n, out)."""

    @staticmethod
    def forward(ctx, x, w, bias):
        ctx.save_for_backward(x, w)
        ctx.has_bias = bias is not None
        return product(x, w, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        grad_x = grad_w = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = product(grad, w.t())
        if ctx.needs_input_grad[1]:
            grad_w = product(grad.t(), x.t())
        if ctx.has_bias and ctx.needs_input_grad[2]:
            grad_bias = grad.sum(dim=0)
        return grad_x, grad_w, grad_bias


class OneDnnLinear(nn.Linear):
    """An nn.Linear whose fp32 training steps go through oneDNN. bf16 does so anyway."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = torch.is_autocast_enabled("cpu") or x.dtype != torch.float32
        if low or not x.numel() or not trains_here(self, x):
            return super().forward(x)
        rows = x.reshape(-1, self.in_features)
        y = _LinearProduct.apply(rows, self.weight, self.bias)
        return y.view(*x.shape[:-1], self.out_features)


def trains_here(module: nn.Module, x: torch.Tensor) -> bool:
    """Remedies are for training steps on the CPU; anything else is to stay plain, bit for bit."""
    return module.training and torch.is_grad_enabled() and x.device.type == "cpu"


def as_autocast(*tensors: torch.Tensor | None) -> list[torch.Tensor | None]:
    """Tensors in the dtype in which autocast would have run the plain layer here."""
    if not torch.is_autocast_enabled("cpu"):
        return list(tensors)
    dtype = torch.get_autocast_dtype("cpu")
    return [None if tensor is None else tensor.to(dtype) for tensor in tensors]
