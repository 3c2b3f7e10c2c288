"""Freezing the body: what learns, and what merely follows its statistics.

In fastai a frozen body's norm layers stay trainable and keep updating their running statistics;
`norms_train=False` freezes them too.
"""

from __future__ import annotations

from typing import Protocol

from torch import nn

NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
)


def is_norm(module: nn.Module) -> bool:
    """Whether this is a normalisation layer itself; timm's own are subclasses or are called so.

    A block of convolution and norm is none (ConvNormAct), nor a head with a norm
    (NormMlpClassifierHead), nor a block without any (NormFreeBlock).
    """
    if isinstance(module, NORMS):
        return True
    return "Norm" in type(module).__name__ and not any(
        child for child in module.children() for _ in child.parameters()
    )


def head_parameters(model: nn.Module) -> set[str]:
    """Names of the classifier's parameters (of all of them, where a network has several)."""
    classifiers = model.get_classifier()
    classifiers = classifiers if isinstance(classifiers, list | tuple) else (classifiers,)
    ids = {id(p) for classifier in classifiers for p in classifier.parameters()}
    return {name for name, p in model.named_parameters() if id(p) in ids}


def norm_parameters(model: nn.Module) -> set[str]:
    """Names of the parameters of norm layers."""
    return {
        f"{name}.{own}" if name else own
        for name, module in model.named_modules()
        if is_norm(module)
        for own, _ in module.named_parameters(recurse=False)
    }


class Grouped(Protocol):
    """What is asked of a network here."""

    groups: int


def has_body_to_freeze(network: Grouped) -> bool:
    """Whether frozen epochs differ from others: with one parameter group they train all."""
    return network.groups > 1


def trainable_when_frozen(model: nn.Module, norms_train: bool) -> set[str]:
    """Names of the parameters that learn while the body is frozen."""
    return head_parameters(model) | (norm_parameters(model) if norms_train else set())


def apply_trainable(model: nn.Module, names: set[str]) -> None:
    """Let just these parameters learn."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)


def train_mode(model: nn.Module, frozen: bool, norms_train: bool) -> None:
    """Training mode; in a frozen body whose norms do not learn, those keep their statistics."""
    model.train()
    if frozen and not norms_train:
        for module in model.modules():
            if is_norm(module):
                module.eval()
