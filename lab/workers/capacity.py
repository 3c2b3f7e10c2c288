"""What fits: automatic batch sizes, and a look at the largest stage before the first one begins.

    choose_batch(stage, n_train, network, device)            -> (64, the reason)
    preflight(recipe, network, device, "bf16", resolved)     -> [(1, "micro", 2, the reason)]

A GPU is asked by real steps on a copy. A CPU is only asked by arithmetic: a step that takes too
much there ends the process instead of raising anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from lab.recipe.facts import Resolved
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage
from lab.schedules.plan import make_plan
from lab.train.memory import (
    MB,
    Footprint,
    footprint,
    free_mb,
    out_of_memory,
    redo_in_smaller_parts,
    size_words,
)
from lab.train.model import Network
from lab.train.step import names_learning
from lab.workers.probe import Trial, release, same_random_state

Choice = tuple[int, str, int, str]  # stage, "micro", parts, reason

SHARE = 0.8  # of the free memory: the rest is for stores, validation and what others take
DOUBT = 2.0  # an estimate may be so many times too high: only then is a run refused by it
FEWEST, MOST_CPU, MOST_SMALL, MOST_LARGE = 8, 64, 512, 256  # images
SMALL_PX = 128 * 128  # up to here MOST_SMALL, above MOST_LARGE
STEPS = 8  # an epoch, at least
PEAK_BATCHES = 8, 16  # images of the two steps whose peaks are measured
MOST_BATCH = 4096  # that a recipe can ask for


def choose_batch(
    stage: Stage,
    n_train: int,
    network: Network,
    device: str,
    precision: str = "fp32",
    free: Callable[[str], float] = free_mb,
) -> tuple[int, str]:
    """A power of two for a stage whose batch size is auto, with the reason.

    At least 8 steps an epoch where that leaves 8 images a step; at most 64 on a CPU, on a GPU 512
    up to 128 px and 256 above; at most what takes 80 % of the free memory: measured on a GPU,
    estimated on a CPU.
    """
    height, width = stage.hw
    on_gpu = device.startswith("cuda")
    limit = (MOST_SMALL if height * width <= SMALL_PX else MOST_LARGE) if on_gpu else MOST_CPU
    available = free(device)
    if on_gpu:
        need = measured_footprint(network, stage.hw, device, precision)
    else:
        need = footprint(network, stage.hw, precision)
    batch, why = pick_batch(n_train, limit, need.most(SHARE * available))
    how = "measured" if on_gpu else "estimated"
    memory = f"it takes {_mb(need.mb(batch))} of {_mb(available)} free, as {how}"
    return batch, f"{why}; {memory}"


def pick_batch(n_train: int, limit: int, fits: int) -> tuple[int, str]:
    """(batch, words): the largest power of two within the images, a limit and the memory."""
    by_images = max(FEWEST, n_train // STEPS)
    batch = 2 ** int(math.log2(max(2, min(by_images, limit, fits))))
    if fits < min(by_images, limit):
        return batch, "the largest power of two that fits into the memory"
    if by_images >= limit:
        return batch, f"{n_train} training images, and {limit} at most here"
    if n_train < FEWEST * STEPS:
        return batch, f"only {n_train} training images: the smallest batch"
    return batch, f"{n_train} training images give at least {STEPS} steps an epoch"


def auto_batches(
    recipe: Recipe, n_train: int, network: Network, device: str, precision: str
) -> list[Choice]:
    """Batch sizes of all stages that leave them open; equal sizes get equal batches."""
    found: dict[tuple[int, int], tuple[int, str]] = {}
    choices = []
    for index, stage in enumerate(recipe.stages):
        if stage.batch_size == "auto":
            if stage.hw not in found:
                found[stage.hw] = choose_batch(stage, n_train, network, device, precision)
            choices.append((index, "batch_size", *found[stage.hw]))
    return choices


def measured_footprint(
    network: Network, hw: tuple[int, int], device: str, precision: str
) -> Footprint:
    """From the peaks of two small steps on a GPU: a straight line through both."""
    few, more = PEAK_BATCHES
    with same_random_state(device):
        first, second = (peak_mb(network, hw, batch, device, precision) for batch in PEAK_BATCHES)
    return line_through(few, first, more, second)


def line_through(few: int, first_mb: float, more: int, second_mb: float) -> Footprint:
    """The footprint whose peaks at two batch sizes these are.

    An image costs something even where both peaks are the weights': at least 1 % of them.
    """
    image = max((second_mb - first_mb) / (more - few), 0.01 * first_mb / few)
    return Footprint(max(0.0, first_mb - image * few), image)


def peak_mb(
    network: Network, hw: tuple[int, int], batch: int, device: str, precision: str
) -> float:
    """MiB that two training steps take on a GPU at their peak, above what was there before."""
    release(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    trial = Trial(network, hw, batch, device)
    for _ in range(2):
        trial.step(precision)
    peak = torch.cuda.max_memory_allocated(device)
    del trial
    release(device)
    return (peak - before) / MB


@dataclass(frozen=True)
class Load:
    """What one step of some stages asks of the memory."""

    stages: tuple[int, ...]
    trainable: str
    hw: tuple[int, int]
    batch: int

    @property
    def pixels(self) -> int:
        return self.hw[0] * self.hw[1] * self.batch


def preflight(
    recipe: Recipe,
    network: Network,
    device: str,
    precision: str,
    resolved: Resolved = Resolved(),  # noqa: B008 (frozen)
    n_train: int | None = None,
    free: Callable[[str], float] = free_mb,
) -> list[Choice]:
    """Parts that batches must be cut into, found before the first stage begins; [] where all fit.

    The largest stage (pixels x batch) of each kind of training is tried first; where it fits whole,
    the smaller ones do. On a GPU by two steps on a copy, in ever more parts; on a CPU by the
    estimate. Weights, buffers and random state stay. `resolved` says the automatic batch sizes.
    Raises LabError where not even one image fits.
    """
    found: list[Choice] = []
    fitting: set[str] = set()
    for load in loads(recipe, network, resolved, n_train):
        if load.trainable in fitting:
            continue
        stage = recipe.stages[load.stages[0]]
        norms = recipe.model.frozen_norms_train
        learning = names_learning(network.model, stage, False, norms)
        if device.startswith("cuda"):
            micro, reason = tried_parts(network, load, device, precision, learning)
        else:
            need = footprint(network, load.hw, precision, learning)
            micro, reason = estimated_parts(need, load, free(device))
        if micro == 1:
            fitting.add(load.trainable)
        found += [(index, "micro", micro, reason) for index in load.stages if micro > 1]
    return sorted(found)


def loads(recipe: Recipe, network: Network, resolved: Resolved, n_train: int | None) -> list[Load]:
    """The different steps of a recipe, the largest first; cached activations need none."""
    plan = make_plan(recipe, n_train or MOST_BATCH, network.groups, resolved)
    alike: dict[tuple[str, tuple[int, int], int], list[int]] = {}
    for index, stage in enumerate(recipe.stages):
        if not stage.cached_activations:
            key = (stage.trainable, stage.hw, plan.of_stage(index)[0].batch)
            alike.setdefault(key, []).append(index)
    found = [Load(tuple(stages), *key) for key, stages in alike.items()]
    return sorted(found, key=lambda load: -load.pixels)


def tried_parts(
    network: Network, load: Load, device: str, precision: str, learning: set[str] | None
) -> tuple[int, str]:
    """(parts, reason) from one step on a copy, in more parts until one fits."""

    def attempt(micro: int) -> None:
        trial = Trial(network, load.hw, math.ceil(load.batch / micro), device, learning)
        # The second step finds the optimizer's moments there, and in parts the gradients as well.
        trial.step(precision)
        trial.step(precision, keep_gradients=micro > 1)

    at = size_words(load.hw)
    with same_random_state(device):
        _, micro = redo_in_smaller_parts(attempt, 1, load.batch, lambda _: release(device), at)
    release(device)
    return (
        micro,
        f"a step at {at} with {load.batch} images ran out of memory before the first stage",
    )


def estimated_parts(need: Footprint, load: Load, available_mb: float) -> tuple[int, str]:
    """(parts, reason) by arithmetic. Raises LabError where one image is out of all proportion."""
    at = size_words(load.hw)
    if need.mb(1) > DOUBT * available_mb:
        raise out_of_memory(at)
    fits = max(1, need.most(SHARE * available_mb))
    micro = 1
    while math.ceil(load.batch / micro) > fits:
        micro = min(2 * micro, load.batch)
    return micro, (
        f"a step at {at} with {load.batch} images would take about {_mb(need.mb(load.batch))}; "
        f"{_mb(available_mb)} are free"
    )


def _mb(mb: float) -> str:
    return f"{mb / 1024:.1f} GB" if mb >= 1000 else f"{mb:.0f} MB"
