"""The lab's own path as the benchmarks drive it: stores, Trainer, validation, views.

    side = LabSide(data, workspace, model="resnet18", size=64, batch=64)
    side.train(8), side.validate(192, "fp32"), side.tta(192, 4, "fp32")      -> Timed
    Limit(side).train(8)                 the same network's steps on one batch that is there already

Timed: images and seconds. Decoding is not in it: `benchmarks.stores` measures that.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lab.recipe import Recipe, recipe_from
from lab.recipe.facts import Resolved
from lab.schedules.plan import make_plan
from lab.train import remedies
from lab.train.evaluation import BATCH, autocast, probabilities
from lab.train.model import build
from lab.train.optimizer import make_optimizer
from lab.train.trainer import Step, Trainer
from lab.vision.loader import Normalisation, TestPictures, view_pixels
from lab.vision.rundata import open_run_data
from lab.workers.probe_remedies import probe_remedies, race_with_remedies
from lab.workers.resolve import cores, pick_device, probe_precision
from lab.workspace import Workspace

EPOCHS = 400  # more than any measurement takes: one curve, never at its end
LR = 1e-3  # small enough to stay finite from random weights


@dataclass(frozen=True)
class Timed:
    """So many images in so many seconds."""

    images: int
    seconds: float

    @property
    def speed(self) -> float:
        """Images a second."""
        return self.images / self.seconds


def recipe_of(data: Path | None, model: str, size: int, batch: int, n_leaves: int = 640) -> Recipe:
    """One stage at one size from scratch, cropped and augmented as fastai's lessons do.

    data None: leaves that the lab draws itself.
    """
    source = {"source": "path", "path": str(data)} if data else leaves(n_leaves)
    stage = {"size": size, "epochs": EPOCHS, "lr": LR, "batch_size": batch}
    return recipe_from(
        {
            "name": f"{model} {size}",
            "dataset": source,
            "model": {"name": model},
            "stages": [{**stage, "resize": "crop", "min_scale": 0.75}],
        }
    )


def leaves(n: int) -> dict:
    """A data set that is drawn in seconds, of 320 px so that every size finds its pixels."""
    split = {"method": "random", "valid_fraction": 0.2, "test_fraction": 0.0}
    return {"source": "leaves", "leaves": {"n": n, "size_px": 320, "form": "demo"}, "split": split}


class LabSide:
    """A run of the lab that is never finished: built once, measured in turns."""

    def __init__(
        self,
        data: Path | None,
        workspace: Workspace,
        model: str,
        size: int,
        batch: int,
        device: str = "cpu",
        precision: str = "auto",
        *,
        threads: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self.clock = clock
        self.recipe = recipe_of(data, model, size, batch)
        self.device, _ = pick_device(device)
        torch.set_num_threads(threads or cores())
        self.data = open_run_data(workspace, self.recipe)
        network = build(self.recipe, len(self.data.parts.classes), 1, (size, size))
        self.data.mean, self.data.interpolation = network.mean, network.interpolation
        self.data.build()
        self.precision, self.why = precision, "asked for"
        if precision == "auto":
            self.precision, self.why = probe_precision(
                self.recipe, network, self.device, race_with_remedies
            )
        names, why = probe_remedies(network, (size, size), 32, self.precision, self.device)
        remedies.apply(network.model, names)
        self.remedies, self.why = names, f"{self.why}; {why}"
        resolved = Resolved(
            device=self.device,
            precision=self.precision,
            threads=threads or cores(),
            remedies=tuple(names),
        )
        plan = make_plan(self.recipe, self.data.n_train, 1)
        self.trainer = Trainer(self.recipe, plan, resolved, self.data, network)
        self.network = network
        self._events = self.trainer.events()
        self._pixels = size * size

    @property
    def norm(self) -> Normalisation:
        """How its pictures are normalised, and where they go."""
        return Normalisation(self.network.mean, self.network.std, self.device)

    def train(self, steps: int) -> Timed:
        """Steps of the Trainer, loading included; validation between epochs does not count."""
        before, seconds, since = self.trainer.pixels, 0.0, self.clock()
        while steps:
            event = next(self._events)
            if isinstance(event, Step):
                seconds += self.clock() - since
                steps -= 1
            since = self.clock()
        wait_for(self.device)
        seconds += self.clock() - since
        return Timed((self.trainer.pixels - before) // self._pixels, seconds)

    def validate(self, n: int, precision: str) -> Timed:
        """Probabilities of the first n validation pictures, as after an epoch or at the end."""
        pictures = first(self.data.valid(0), n)
        since = self.clock()
        self._probabilities(pictures.batches(BATCH, self.norm), precision)
        return Timed(len(pictures), self.clock() - since)

    def tta(self, n: int, views: int, precision: str) -> Timed:
        """The plain pictures and so many random views of each, as the lab's TTA makes them."""
        pictures, stage = first(self.data.valid(0), n), self.recipe.stages[0]
        kept = self.data.ragged("valid", stage)
        since = self.clock()
        self._probabilities(pictures.batches(BATCH, self.norm), precision)
        for view in range(views):
            for start in range(0, len(pictures), BATCH):
                items = pictures.items[start : start + BATCH]
                x = view_pixels(kept.gather(kept.rows_of(items)), stage, items, 0, view)
                x = self.norm(x.to(self.device))
                self._probabilities([(x, x)], precision)
        return Timed(len(pictures), self.clock() - since)

    def _probabilities(self, batches: Iterator, precision: str) -> np.ndarray:
        return probabilities(self.trainer.model, batches, self.device, precision)


class Limit:
    """What the network alone allows: forward, backward and step on one batch in memory.

    A copy of the side's network as it trains: same kernels, precision, memory format, optimizer.
    """

    def __init__(self, side: LabSide):
        self.side, stage = side, side.recipe.stages[0]
        row = side.trainer.plan.epochs[0]
        network = copy.deepcopy(side.network)
        network.model = self.model = copy.deepcopy(side.trainer.model).train()
        names = {name for name, _ in self.model.named_parameters()}
        self.optimizer = make_optimizer(network, names, side.recipe, stage)
        self.x, self.y = next(side.data.train(0).batches(stage, row, 0, 0, side.norm))

    def train(self, steps: int) -> Timed:
        """Steps on the same batch again and again; the loss is never looked at."""
        wait_for(self.side.device)
        since = self.side.clock()
        for _ in range(steps):
            with autocast(self.side.device, self.side.precision):
                loss = F.cross_entropy(self.model(self.x).float(), self.y)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        wait_for(self.side.device)
        return Timed(steps * len(self.y), self.side.clock() - since)


def first(pictures: TestPictures, n: int) -> TestPictures:
    """The first n of them."""
    return TestPictures(pictures.images[:n], pictures.labels[:n], pictures.items[:n])


def wait_for(device: str) -> None:
    """Until a GPU has done what it was told; a CPU has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def steps_for(side: Callable[[int], Timed], seconds: float, most: int = 200) -> int:
    """How many steps take about so long, by one that is timed after two others."""
    side(2)
    one = side(1).seconds
    return max(2, min(most, round(seconds / one)))
