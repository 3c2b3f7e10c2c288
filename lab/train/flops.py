"""Floating point operations of training, counted by torch's counter on the meta device.

    flops = FlopCount(recipe, n_classes, groups).by_epoch(the_plan)
    flops[3]                                   # spent on training when epoch 3 is done

Forward and backward of what a stage really trains, at each size: a frozen body has no backward
pass, and a backward pass costs about twice a forward one. Validation is not training. Two
operations, a multiplication and an addition, are counted for each multiply-add.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lab.methods import freezing
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage
from lab.schedules.plan import EpochRow, Plan
from lab.train.sizes import outline_at, size_kind
from lab.train.step import names_learning

IMAGES = 2  # of the counted batch: some norm layers refuse one


def convolution_backward(
    grad_out: Sequence[int], x: Sequence[int], weight: Sequence[int], *rest: Any, **named: Any
) -> int:
    """Twice a forward pass, or once where only one of the gradients is wanted.

    torch's own formula forgets the groups of the input's gradient: 14 times too many operations
    for a network of depthwise convolutions.
    """
    transposed, wanted = rest[4], rest[7]
    outer = x if transposed else grad_out
    return 2 * math.prod(outer) * math.prod(weight[1:]) * sum(map(bool, wanted[:2]))


FORMULAS = {torch.ops.aten.convolution_backward: convolution_backward}


@dataclass(frozen=True)
class Cost:
    """Operations of one image."""

    forward: int
    step: int  # forward and backward


class FlopCount:
    """Counts by plan; what an image costs is asked once per size and kind of training."""

    def __init__(self, recipe: Recipe, n_classes: int, groups: int):
        self.recipe, self.n_classes, self.groups = recipe, n_classes, groups
        self._known: dict[tuple, Cost] = {}

    def by_epoch(self, plan: Plan) -> list[int]:
        """Operations spent on training up to the end of each epoch."""
        return list(accumulate(map(self.of_epoch, plan.epochs)))

    def of_epoch(self, row: EpochRow) -> int:
        """Of one epoch; where the head learns on cached activations, the first one fills them."""
        costs = [(images, self._cost(row, size)) for images, *size in row.shares]
        if not row.cached:
            return sum(images * one.step for images, one in costs)
        head = sum(images * 2 * (one.step - one.forward) for images, one in costs)
        passes = max(1, self.recipe.stages[row.stage].cached_views) if row.epoch == 0 else 0
        return head + passes * sum(images * one.forward for images, one in costs)

    def _cost(self, row: EpochRow, size: Sequence[int]) -> Cost:
        stage, frozen = self.recipe.stages[row.stage], row.frozen and self.groups > 1
        key = (*size, stage.trainable, stage.cached_activations, frozen)
        if key not in self._known:
            height, width = size
            found = image_cost(self.recipe, self.n_classes, stage, (height, width), frozen)
            self._known[key] = found
        return self._known[key]


def image_cost(
    recipe: Recipe, n_classes: int, stage: Stage, size: tuple[int, int], frozen: bool
) -> Cost:
    """Of one image at (height, width), for what a stage trains."""
    name = recipe.model.name
    model = copy.deepcopy(outline_at(name, *size, size_kind(name)))
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.reset_classifier(n_classes)
    learning = names_learning(model, stage, frozen, recipe.model.frozen_norms_train)
    freezing.apply_trainable(model, learning)
    return Cost(*_counted(model.train(), size))


def _counted(model: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    x = torch.empty(IMAGES, 3, *size, device="meta")
    counting = FlopCounterMode(display=False, custom_mapping=FORMULAS)
    with counting as counter, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = model(x)
        forward = counter.get_total_flops()
        out = out[0] if isinstance(out, tuple) else out  # distilled networks answer twice
        out.sum().backward()
    return forward // IMAGES, counter.get_total_flops() // IMAGES
