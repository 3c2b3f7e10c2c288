"""One optimisation step: mix the batch, forward and backward in parts, then the optimizer.

    steps = StepMaker(recipe, resolved, network, team)
    steps.enter(stage, row); loss = steps.take(stage, row, within, x, y, rates, momentum)

A step is a function of (weights, batch, seed, stage, epoch, step): nothing else is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from lab.methods import fixres, freezing
from lab.methods.activations import head_logits
from lab.methods.losses import (
    Rows,
    cross_entropy,
    mixed_cross_entropy,
    part_rows,
    rows_of,
    two_target_loss,
)
from lab.methods.mixing import Mixed, mix, mix_rng
from lab.recipe.facts import Resolved
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage
from lab.schedules.plan import EpochRow
from lab.train.memory import NormGuard, parts_of, redo_in_smaller_parts, size_words
from lab.train.model import Network
from lab.train.optimizer import carry_over, make_optimizer, set_rates
from lab.train.precision import Scaler, autocast
from lab.train.team import Alone
from lab.vision.draws import torch_seed

Labels = torch.Tensor | Mixed


@dataclass(frozen=True)
class _Batch:
    """This process's rows of a batch of `whole`, whose rows with labels `counted` says."""

    x: torch.Tensor
    labels: Labels
    whole: int
    counted: Rows


