"""A network cut in two: what its body says of pictures, and what its classifier makes of that.

features = body_features(model.eval(), x)               # (n, width), the classifier's input
logits = head_logits(model, features, training=True)    # the classifier, after its own dropout
width = check_cut(model, x)                             # LabError where the two do not fit
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from lab.errors import LabError
from lab.methods.dropout import classifier_dropout

# Shares of the largest value that two passes may differ by: on a GPU kernels are chosen anew and
# TF32 keeps 10 bits. A head that sees something else is off by far more.
TOLERANCE, GPU_TOLERANCE = 1e-4, 1e-2


def body_features(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """timm's pre-logits of a batch (n, 3, height, width): (n, width). Put the model in eval."""
    return model.forward_head(model.forward_features(x), pre_logits=True)


def head_logits(model: nn.Module, features: torch.Tensor, training: bool = False) -> torch.Tensor:
    """The classifier alone: features (n, width) -> logits (n, classes).

    In training the network's dropout before the classifier comes first, at its present rate.
    """
    rate = classifier_dropout(model) if training else 0.0
    return _classified(model.get_classifier(), F.dropout(features, rate) if rate else features)


def check_cut(model: nn.Module, x: torch.Tensor, where: str = "") -> int:
    """The width of the features, once they prove to be what the classifier is given.

    Compares on a batch, without autocast, in eval mode. Looks at the classifier's input too: at
    first many a classifier is all zeros, and its output would agree with anything. Raises LabError.
    """
    try:
        whole, seen = _watched(model, x)
        features = body_features(model, x)
        fits = _close(features, seen) and _close(head_logits(model, features), whole)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        raise _uncuttable(model, reason, where) from error
    if not fits:
        raise _uncuttable(model, "its classifier sees something else than its features", where)
    return features.shape[1]


def _classified(classifier: nn.Module, features: torch.Tensor) -> torch.Tensor:
    if isinstance(classifier, nn.Conv2d):  # resnetv2: a 1x1 convolution over pooled features
        return classifier(features[:, :, None, None]).flatten(1)
    return classifier(features)


def _watched(model: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The network's logits and what its classifier was given for them."""
    seen: list[torch.Tensor] = []
    classifier = model.get_classifier()
    if not isinstance(classifier, nn.Module):
        raise TypeError("it has several classifiers")
    hook = classifier.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten(1)))
    try:
        whole = model(x)
    finally:
        hook.remove()
    if len(seen) != 1:
        raise ValueError(f"it calls its classifier {len(seen)} times")
    return whole, seen[0]


def _close(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal but for rounding; values that are no numbers are alike (training says so itself)."""
    share = TOLERANCE if a.device.type == "cpu" else GPU_TOLERANCE
    room = share * float(b.abs().nan_to_num().max())
    return a.shape == b.shape and torch.allclose(a, b, rtol=share, atol=room, equal_nan=True)


def _uncuttable(model: nn.Module, reason: str, where: str) -> LabError:
    return LabError(
        f"{type(model).__name__} cannot be cut between body and head ({reason}).",
        "Switch cached_activations off for this stage.",
        where=where,
    )
