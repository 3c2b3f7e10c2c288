"""Parameter groups: the body's layers in consecutive parts, the head last.

groups = parameter_groups(model, wanted=3)      # early body, late body, head: names of parameters
"""

from __future__ import annotations

from itertools import pairwise

from timm.models import group_parameters
from torch import nn

from lab.methods.freezing import head_parameters

MOST_GROUPS = 100


def parameter_groups(model: nn.Module, wanted: int) -> list[list[str]]:
    """Names of the parameters of each group, body first, head last; at most `wanted` groups.

    One group holds everything. Otherwise the body's layers are cut into wanted - 1 parts as even
    as whole layers allow: by timm's coarse layers (stages) where these suffice, else by its fine
    ones (blocks). Fewer come back where there are fewer layers. None is empty, and every parameter
    is in just one.
    """
    every = [name for name, _ in model.named_parameters()]
    head = head_parameters(model)
    if wanted == 1 or not head or len(head) == len(every):
        return [every]
    layers = _body_layers(model, head, coarse=True)
    if len(layers) < wanted - 1:
        fine = _body_layers(model, head, coarse=False)
        layers = fine if len(fine) > len(layers) else layers
    n = min(wanted - 1, len(layers))
    ends = [len(layers) * i // n for i in range(n + 1)]
    parts = [{name for layer in layers[a:b] for name in layer} for a, b in pairwise(ends)]
    return [[name for name in every if name in part] for part in [*parts, head]]


def most_groups(model: nn.Module) -> int:
    """The most groups that this network can be given: its finest layers and its head."""
    return len(parameter_groups(model, MOST_GROUPS))


def _body_layers(model: nn.Module, head: set[str], coarse: bool) -> list[list[str]]:
    """Parameters of the body layer by layer, from the input on."""
    try:
        grouped = group_parameters(model, group_matcher=model.group_matcher(coarse=coarse))
        layers = [grouped[number] for number in sorted(grouped)]
    except Exception:  # some architectures have no matcher, or one that stumbles over itself
        layers = _by_name(model, depth=2 if coarse else 4)
    left = [[name for name in layer if name not in head] for layer in layers]
    found = [layer for layer in left if layer]
    missing = {name for name, _ in model.named_parameters()} - head - set().union(*found)
    return [*found, sorted(missing)] if missing else found


def _by_name(model: nn.Module, depth: int) -> list[list[str]]:
    """Layers by the first parts of the names, in the order of definition."""
    layers: dict[tuple[str, ...], list[str]] = {}
    for name, _ in model.named_parameters():
        layers.setdefault(tuple(name.split(".")[:-1][:depth]), []).append(name)
    return list(layers.values())
