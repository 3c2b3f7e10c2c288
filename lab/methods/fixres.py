"""FixRes: adapt a trained network to the test size by its last norm and its classifier alone.

Touvron et al. 2019 (arXiv 1906.06423). Everything is in eval mode but the last norm before the
classifier, whose running statistics adapt. In the Keras example its affine part learns as well
(affine=True); in the authors' code it does not (affine=False), and the statistics still adapt.
"""

from __future__ import annotations

from torch import nn

from lab.methods.freezing import head_parameters, is_norm

BESIDE = ("downsample", "shortcut")  # of a block's main path


def last_norm(model: nn.Module) -> tuple[str, nn.Module] | None:
    """(name, layer) of the last norm that runs before the classifier; None where there is none.

    It stands before the pooling (resnet, efficientnet, densenet, regnet, swin) or, where the
    network normalises pooled features, after it (`head.norm` of convnext, `norm_head` of
    mobilenetv4): the one whose output the classifier is fitted to. A shortcut's norm is defined
    after the block's own and even runs after it, yet stands beside the main path: it does not
    count. Where the last layer has branches (inception, repvgg), it is the last branch's.
    """
    found = [
        (name, module)
        for name, module in model.named_modules()
        if is_norm(module) and not any(word in name for word in BESIDE)
    ]
    return found[-1] if found else None


def fixres_parameters(model: nn.Module, affine: bool = True) -> set[str]:
    """Names of the parameters that learn: the classifier's and, with `affine`, the last norm's."""
    found = last_norm(model)
    if found is None or not affine:
        return head_parameters(model)
    name, norm = found
    return head_parameters(model) | {f"{name}.{own}" for own, _ in norm.named_parameters()}


def adapts_nothing(model: nn.Module) -> bool:
    """Whether no running statistics can adapt: no norm, or one that keeps none, as LayerNorm.

    The authors' variant then trains the classifier and nothing else.
    """
    found = last_norm(model)
    return found is None or getattr(found[1], "running_mean", None) is None


def fixres_mode(model: nn.Module) -> None:
    """Eval everywhere but in the last norm."""
    model.eval()
    found = last_norm(model)
    if found is not None:
        found[1].train()