class StepMaker:
    """The optimizer with all that one step needs. `optimizer` is None before the first phase."""

    def __init__(self, recipe: Recipe, resolved: Resolved, network: Network, team: Alone):
        self.recipe, self.network, self.team = recipe, network, team
        self.device, self.precision = resolved.device, resolved.precision
        self.optimizer: torch.optim.Optimizer | None = None
        self.scaler = Scaler(self.device, self.precision)
        self.micro = {int(n): c["micro"] for n, c in resolved.stages.items() if "micro" in c}
        self._names: set[str] = set()
        self._rebuilt()

    @property
    def model(self) -> torch.nn.Module:
        return self.network.model

    def enter(self, stage: Stage, row: EpochRow, waiting: dict[str, Any] | None = None) -> None:
        """A fresh optimizer, as freezing and unfreezing both reset it (fastai); or a stored one."""
        self._names = self.trainable(stage, row.frozen)
        freezing.apply_trainable(self.model, self._names)
        self.optimizer = make_optimizer(self.network, self._names, self.recipe, stage)
        if waiting is not None:
            self.optimizer.load_state_dict(waiting)
        self._rebuilt()

    def resized(self, stage: Stage) -> None:
        """Parameters were replaced by a change of size: go on with the moments of the others."""
        if self.optimizer is not None:
            freezing.apply_trainable(self.model, self._names)
            fresh = make_optimizer(self.network, self._names, self.recipe, stage)
            carry_over(self.optimizer, self._named, fresh, dict(self.model.named_parameters()))
            self.optimizer = fresh
        self._rebuilt()

    def take(
        self,
        stage: Stage,
        row: EpochRow,
        within: int,
        x: torch.Tensor,
        y: torch.Tensor,
        rates: tuple[float, ...],
        momentum: float | None,
    ) -> tuple[torch.Tensor, int | None]:
        """One step. Returns the batch's mean loss, on its device, and into how many parts the batch
        had to be cut from now on, None where nothing changed. Raises LabError where memory is too
        short for any part."""
        assert self.optimizer is not None
        set_rates(self.optimizer, rates, momentum, self.recipe.optimizer)
        where = (self.recipe.seed, row.stage, row.epoch, within)
        labels: Labels = y
        if row.augmented and not row.cached:
            x, mixed = mix(x, y, stage.augment, mix_rng(*where))
            labels = y if mixed is None else mixed
        mine = self.team.mine(len(y))
        batch = _Batch(x[mine], _rows(labels, mine), len(y), self._counted(labels))
        self._mode(stage, row)
        self.guard.save()
        known = self.micro.get(row.stage, 1)

        def attempt(micro: int) -> torch.Tensor:
            torch.manual_seed(torch_seed(*where) + self.team.rank)
            return self._backward(stage, row, batch, micro)

        def smaller(micro: int) -> None:
            self.guard.put_back()
            self.optimizer.zero_grad(set_to_none=True)
            if self.device.startswith("cuda"):
                torch.cuda.empty_cache()

        if self.team.size > 1:  # the others could not follow a second attempt
            return self._finish(attempt(known)), None
        at = "" if row.cached else size_words(row.size_at(within))
        loss, micro = redo_in_smaller_parts(attempt, known, row.batch, smaller, at)
        self.micro[row.stage] = micro
        return self._finish(loss), micro if micro != known else None

    def _finish(self, loss: torch.Tensor) -> torch.Tensor:
        self.scaler.step(self.optimizer)
        return loss

    def _backward(self, stage: Stage, row: EpochRow, batch: _Batch, micro: int) -> torch.Tensor:
        """Gradients of the whole batch, taken in `micro` parts of a full batch; its mean loss."""
        full = self.team.mine(row.batch)
        share = full.stop - full.start
        self.optimizer.zero_grad(set_to_none=True)
        total, n = torch.zeros((), device=batch.x.device), len(batch.x)
        for part in parts_of(n, micro, share):
            rows = part.stop - part.start
            with self.team.part(self.forward, last=part.stop == n):
                with autocast(self.device, self.precision):
                    logits = self._logits(batch.x[part], row)
                counted = part_rows(batch.counted, rows)
                loss = self.loss(logits.float(), _rows(batch.labels, part), stage, counted)
                self.scaler.backward(loss * self.team.weight(rows, batch.whole))
            total = total + loss.detach() * (rows / n)
        return self.team.mean(total, n, batch.whole)

    def _logits(self, x: torch.Tensor, row: EpochRow) -> torch.Tensor:
        return head_logits(self.model, x, training=True) if row.cached else self.forward(x)

    def _counted(self, labels: Labels) -> Rows:
        """Rows of the whole batch that have a first and a second label: parts divide by these."""
        if not self.network.second_classes:
            return float(len(labels.share if isinstance(labels, Mixed) else labels)), torch.ones(())
        if isinstance(labels, Mixed):
            return rows_of(labels.first, labels)
        return rows_of(labels)

    def loss(
        self, logits: torch.Tensor, labels: Labels, stage: Stage, counted: Rows
    ) -> torch.Tensor:
        """The mean training loss of rows of logits (n, outputs)."""
        smoothing = stage.label_smoothing
        if self.network.second_classes:
            sizes = (self.network.n_classes - self.network.second_classes,
                     self.network.second_classes)  # fmt: skip
            mixed = labels if isinstance(labels, Mixed) else None
            hard = labels.first if isinstance(labels, Mixed) else labels
            weight = self.recipe.dataset.second_weight
            return two_target_loss(logits, hard, sizes, weight, smoothing, mixed, counted)
        if isinstance(labels, Mixed):
            return mixed_cross_entropy(logits, labels, smoothing)
        return cross_entropy(logits, labels, smoothing)

    def _mode(self, stage: Stage, row: EpochRow) -> None:
        if stage.trainable.startswith("last-norm"):
            fixres.fixres_mode(self.model)
        elif row.cached:
            self.model.eval()
        else:
            frozen = row.frozen or stage.trainable == "head"
            freezing.train_mode(self.model, frozen, self.recipe.model.frozen_norms_train)

    def trainable(self, stage: Stage, frozen: bool) -> set[str]:
        """Names of the parameters that learn."""
        norms = self.recipe.model.frozen_norms_train
        return names_learning(self.model, stage, frozen and self.network.groups > 1, norms)

    def _rebuilt(self) -> None:
        self._named = dict(self.model.named_parameters())
        self.forward = self.team.wrap(self.model)
        self.guard = NormGuard(self.model)


def names_learning(
    model: torch.nn.Module, stage: Stage, frozen: bool, norms_train: bool
) -> set[str]:
    """Names of the parameters that a stage trains. One parameter group cannot be frozen."""
    if stage.trainable.startswith("last-norm"):
        return fixres.fixres_parameters(model, affine=stage.trainable == "last-norm+head")
    if stage.cached_activations:
        return freezing.head_parameters(model)
    if stage.trainable == "head" or frozen:
        return freezing.trainable_when_frozen(model, norms_train)
    return {name for name, _ in model.named_parameters()}


def _rows(labels: Labels, at: slice) -> Labels:
    return labels.part(at) if isinstance(labels, Mixed) else labels[at]
