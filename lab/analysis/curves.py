"""Events and steps of a run as tables; how long it will still take; how good the forecast was.

epochs = epochs_frame(read_events(run))
steps = thin(steps_frame(run), 1000)
left_s = eta_seconds(plan, epochs, steps_done)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from lab.recipe.stage import hw
from lab.runs.events import read_events, read_steps
from lab.runs.folder import RunFolder
from lab.runs.status import standing, supervision
from lab.schedules.plan import EpochRow, Plan

EPOCH_COLUMNS = (
    "stage", "epoch", "global_epoch", "size", "train_loss", "valid_loss", "accuracy", "error_rate",
    "seconds", "train_seconds", "images_per_s", "lr", "pixels", "step",
    "flops", "energy_j",
)  # fmt: skip
SMOOTHING = 0.98  # fastai's running train loss


def epochs_frame(events: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """A row an epoch: the event's fields, `label` ("128", "256×192"), `height`, `width`, `elapsed`.

    `elapsed` sums the `seconds` of the epochs so far: time at work, whatever pauses lay between.
    A field that an event lacks is NaN.
    """
    found = [event for event in events if event["kind"] == "epoch"]
    frame = pd.DataFrame(
        [[event.get(name) for name in EPOCH_COLUMNS] for event in found], columns=EPOCH_COLUMNS
    )
    sizes = [hw(size) for size in frame["size"]]
    frame["height"], frame["width"] = [h for h, _ in sizes], [w for _, w in sizes]
    frame["label"] = [size_label(size) for size in frame["size"]]
    numbers = [name for name in EPOCH_COLUMNS if name != "size"]
    frame[numbers] = frame[numbers].apply(pd.to_numeric)
    frame["elapsed"] = frame["seconds"].astype(float).fillna(0).cumsum()
    return frame


def size_label(size: int | Sequence[int]) -> str:
    """`128` or `256×192` (height × width)."""
    height, width = hw(size)  # type: ignore[arg-type]
    return str(height) if height == width else f"{height}×{width}"


def steps_frame(run: RunFolder, smoothing: float = SMOOTHING) -> pd.DataFrame:
    """Columns step, loss, lr, smooth for every step taken. `step` counts from 0, as the plan does.

    `smooth` is computed over all steps, so thin afterwards.
    """
    rows = read_steps(run)
    loss = rows["loss"].astype(np.float64)
    columns = {
        "step": rows["step"].astype(np.int64) - 1,
        "loss": loss,
        "lr": rows["lr"].astype(np.float64),
        "smooth": smoothed(loss, smoothing),
    }
    return pd.DataFrame(columns)


def smoothed(values: np.ndarray, weight: float = SMOOTHING) -> np.ndarray:
    """Exponential running mean without start-up bias; values that are not finite are passed over.

    weight in [0, 1): share of the past; 0 changes nothing. NaN before the first finite value.
    """
    values = np.asarray(values, np.float64)
    fine = np.isfinite(values)
    kept = values[fine]
    if not len(kept):
        return np.full(len(values), np.nan)
    total = lfilter([1 - weight], [1, -weight], kept)
    means = total / (1 - weight ** np.arange(1, len(kept) + 1))
    last = np.cumsum(fine) - 1  # which finite value each place has seen last
    return np.where(last >= 0, means[np.maximum(last, 0)], np.nan)


def thin(frame: pd.DataFrame, most: int = 1000) -> pd.DataFrame:
    """At most `most` rows: every k-th from the first, k a power of two, and the last one.

    Rows kept once stay kept until k doubles, so a live curve does not shiver.
    """
    n, stride = len(frame), 1
    while n > stride * (most - 1):
        stride *= 2
    kept = np.arange(0, n, stride)
    if n and kept[-1] != n - 1:
        kept = np.append(kept, n - 1)
    return frame.iloc[kept]


def eta_seconds(plan: Plan, epochs: pd.DataFrame, steps_done: int = 0) -> float | None:
    """Seconds of training and validation still to come; None before an epoch has been measured.

    Each epoch to come is taken to last as the latest like it did: same size and same frozen state,
    else same size, else the nearest size scaled by pixels. An epoch under way counts by its steps.
    """
    speeds = _measured(plan, epochs)
    if not speeds:
        return None
    done = len(epochs)
    total = 0.0
    for row in plan.epochs[done:]:
        share = min(max(steps_done - row.first_step, 0) / row.steps, 1.0)
        total += (1 - share) * _seconds_like(row, speeds)
    return total


def _measured(plan: Plan, epochs: pd.DataFrame) -> list[tuple[EpochRow, float]]:
    """Rows that have been timed, latest first. The very first epoch warms up: the last resort."""
    rows = [
        (plan.epochs[int(number)], float(seconds))
        for number, seconds in zip(epochs["global_epoch"], epochs["seconds"])
        if int(number) < len(plan.epochs) and seconds > 0
    ]
    return rows[:0:-1] + rows[:1]


def _seconds_like(row: EpochRow, measured: list[tuple[EpochRow, float]]) -> float:
    def unlikeness(entry: tuple[EpochRow, float]) -> tuple[bool, float, bool]:
        other = entry[0]
        area, mine = other.height * other.width, row.height * row.width
        same = (other.height, other.width) == (row.height, row.width)
        return not same, abs(np.log(area / mine)), other.frozen != row.frozen

    other, seconds = min(measured, key=unlikeness)
    return seconds * row.pixels / max(other.pixels, 1)


def run_summary(run: RunFolder) -> dict[str, Any]:
    """What one run came to: names, cost, the scores of every stage at its own and the final size.

    Keys: run, name, preset, status, seed, model, sizes, epochs, total_epochs, seconds,
    train_seconds, pixels, forecast_s, forecast_error, device, precision, stages, scores (of the
    last finished stage at the final size; empty while there is none).
    """
    recipe, events = run.recipe(), read_events(run)
    epochs = epochs_frame(events)
    started = next((event for event in reversed(events) if event["kind"] == "run_started"), {})
    stages = [_stage_summary(run, number) for number in run.finished_stages()]
    cost = _cost(epochs)
    return {
        "run": run.id,
        "name": recipe.name,
        "preset": recipe.preset,
        "status": standing(run).status,
        "seed": recipe.seed,
        "model": recipe.model.name,
        "sizes": [stage.label for stage in recipe.stages],
        "total_epochs": recipe.total_epochs,
        **cost,
        **_forecast(run, cost, done=standing(run).status == "finished"),
        "device": started.get("device") or run.resolved().get("device", ""),
        "precision": started.get("precision") or run.resolved().get("precision", ""),
        "stages": stages,
        "scores": stages[-1]["final"] if stages else {},
    }


def _stage_summary(run: RunFolder, number: int) -> dict[str, Any]:
    found = run.scores(number)
    sizes = {"size": found.get("size"), "final_size": found.get("final_size")}
    return {"stage": number, **sizes, "own": found.get("own", {}), "final": found.get("final", {})}


def _cost(epochs: pd.DataFrame) -> dict[str, Any]:
    return {
        "epochs": len(epochs),
        "seconds": float(epochs["seconds"].sum()),
        "train_seconds": float(epochs["train_seconds"].sum()),
        "pixels": int(epochs["pixels"].max()) if len(epochs) else 0,
    }


def _forecast(run: RunFolder, cost: dict[str, Any], done: bool) -> dict[str, float | None]:
    """The forecast that was stored at the launch, and how far off it was."""
    expected = run.meta().get("forecast_s") or supervision(run).get("forecast_s")
    error = forecast_error(expected, cost["seconds"]) if expected and done else None
    return {"forecast_s": expected, "forecast_error": error}


def forecast_error(expected_s: float, actual_s: float) -> float | None:
    """(expected - actual) / actual: 0.2 says that the forecast was 20 % too long."""
    return (expected_s - actual_s) / actual_s if actual_s > 0 else None
