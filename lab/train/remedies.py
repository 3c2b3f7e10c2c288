"""Remedies for slow CPU kernels, put into a network in place and taken out again.

    names = [remedy.name for remedy in remedies_for(model, "cpu", "bf16")]
    apply(model, names); remove(model)

Names of parameters, the parameters themselves and their state stay. A remedy works in training
steps on the CPU only: in eval mode, without gradients or on a GPU the layer is the plain one, bit
for bit. lab/workers/probe_remedies.py decides by the clock which of them a run gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from lab.errors import LabError
from lab.train import depthwise, products, small_maps
from lab.train.products import trains_here


@dataclass(frozen=True)
class Remedy:
    """One remedy. precisions: in which it can help."""

    name: str
    words: str
    precisions: tuple[str, ...]
    fits: Callable[[nn.Module], bool]
    is_in: Callable[[nn.Module], bool]
    put_in: Callable[[nn.Module], None]
    take_out: Callable[[nn.Module], None]

    def applies_to(self, model: nn.Module) -> bool:
        """Whether the network has a layer for it, with the remedy in or not."""
        return any(self.fits(module) or self.is_in(module) for module in model.modules())


def remedies_for(model: nn.Module, device: str, precision: str) -> list[Remedy]:
    """Those that could help this network on this device ("cpu", "cuda:0") in this precision."""
    if device.split(":")[0] != "cpu":
        return []
    return [r for r in REMEDIES if precision in r.precisions and r.applies_to(model)]


def apply(model: nn.Module, names: Iterable[str]) -> None:
    """Put just these remedies in. Raises LabError for a name that is none."""
    wanted = list(names)
    known = {remedy.name: remedy for remedy in REMEDIES}
    for name in wanted:
        if name not in known:
            raise LabError(
                f"There is no remedy {name!r} for slow layers.",
                f"Take one of {', '.join(known)}, or an empty list.",
                where="resolved.remedies",
            )
    remove(model)
    for name in wanted:
        for module in model.modules():
            if known[name].fits(module):
                known[name].put_in(module)


def remove(model: nn.Module) -> None:
    """Take every remedy out: the network is as timm made it."""
    for module in model.modules():
        for remedy in REMEDIES:
            if remedy.is_in(module):
                remedy.take_out(module)


def _swap(name: str, words: str, precisions: tuple[str, ...], fits, better: type) -> Remedy:
    """A remedy that makes a layer an instance of a subclass with another forward."""
    plain = better.__base__

    def put_in(module: nn.Module) -> None:
        module.__class__ = better

    def take_out(module: nn.Module) -> None:
        module.__class__ = plain

    return Remedy(name, words, precisions, fits, lambda m: type(m) is better, put_in, take_out)


def _is_linear(module: nn.Module) -> bool:
    return type(module) is nn.Linear and products.onednn_has_it()


def _has_fused_attention(module: nn.Module) -> bool:
    return getattr(module, "fused_attn", None) is True and not _has_math(module)


def _has_math(module: nn.Module) -> bool:
    return _math_in_training in module._forward_pre_hooks.values()


def _math_in_training(module: nn.Module, inputs: tuple) -> None:
    """Before each call: timm's own attention by products in a training step, fused otherwise."""
    x = next((value for value in inputs if isinstance(value, torch.Tensor)), None)
    module.fused_attn = x is None or not trains_here(module, x)


def _put_in_math(module: nn.Module) -> None:
    module.register_forward_pre_hook(_math_in_training)


def _take_out_math(module: nn.Module) -> None:
    hooks = module._forward_pre_hooks
    for key in [key for key, hook in hooks.items() if hook is _math_in_training]:
        del hooks[key]
    module.fused_attn = True


REMEDIES = (
    _swap(
        "small-maps",
        "convolutions on maps of up to 4x4 pixels as matrix products",
        ("fp32", "bf16"),
        small_maps.fits,
        small_maps.SmallMapConv2d,
    ),
    _swap(
        "depthwise",
        "gradients of depthwise convolutions in fp32, and by pairs of pixels on tiny maps",
        ("fp32", "bf16"),
        depthwise.fits,
        depthwise.DepthwiseConv2d,
    ),
    _swap(
        "linear",
        "fp32 matrix products by oneDNN instead of MKL",
        ("fp32",),
        _is_linear,
        products.OneDnnLinear,
    ),
    Remedy(
        "attention",
        "attention as matrix products: the fused kernel is slow backward in bf16",
        ("bf16",),
        _has_fused_attention,
        _has_math,
        _put_in_math,
        _take_out_math,
    ),
)
