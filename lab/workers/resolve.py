"""Choices that the program makes for a run, with reasons: device, threads, precision, groups.

    resolved = resolve(recipe, network, device)

Written once to resolved.json; resumes and baselines read it there, so that a probe's mood never
separates two runs that are compared.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from lab.errors import LabError
from lab.recipe.facts import Resolved
from lab.recipe.model import Recipe
from lab.train.evaluation import autocast
from lab.train.model import Network

PROBE_BATCH = {"cpu": 16, "cuda": 64}
CLEARLY_FASTER = 1.05


def pick_device(wish: str) -> tuple[str, str]:
    """(device, reason). `auto`: the first GPU, else the CPU. Raises LabError for one not there."""
    if wish in ("", "auto"):
        if torch.cuda.is_available():
            return "cuda:0", f"a GPU is here: {torch.cuda.get_device_name(0)}"
        return "cpu", "no GPU is here"
    if wish.startswith("cuda"):
        index = int(wish.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            raise LabError(f"There is no device {wish} here.", "Use --device cpu.")
        return f"cuda:{index}", "asked for"
    if wish != "cpu":
        raise LabError(f"There is no device {wish!r}.", "Use cpu, or cuda:0.")
    return "cpu", "asked for"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve(recipe: Recipe, network: Network, device: str, why_device: str) -> Resolved:
    """Every choice with its reason."""
    threads = recipe.threads or cores()
    precision, why = recipe.precision, "the recipe says so"
    if precision == "auto":
        precision, why = probe_precision(recipe, network, device)
    return Resolved(
        device=device,
        precision=precision,
        threads=threads,
        groups=network.groups,
        reasons={
            "device": why_device,
            "precision": why,
            "threads": "the recipe says so" if recipe.threads else f"all {threads} cores",
            "groups": f"model.groups is {recipe.model.groups}",
        },
    )


def probe_precision(recipe: Recipe, network: Network, device: str) -> tuple[str, str]:
    """fp32 or bf16 by timing a few steps at the largest stage. Ties go to fp32."""
    stage = max(recipe.stages, key=lambda s: s.hw[0] * s.hw[1])
    batch = min(stage.batch_size, PROBE_BATCH[device.split(":")[0]])
    speeds = {kind: step_speed(network, stage.hw, batch, kind, device) for kind in ("fp32", "bf16")}
    faster = speeds["bf16"] > CLEARLY_FASTER * speeds["fp32"]
    words = ", ".join(f"{kind} {speed:.0f}" for kind, speed in speeds.items())
    return ("bf16" if faster else "fp32"), f"images/s in a timed probe at {stage.label} px: {words}"


def step_speed(
    network: Network,
    size: tuple[int, int],
    batch: int,
    precision: str,
    device: str,
    steps: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Training images a second on a copy: weights, norm buffers, random state stay."""
    with torch.random.fork_rng(devices=_cuda_indices(device)):
        trial = copy.deepcopy(network)
        trial.at_size(*size)
        model = trial.model.to(device, memory_format=torch.channels_last).train()
        x = torch.randn(batch, 3, *size, device=device).to(memory_format=torch.channels_last)
        y = torch.zeros(batch, dtype=torch.long, device=device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
        times = [
            _timed_step(model, optimizer, x, y, precision, device, clock) for _ in range(steps)
        ]
    return batch / min(times[1:])


def forward_speed(
    network: Network,
    size: tuple[int, int],
    batch: int,
    precision: str,
    device: str,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Validation images a second, on a copy."""
    trial = copy.deepcopy(network)
    trial.at_size(*size)
    model = trial.model.to(device, memory_format=torch.channels_last).eval()
    x = torch.zeros(batch, 3, *size, device=device).to(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode(), autocast(device, precision):
        for _ in range(3):
            since = clock()
            model(x).float().sum().item()
            times.append(clock() - since)
    return batch / min(times[1:])


def _timed_step(model, optimizer, x, y, precision, device, clock) -> float:
    since = clock()
    with autocast(device, precision):
        loss = F.cross_entropy(model(x).float(), y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    loss.item()
    return clock() - since


def _cuda_indices(device: str) -> list[int]:
    return [torch.device(device).index or 0] if device.startswith("cuda") else []
