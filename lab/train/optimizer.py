"""The optimizer of one phase: rates and decay by group, set anew before every step.

optimizer = make_optimizer(network, trainable, recipe, stage)
set_rates(optimizer, lrs, momentum)
"""

from __future__ import annotations

import torch

from lab.recipe.model import Optimizer, Recipe
from lab.recipe.stage import Stage
from lab.train.model import Network


def make_optimizer(
    network: Network, trainable: set[str], recipe: Recipe, stage: Stage
) -> torch.optim.Optimizer:
    """The recipe's optimizer over the trainable parameters. Norms and biases are not decayed.

    The rates are set before every step: see set_rates.
    """
    choice = recipe.optimizer
    decay = choice.weight_decay if stage.weight_decay is None else stage.weight_decay
    groups = _parameter_groups(network, trainable, decay)
    fused = all(p.device.type in ("cuda", "cpu") for group in groups for p in group["params"])
    if choice.name == "sgd":
        return torch.optim.SGD(
            groups, lr=1e-3, momentum=choice.beta1, nesterov=choice.beta1 > 0, fused=fused
        )
    kind = torch.optim.AdamW if choice.name == "adamw" else torch.optim.Adam
    betas = (choice.beta1, choice.beta2)
    return kind(groups, lr=1e-3, betas=betas, eps=choice.eps, fused=fused)


def carry_over(
    before: torch.optim.Optimizer,
    old: dict[str, torch.nn.Parameter],
    after: torch.optim.Optimizer,
    new: dict[str, torch.nn.Parameter],
) -> None:
    """Give a rebuilt optimizer the moments of the parameters (by name) that kept their shape.

    A change of size replaces some of a network's parameters, or all: those of another shape
    (position embeddings) begin afresh.
    """
    for name, parameter in new.items():
        was = old.get(name)
        if was is not None and was.shape == parameter.shape and was in before.state:
            after.state[parameter] = before.state[was]


def _parameter_groups(network: Network, trainable: set[str], decay: float) -> list[dict]:
    """One torch group per (rate group, decayed or not); `rate` names the rate group."""
    named = dict(network.model.named_parameters())
    groups = []
    for rate, names in enumerate(network.group_names()):
        for decayed in (True, False):
            params = [
                named[name]
                for name in names
                if name in trainable and (named[name].ndim > 1) == decayed
            ]
            if params:
                groups.append(
                    {"params": params, "rate": rate, "weight_decay": decay if decayed else 0.0}
                )
    return groups


def set_rates(
    optimizer: torch.optim.Optimizer,
    lrs: tuple[float, ...],
    momentum: float | None,
    choice: Optimizer,
) -> None:
    """The rates of this step, and beta1 where momentum cycles."""
    beta1 = choice.beta1 if momentum is None or not choice.cycle_momentum else momentum
    for group in optimizer.param_groups:
        group["lr"] = lrs[group["rate"]]
        if choice.name == "sgd":
            group["momentum"] = beta1
        else:
            group["betas"] = (beta1, choice.beta2)
