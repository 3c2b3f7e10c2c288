"""Choices that the program makes for a run, with reasons: device, threads, precision, batch sizes.

    resolved = resolve(recipe, network, device, why, data_facts)
    for choice in preflight(recipe, network, device, resolved.precision, resolved, n_train):
        resolved = resolved.with_choice(*choice)          # parts, where memory is short

Written once to resolved.json; resumes and baselines read it there, so that a probe's mood never
separates two runs that are compared.
"""

from __future__ import annotations

import os

import torch

from lab.errors import LabError
from lab.recipe.facts import DataFacts, Resolved
from lab.recipe.model import Recipe
from lab.schedules.plan import make_plan
from lab.train.model import Network
from lab.train.remedies import remedies_for
from lab.workers.capacity import auto_batches, choose_batch, preflight
from lab.workers.probe import forward_speed, heaviest_stage, probe_precision, step_speed
from lab.workers.probe_remedies import probe_remedies, race_with_remedies

PROBE_WORTH_S = 120.0  # a shorter training would not repay the probe, which takes some seconds
PROBE_IMAGES = 32

__all__ = [
    "choose_batch",
    "cores",
    "forward_speed",
    "pick_device",
    "pick_devices",
    "preflight",
    "probe_precision",
    "resolve",
    "step_speed",
]


def pick_device(wish: str) -> tuple[str, str]:
    """(device, reason). `auto`: the first GPU, else the CPU. Raises LabError for one not there."""
    if wish in ("", "auto"):
        if torch.cuda.is_available():
            return "cuda:0", f"a GPU is here: {torch.cuda.get_device_name(0)}"
        return "cpu", "no GPU is here"
    if "," in wish or wish == "cuda:all":
        raise LabError(f"This work takes one device, not {wish}.", "Use cpu, or cuda:0.")
    if wish.startswith("cuda"):
        number = wish.partition(":")[2] or "0"
        if not number.isdecimal() or int(number) >= torch.cuda.device_count():
            raise LabError(f"There is no device {wish} here.", "Use --device cpu.")
        return f"cuda:{int(number)}", "asked for"
    if wish != "cpu":
        raise LabError(f"There is no device {wish!r}.", "Use cpu, or cuda:0.")
    return "cpu", "asked for"


def pick_devices(wish: str) -> tuple[str, str]:
    """(device, reason), where a run may name several: `cuda:0,cuda:1`, `cuda:all`, `cpu,cpu`.

    Each gets a process of its own. Raises LabError for one that is not there, for the same GPU
    twice, and for GPU and CPU together.
    """
    names = [name.strip() for name in wish.split(",")]
    if wish == "cuda:all":
        names = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if len(names) == 1:
        return pick_device(names[0])
    if not names or not all(names):
        raise LabError(f"There is no device {wish!r} here.", "Use --device cpu.")
    picked = [pick_device(name)[0] for name in names]
    on_cpu = picked.count("cpu")
    if 0 < on_cpu < len(picked):
        raise LabError("GPU and CPU cannot share a run.", "Name GPUs alone, or cpu alone.")
    if not on_cpu and len(set(picked)) < len(picked):
        raise LabError(f"{wish} names a GPU twice.", "Name each GPU once.")
    return ",".join(picked), f"{len(picked)} processes, asked for"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve(
    recipe: Recipe, network: Network, device: str, why: str, data_facts: DataFacts | None = None
) -> Resolved:
    """Every choice that can be made before the first stage, with its reason (`why`: the device's).

    Batch sizes that are auto are chosen where `data_facts` say how many images there are.
    """
    precision, why_precision = chosen_precision(recipe, network, device)
    n_train = data_facts.n_train if data_facts else 0
    remedies, why_remedies = chosen_remedies(recipe, network, device, precision, n_train)
    resolved = Resolved(
        device=device,
        precision=precision,
        threads=recipe.threads or cores(),
        groups=network.groups,
        remedies=remedies,
        reasons={
            "device": why,
            "precision": why_precision,
            "remedies": why_remedies,
            "threads": "the recipe says so" if recipe.threads else f"all {cores()} cores",
            "groups": f"model.groups is {recipe.model.groups}",
        },
    )
    if data_facts is not None:
        for choice in auto_batches(recipe, data_facts.n_train, network, device, precision):
            resolved = resolved.with_choice(*choice)
    return resolved


def chosen_precision(recipe: Recipe, network: Network, device: str) -> tuple[str, str]:
    """(precision, reason): the recipe's, or by timing a few steps."""
    if recipe.precision == "auto":
        return probe_precision(recipe, network, device, race_with_remedies)
    if recipe.precision == "fp16" and device == "cpu":
        return "fp16", "the recipe says so; on a CPU it is slower than fp32"
    return recipe.precision, "the recipe says so"


def chosen_remedies(
    recipe: Recipe, network: Network, device: str, precision: str, n_train: int
) -> tuple[tuple[str, ...], str]:
    """(names, reason): faster forms of slow layers, by timed steps at the smallest and the heaviest
    stage. They are raced only where the training is long enough to repay it."""
    if not remedies_for(network.model, device, precision):
        return (), "none is known for this network on this device"
    heavy = recipe.stages[heaviest_stage(recipe)]
    seconds = _training_s(recipe, network, device, precision, n_train, heavy.hw)
    if seconds < PROBE_WORTH_S:
        return (), f"not raced: about {seconds:.0f} s of training would not repay it"
    small = min((stage.hw for stage in recipe.stages), key=lambda hw: hw[0] * hw[1])
    kept, reasons = [], []
    for size in dict.fromkeys((small, heavy.hw)):
        names, reason = probe_remedies(network, size, PROBE_IMAGES, precision, device)
        kept += [name for name in names if name not in kept]
        reasons.append(reason)
    return tuple(kept), "; ".join(reasons)


def _training_s(
    recipe: Recipe,
    network: Network,
    device: str,
    precision: str,
    n_train: int,
    at: tuple[int, int],
) -> float:
    """Seconds of the whole training, from two steps at one size, by pixels."""
    speed = step_speed(network, at, PROBE_IMAGES // 2, precision, device, steps=2)
    rows = make_plan(recipe, max(n_train, 1), network.groups).epochs
    pixels = sum(row.pixels for row in rows if not row.cached)
    return pixels / (at[0] * at[1]) / speed
