"""fastai as its reader would write it: presized pictures, aug_transforms, a Learner.

    side = FastaiSide(data, model="resnet18", size=64, batch=64, workers=0)
    side.train(8), side.validate(192), side.tta(192, 4)      -> Timed

Only `benchmarks.against_fastai` uses this, in an environment of its own (requirements-bench.txt).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import timm
import torch
from fastai.vision.all import (
    Callback,
    CancelFitException,
    CrossEntropyLossFlat,
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    accuracy,
    aug_transforms,
    imagenet_stats,
)

from benchmarks.lab_side import LR, Timed
from lab.workers.resolve import cores

TRAIN, VALID = ("train",), ("valid", "validation", "val")


class Stopwatch(Callback):
    """Times so many steps after so many others, then ends the fit."""

    order = 100  # after every other callback of a batch

    def __init__(self, warm: int, steps: int, clock: Callable[[], float]):
        self.warm, self.steps, self.clock, self.images, self.done = warm, steps, clock, 0, 0

    def after_batch(self):
        if not self.training:
            return
        self.done += 1
        if self.done > self.warm:
            self.images += len(self.xb[0])
            self.seconds = self.clock() - self.since
        else:
            self.since = self.clock()
        if self.done == self.warm + self.steps:
            raise CancelFitException


class FastaiSide:
    """A Learner on class folders, everything at fastai's defaults but the network."""

    def __init__(
        self,
        data: Path,
        model: str,
        size: int,
        batch: int,
        workers: int,
        item_px: int = 460,
        *,
        threads: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ):
        torch.set_num_threads(threads or cores())
        self.workers, self.clock = workers, clock
        self.dls = ImageDataLoaders.from_folder(
            data,
            **parts_of(data),
            item_tfms=Resize(item_px),
            batch_tfms=[
                *aug_transforms(size=size, min_scale=0.75),
                Normalize.from_stats(*imagenet_stats),
            ],
            bs=batch,
            num_workers=workers,
            device=torch.device("cpu"),
        )
        network = timm.create_model(model, num_classes=self.dls.c)
        self.learn = Learner(self.dls, network, loss_func=CrossEntropyLossFlat(), metrics=accuracy)

    def train(self, steps: int) -> Timed:
        """Steps of fit_one_cycle, after one warm step, or as many as workers fetch ahead."""
        watch = Stopwatch(2 * self.workers or 1, steps, self.clock)
        with self.learn.no_bar(), self.learn.no_logging():
            self.learn.fit_one_cycle(1, LR, cbs=watch)
        return Timed(watch.images, watch.seconds)

    def validate(self, n: int) -> Timed:
        """Learner.validate on the first n validation pictures."""
        dl = self._first(n)
        with self.learn.no_bar(), self.learn.no_logging():
            since = self.clock()
            self.learn.validate(dl=dl)
            return Timed(dl.n, self.clock() - since)

    def tta(self, n: int, views: int) -> Timed:
        """Learner.tta on the same: the views, then the plain pictures."""
        dl = self._first(n)
        with self.learn.no_bar(), self.learn.no_logging():
            since = self.clock()
            self.learn.tta(dl=dl, n=views)
            return Timed(dl.n, self.clock() - since)

    def _first(self, n: int):
        items = list(self.dls.valid_ds.items[:n])
        return self.dls.test_dl(items, with_labels=True, num_workers=self.workers)


def parts_of(data: Path) -> dict:
    """from_folder's arguments: the folders of the two parts, or a random fifth."""
    names = {path.name for path in data.iterdir() if path.is_dir()}
    train = next((name for name in TRAIN if name in names), None)
    valid = next((name for name in VALID if name in names), None)
    if train and valid:
        return {"train": train, "valid": valid}
    return {"valid_pct": 0.2, "seed": 0}
