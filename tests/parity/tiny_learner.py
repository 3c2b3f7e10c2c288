"""A fastai Learner small enough to watch: so many parameter groups, so many steps an epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import fastai.callback.all  # noqa: F401 - gives Learner its fits and its progress bar
import torch
from fastai.basics import Callback, DataLoader, DataLoaders, Learner
from torch import nn


class Rates(NamedTuple):
    """What fastai's optimizer used in one step."""

    lrs: tuple[float, ...]  # per parameter group
    momentum: float


class Watch(Callback):
    """Writes down the hyper-parameters of every step, the losses and the smoothed loss."""

    order = 55  # after the Recorder, before a scheduler that may end the fit

    def __init__(self):
        self.rates: list[Rates] = []
        self.losses: list[float] = []
        self.smooth: list[float] = []

    def before_step(self):
        lrs = tuple(float(hyper["lr"]) for hyper in self.opt.hypers)
        self.rates.append(Rates(lrs, float(self.opt.hypers[-1]["mom"])))

    def after_batch(self):
        if self.training:
            self.losses.append(float(self.learn.loss.detach()))
            self.smooth.append(float(self.learn.smooth_loss))


def tiny_learner(groups: int, steps: int) -> tuple[Learner, Watch]:
    """A stack of linear layers, one a group; `steps` batches of 4 an epoch."""
    torch.manual_seed(0)
    rows = [(x, 2 * x.flip(0) + 1) for x in torch.randn(4 * steps, 3)]
    dls = DataLoaders(DataLoader(rows, bs=4, shuffle=True), DataLoader(rows[:4], bs=4))
    model = nn.Sequential(*(nn.Linear(3, 3) for _ in range(groups)))
    watch = Watch()
    learn = Learner(
        dls,
        model,
        loss_func=nn.MSELoss(),
        splitter=lambda m: [list(layer.parameters()) for layer in m],
        cbs=watch,
    )
    return learn, watch


def rates_of(groups: int, steps: int, fit: Callable[[Learner], Any]) -> list[Rates]:
    """What every step of `fit(learner)` used."""
    learn, watch = tiny_learner(groups, steps)
    quietly(learn, fit)
    return watch.rates


def quietly(learn: Learner, act: Callable[[Learner], Any]) -> Any:
    """The result of `act(learner)`, without bars and tables."""
    with learn.no_bar(), learn.no_logging():
        return act(learn)
