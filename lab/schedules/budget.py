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
        macs = BACKWARD * sum(row.images * facts.model.gmacs(row.height, row.width) for row in rows)
    each = [epoch_seconds(recipe, row, facts) for row in rows]
    seconds = None if None in each else sum(each)
    label = recipe.stages[index].label
    pixels = sum(row.pixels for row in rows)
    steps = sum(row.steps for row in rows)
    return StageCost(index, label, len(rows), steps, images, pixels, macs, seconds)


def epoch_seconds(recipe: Recipe, row: EpochRow, facts: Facts) -> float | None:
    """Seconds of one epoch, training and validation; None where the device was never measured."""
    if facts.device is None or facts.data is None:
        return None
    speed = training_speed(recipe, row, facts.device, facts.model)
    if speed is None:
        return None
    valid = _best(
        facts.device.valid_speeds.get(valid_key(recipe.model.name, row.height, row.width, kind))
        for kind in _precisions(recipe)
    )
    return row.images / speed + facts.data.n_valid / (valid or VALID_SPEEDUP * speed)


def training_speed(
    recipe: Recipe, row: EpochRow, device: DeviceFacts, model: ModelFacts | None
) -> float | None:
    """Training images a second, measured or scaled; None where nothing is known."""
    name, kinds = recipe.model.name, _precisions(recipe)
    keys = [speed_key(name, row.height, row.width, row.batch, kind) for kind in kinds]
    exact = _best(device.speeds.get(key) for key in keys)
    if exact:
        return exact
    pixels = row.height * row.width
    scaled = _best(_from_other_sizes(device, name, kind, pixels) for kind in kinds)
    if scaled:
        return scaled
    if device.gmacs_per_s and model and model.gmacs_at_native:
        return device.gmacs_per_s / (BACKWARD * model.gmacs(row.height, row.width))
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
    return f"scaled from other networks measured on {device.name}: take it as a rough guess"


def _precisions(recipe: Recipe) -> tuple[str, ...]:
    """The precisions a run may have; `auto` takes the fastest that was measured."""
    return ("fp32", "bf16") if recipe.precision == "auto" else (recipe.precision,)


def _best(speeds: Iterable[float | None]) -> float | None:
    return max((speed for speed in speeds if speed), default=None)
