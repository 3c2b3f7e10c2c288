"""FixRes: adapt a trained network to the test size by its last norm and its classifier alone.

Touvron et al. 2019 (arXiv 1906.06423). Everything is in eval mode but the last norm before pooling,
whose running statistics adapt; here, as in the Keras example, its affine part learns as well.
"""

from __future__ import annotations

from torch import nn

from lab.methods.freezing import head_parameters, is_norm


def last_norm(model: nn.Module) -> tuple[str, nn.Module] | None:
    """The last norm layer on the main path, in the order of definition; None where there is none.

    A shortcut's norm is defined after the block's own, yet stands beside it: it does not count.
    """
    found = [
        (name, module)
        for name, module in model.named_modules()
        if is_norm(module) and "downsample" not in name and "shortcut" not in name
    ]
    return found[-1] if found else None


def fixres_parameters(model: nn.Module) -> set[str]:
    """Names of the parameters that learn: the last norm's and the classifier's."""
    found = last_norm(model)
    if found is None:
        return head_parameters(model)
    name, norm = found
    return head_parameters(model) | {f"{name}.{own}" for own, _ in norm.named_parameters()}


def fixres_mode(model: nn.Module) -> None:
    """Eval everywhere but in the last norm."""
    model.eval()
    found = last_norm(model)
    if found is not None:
        found[1].train()
