"""What a plan costs before it is paid: pixels, multiply-adds, seconds on this device.

    forecast(recipe, plan, facts)   ->  Forecast(rows, seconds, basis)

Seconds come, best first, from a speed measured for just this (model, size, batch, precision); from
the same model at another size, scaled by pixels; from the device's multiply-adds a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lab.recipe.facts import DeviceFacts, Facts, ModelFacts
from lab.recipe.model import Recipe
from lab.schedules.plan import EpochRow, Plan

BACKWARD = 3.0  # forward and backward cost about three forwards
VALID_SPEEDUP = 3.0  # where only training was measured


@dataclass(frozen=True)
class StageCost:
    """The cost of one stage; seconds are None where nothing is known of the device."""

    stage: int
    label: str
    epochs: int
    steps: int
    images: int
    pixels: int
    gmacs: float | None
    seconds: float | None


@dataclass(frozen=True)
class Forecast:
    """The cost of a run. `basis` says in words where the seconds come from."""

    stages: tuple[StageCost, ...]
    pixels: int
    seconds: float | None
    basis: str


def speed_key(model: str, height: int, width: int, batch: int, precision: str) -> str:
    """The name under which a training speed is stored in DeviceFacts.speeds."""
    return f"{model}|{height}x{width}|{batch}|{precision}"


def valid_key(model: str, height: int, width: int, precision: str) -> str:
    """The name under which a validation speed is stored in DeviceFacts.valid_speeds."""
    return f"{model}|{height}x{width}|{precision}"


def forecast(recipe: Recipe, plan: Plan, facts: Facts) -> Forecast:
    """The cost per stage and in all."""
    costs = tuple(
        _stage_cost(index, recipe, plan.of_stage(index), facts)
        for index in range(len(recipe.stages))
    )
    known = [cost.seconds for cost in costs]
    seconds = None if None in known or not known else sum(known)
    return Forecast(costs, plan.total_pixels, seconds, _basis(recipe, plan, facts))


def _stage_cost(index: int, recipe: Recipe, rows: tuple[EpochRow, ...], facts: Facts) -> StageCost:
    images = sum(row.images for row in rows)
    macs = None
    if facts.model:
        macs = sum(_epoch_gmacs(recipe, row, facts.model) for row in rows)
    each = [epoch_seconds(recipe, row, facts) for row in rows]
    seconds = None if None in each else sum(each)
    label = recipe.stages[index].label
    pixels = sum(row.pixels for row in rows)
    steps = sum(row.steps for row in rows)
    return StageCost(index, label, len(rows), steps, images, pixels, macs, seconds)


def _epoch_gmacs(recipe: Recipe, row: EpochRow, model: ModelFacts) -> float:
    """Multiply-adds of training in one epoch, in 1e9."""
    if row.cached:
        return _passes(recipe, row) * row.images * model.gmacs(row.height, row.width)
    shares = row.shares
    return BACKWARD * sum(images * model.gmacs(height, width) for images, height, width in shares)


def _passes(recipe: Recipe, row: EpochRow) -> int:
    """How often the body sees every training image in an epoch of cached activations."""
    return 1 + recipe.stages[row.stage].cached_views if row.epoch == 0 else 0


def epoch_seconds(recipe: Recipe, row: EpochRow, facts: Facts) -> float | None:
    """Seconds of one epoch, training and validation; None where the device was never measured.

    Validation is at the stage's size. Cached activations cost forward passes, in the stage's first
    epoch only.
    """
    if facts.device is None or facts.data is None:
        return None
    known = (facts.device, facts.model)
    at_end = training_speed(recipe, row, recipe.stages[row.stage].hw, *known)
    if at_end is None:
        return None
    height, width = recipe.stages[row.stage].hw
    valid = _best(
        facts.device.valid_speeds.get(valid_key(recipe.model.name, height, width, kind))
        for kind in _precisions(recipe)
    )
    forward = valid or VALID_SPEEDUP * at_end
    if row.cached:
        images = _passes(recipe, row) * row.images + (row.epoch == 0) * facts.data.n_valid
        return images / forward
    seconds = facts.data.n_valid / forward
    for images, *size in row.shares:
        seconds += images / training_speed(recipe, row, tuple(size), *known)
    return seconds


def training_speed(
    recipe: Recipe,
    row: EpochRow,
    size: tuple[int, int],
    device: DeviceFacts,
    model: ModelFacts | None,
) -> float | None:
    """Training images a second at (height, width), measured or scaled; None: nothing is known."""
    name, kinds = recipe.model.name, _precisions(recipe)
    keys = [speed_key(name, *size, row.batch, kind) for kind in kinds]
    exact = _best(device.speeds.get(key) for key in keys)
    if exact:
        return exact
    pixels = size[0] * size[1]
    scaled = _best(_from_other_sizes(device, name, kind, pixels) for kind in kinds)
    if scaled:
        return scaled
    if device.gmacs_per_s and model and model.gmacs_at_native:
        return device.gmacs_per_s / (BACKWARD * model.gmacs(*size))
    return None


def _from_other_sizes(device: DeviceFacts, name: str, precision: str, pixels: int) -> float | None:
    """The nearest measured size of the same model, scaled by pixels."""
    found = []
    for key, speed in device.speeds.items():
        model, size, _, kind = key.split("|")
        if model == name and kind == precision:
            height, width = (int(side) for side in size.split("x"))
            found.append((height * width, speed))
    if not found:
        return None
    nearest, speed = min(found, key=lambda pair: abs(pair[0] - pixels))
    return speed * nearest / pixels


def _basis(recipe: Recipe, plan: Plan, facts: Facts) -> str:
    device = facts.device
    if device is None or not (device.speeds or device.gmacs_per_s):
        return "nothing was measured on this machine yet"
    name, kinds = recipe.model.name, _precisions(recipe)
    rows = {(row.height, row.width, row.batch) for row in plan.epochs}
    known = [any(speed_key(name, *row, kind) in device.speeds for kind in kinds) for row in rows]
    if all(known):
        return f"measured on {device.name} for each size"
    if any(key.startswith(f"{name}|") and key.endswith(kinds) for key in device.speeds):
        return f"{name} measured on {device.name} at other sizes, scaled by pixels"
    if not (device.gmacs_per_s and facts.model):
        return f"{name} was never measured on {device.name}"
    return f"scaled from other networks measured on {device.name}: take it as a rough guess"


def _precisions(recipe: Recipe) -> tuple[str, ...]:
    """The precisions a run may have; `auto` takes the fastest that was measured."""
    return ("fp32", "bf16") if recipe.precision == "auto" else (recipe.precision,)


def _best(speeds: Iterable[float | None]) -> float | None:
    return max((speed for speed in speeds if speed), default=None)
