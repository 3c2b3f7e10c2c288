"""Cached activations: a frozen body looks at every picture once, the head trains on what it said.

    cache = ActivationCache.build(model, train, valid, stage, row, seed, norm, device, precision)
    for features, labels in cache.batches(row, seed, start): head_logits(model, features, True)
    features, labels = cache.valid()

fast.ai's `precompute`. Unlike fastai's frozen epoch, whose norms go on learning from augmented
batches, the body here is in eval mode and sees plain pictures (and `cached_views` fixed views).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import nn

from lab.errors import LabError, Stopped
from lab.methods.activations import body_features, check_cut, head_logits
from lab.recipe.stage import Stage
from lab.schedules.plan import EpochRow
from lab.vision.draws import epoch_order, generator, uniforms
from lab.vision.loader import DRAWS, Normalisation, TestPictures, TrainPictures, random_canvas
from lab.vision.randaugment import rand_draws
from lab.vision.resident import sent

__all__ = ["ActivationCache", "cached_cost", "head_logits"]

CACHED = "cached"  # names the draws of this file
MEMORY_MB = 256  # beyond that from disk: half of what a run may take above its model's own memory
RESERVE_MB = 200  # left free on the disk, for checkpoints and events
BATCH, GPU_BATCH = 64, 256  # fixed: a picture's last bits depend on the shape of its batch

Progress = Callable[[str, int, int], None]  # what, done, total


def quiet(what: str, done: int, total: int) -> None:
    """A progress that shows nothing."""


def never() -> bool:
    """A stop flag that nobody sets."""
    return False


def cached_cost(n_train: int, n_valid: int, views: int = 0) -> int:
    """Pictures that pass through the body, forward only, to build a cache: once per stage."""
    return n_train * (1 + views) + n_valid


def view_numbers(seed: int, stage: int, epoch: int, n: int, views: int) -> np.ndarray:
    """Which view each position of an epoch takes: int64 (n,), 0 (plain) to `views`."""
    return generator(CACHED, seed, stage, epoch).integers(0, views + 1, size=n)


@dataclass(frozen=True, eq=False)
class ActivationCache:
    """What the body of one stage says of its pictures.

    `table`: float32 ((1 + views) * n_train + n_valid, width): the plain training pictures, each
    further view of all of them, then the validation pictures. In memory, on the run's device, or
    paged from an unnamed file, which the system takes back with the cache, even after a kill.

    A cache is a function of (body, pictures, stage, seed, precision, device, threads): rebuilt
    after a kill, it holds the same bits, because pictures go through in the same fixed batches.
    """

    table: torch.Tensor
    train_labels: np.ndarray
    valid_labels: np.ndarray
    stage: Stage
    device: str
    on_disk: bool = False

    @classmethod
    def build(
        cls,
        model: nn.Module,
        train: TrainPictures,
        valid: TestPictures,
        stage: Stage,
        row: EpochRow,
        seed: int,
        norm: Normalisation,
        device: str = "cpu",
        precision: str = "fp32",
        folder: Path | None = None,
        stop: Callable[[], bool] = never,
        progress: Progress = quiet,
        budget_mb: float = MEMORY_MB,
    ) -> ActivationCache:
        """Every picture once through the body, in eval mode; the model's modes are put back.

        Raises Stopped on request, and LabError where the network cannot be cut before its head,
        or where the features fit neither the budget nor the disk of `folder`.
        """
        total = cached_cost(len(train), len(valid), stage.cached_views)
        where = f"stages.{row.stage}.cached_activations"
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            with torch.inference_mode():
                first = np.arange(min(2, len(train)))
                width = check_cut(
                    model, _view(train, stage, 0, first, (seed, row.stage), norm), where
                )
                with _Rows(total, width, folder, budget_mb, where) as rows:
                    for x in _inputs(train, valid, stage, (seed, row.stage), norm):
                        if stop():
                            raise Stopped
                        with _autocast(device, precision):
                            features = body_features(model, x)
                        rows.add(features.float().cpu().numpy())
                        progress("Caching activations", rows.done, total)
                    found, paged = rows.table(), rows.file is not None
        finally:
            for module, training in modes:
                module.training = training
        table = found if paged else found.to(device)
        return cls(table, train.labels, valid.targets, stage, device, paged)

    def batches(
        self, row: EpochRow, seed: int, start: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The steps of an epoch from step `start` on, in the order that pictures would have.

        Features float32 (n, width) and labels as the pictures' own, on the run's device. Epochs
        without augmentation take the plain view alone.
        """
        items = epoch_order(self.stage, row, seed, self.train_labels)
        rows = items + len(self.train_labels) * self._views(row, seed)
        for step in range(start, row.steps):
            at = slice(step * row.batch, (step + 1) * row.batch)
            picked = sent(rows[at], self.table.device)
            labels = sent(self.train_labels[items[at]], self.device)
            yield self.table[picked].to(self.device), labels

    def valid(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Features and labels of the validation pictures, in their order."""
        features = self.table[len(self.table) - len(self.valid_labels) :]
        return features.to(self.device), sent(self.valid_labels, self.device)

    def _views(self, row: EpochRow, seed: int) -> np.ndarray | int:
        views = self.stage.cached_views if row.augmented else 0
        n = len(self.train_labels)
        return view_numbers(seed, row.stage, row.epoch, n, views) if views else 0


class _Rows:
    """Features as they come in, float32, in memory or in a file that no folder shows.

    Written, not mapped, until whole: a full disk then is an OSError, where a write through a
    mapping would kill the process.
    """

    def __init__(self, n: int, width: int, folder: Path | None, budget_mb: float, where: str):
        self.n, self.width, self.done = n, width, 0
        self.file: IO[bytes] | None = None
        size = n * width * 4
        if size > budget_mb * 1e6:
            _check_room(size, folder, budget_mb, where)
            self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 closed by __exit__
        else:
            self._array = np.empty((n, width), dtype=np.float32)

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, *error: object) -> None:
        if self.file:
            self.file.close()

    def add(self, block: np.ndarray) -> None:
        """Some more rows: float32 (k, width)."""
        if self.file:
            self.file.write(np.ascontiguousarray(block).data)
        else:
            self._array[self.done : self.done + len(block)] = block
        self.done += len(block)

    def table(self) -> torch.Tensor:
        """All rows, once they are there; from a file they stay readable when it is closed."""
        assert self.done == self.n
        if not self.file:
            return torch.from_numpy(self._array)
        self.file.flush()
        # mode "c": torch wants memory that it may write to; nobody does
        return torch.from_numpy(np.memmap(self.file, np.float32, "c", shape=(self.n, self.width)))


def _check_room(size: int, folder: Path | None, budget_mb: float, where: str) -> None:
    """Raises LabError where a file of `size` bytes has no room."""
    fix = "lower cached_views, or switch cached_activations off."
    need = f"Cached activations take {size / 1e6:,.0f} MB"
    if folder is None:
        raise LabError(f"{need}, more than {budget_mb:,.0f} MB of memory.", fix.capitalize(),
                       where=where)  # fmt: skip
    free = shutil.disk_usage(folder).free
    if size + RESERVE_MB * 1e6 > free:
        raise LabError(
            f"{need}, and {RESERVE_MB} MB are kept for checkpoints, but only "
            f"{free / 1e6:,.0f} MB are free on the disk.",
            f"Free some space, {fix}",
            where=where,
        )


def _inputs(
    train: TrainPictures,
    valid: TestPictures,
    stage: Stage,
    where: tuple[int, int],
    norm: Normalisation,
) -> Iterator[torch.Tensor]:
    """Batches for the body, in the order of the table. where: seed, number of the stage."""
    batch = BATCH if norm.device == "cpu" else GPU_BATCH
    for view in range(stage.cached_views + 1):
        for start in range(0, len(train), batch):
            items = np.arange(start, min(start + batch, len(train)))
            yield _view(train, stage, view, items, where, norm)
    for x, _ in valid.batches(batch, norm):
        yield x


def _view(
    train: TrainPictures,
    stage: Stage,
    view: int,
    items: np.ndarray,
    where: tuple[int, int],
    norm: Normalisation,
) -> torch.Tensor:
    """Training pictures as one view shows them: 0 as the stage's test transform frames them,
    others as training would, by draws that depend on the picture and not on its company."""
    canvas, shapes = train.canvas(items, norm.device)
    if view == 0:
        return norm(
            random_canvas(canvas, shapes, stage.still(), np.zeros((len(items), DRAWS)), None)
        )
    keys = [(CACHED, *where, view, int(item)) for item in items]
    draws = np.concatenate([uniforms(1, DRAWS, *key) for key in keys])
    rand = [rand_draws(stage.augment, 1, *key) for key in keys]
    r = None if rand[0] is None else np.concatenate(rand)
    return norm(random_canvas(canvas, shapes, stage, draws, r))


def _autocast(device: str, precision: str) -> torch.autocast:
    """lab.train.precision's context, which methods may not import."""
    kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
    dtype = kinds.get(precision, torch.bfloat16)
    return torch.autocast(device.split(":")[0], dtype=dtype, enabled=precision in kinds)
