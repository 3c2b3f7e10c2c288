"""Curves of runs that are compared: a measure along an axis, and the band of a method's seeds.

    table = curve(epochs, steps, x="pixels", y="train_loss", smoothing=0.98)
    band = seed_band([table, other], "range")

Nothing here is thinned: smooth first, thin afterwards (curves.thin).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import t

from lab.analysis.curves import smoothed

CurveAxis = Literal["epoch", "step", "time", "pixels", "flops"]
Spread = Literal["range", "t"]
BY_STEP = {"train_loss": "loss", "lr": "lr"}  # measures that every step tells: column of the steps
BY_EPOCH = {
    "train_loss": "train_loss", "valid_loss": "valid_loss", "error": "error_rate", "lr": "lr",
}  # fmt: skip
POINT_COLUMNS = ("at", "x", "value", "smooth")
BAND_COLUMNS = ("at", "x", "mean", "low", "high", "n")


def column(epochs: pd.DataFrame, name: str) -> np.ndarray:
    """A column of numbers; NaN where an older run (or a published table) lacks it."""
    if name not in epochs:
        return np.full(len(epochs), np.nan)
    return epochs[name].to_numpy(dtype=float)


def epoch_places(epochs: pd.DataFrame, x: CurveAxis) -> np.ndarray:
    """Where epochs end on an axis: epochs, steps, seconds, pixels or FLOPs done by then."""
    if x == "epoch":
        return column(epochs, "global_epoch") + 1
    if x == "time":
        known = "elapsed" in epochs
        return column(epochs, "elapsed") if known else column(epochs, "seconds").cumsum()
    return column(epochs, x)


def step_places(steps: np.ndarray, epochs: pd.DataFrame, x: CurveAxis) -> np.ndarray:
    """Where global steps (from 0) end: straight between the ends of epochs.

    NaN past the last finished epoch, where only the count of steps is known.
    """
    done = np.asarray(steps, dtype=float) + 1
    if x == "step":
        return done
    known, ends = column(epochs, "step"), epoch_places(epochs, x)
    fine = np.isfinite(known) & np.isfinite(ends)
    if not fine.any():
        return np.full(len(done), np.nan)
    known, ends = np.append(0.0, known[fine]), np.append(0.0, ends[fine])
    return np.interp(done, known, ends, right=np.nan)


def curve(
    epochs: pd.DataFrame, steps: pd.DataFrame, x: CurveAxis, y: str, smoothing: float = 0.0
) -> pd.DataFrame:
    """Columns at, x, value, smooth; `at` counts steps or epochs from 1, rows without x are gone.

    y: train_loss, lr (by step where steps are known), valid_loss, error, size (by epoch; the
    side, or the side of the square with as many pixels). The learning rate and the size stay
    as they are.
    """
    if y in BY_STEP and len(steps):
        at = steps["step"].to_numpy(dtype=float) + 1
        places = step_places(steps["step"].to_numpy(), epochs, x)
        values = steps[BY_STEP[y]].to_numpy(dtype=float)
    else:
        at, places = column(epochs, "global_epoch") + 1, epoch_places(epochs, x)
        values = _sides(epochs) if y == "size" else column(epochs, BY_EPOCH[y])
    smooth = smoothed(values, smoothing) if y not in ("lr", "size") else values
    table = pd.DataFrame(dict(zip(POINT_COLUMNS, (at, places, values, smooth))))
    if y == "size" and len(table):  # the first size holds from the start
        table = pd.concat([table.iloc[:1].assign(at=0.0, x=0.0), table], ignore_index=True)
    return table[np.isfinite(table["x"].to_numpy(dtype=float))].reset_index(drop=True)


def seed_band(curves: Sequence[pd.DataFrame], spread: Spread) -> pd.DataFrame:
    """Mean over seeds at the same step or epoch, as far as all of them have come.

    Columns at, x (a mean too: seeds take different times), mean, low, high, n. `spread` is the
    smallest to the largest ("range") or the 95 % t interval of the mean ("t").
    """
    begun = [table.dropna(subset=["smooth"]) for table in curves]
    begun = [table for table in begun if len(table)]
    if len(begun) < 2:
        return pd.DataFrame(columns=list(BAND_COLUMNS), dtype=float)
    common = sorted(set.intersection(*(set(table["at"]) for table in begun)))
    rows = [table.set_index("at").loc[common] for table in begun]
    values = np.array([row["smooth"].to_numpy(dtype=float) for row in rows])
    low, high = _spread(values, spread)
    columns = (
        np.asarray(common, dtype=float),
        np.mean([row["x"].to_numpy(dtype=float) for row in rows], axis=0),
        values.mean(axis=0), low, high, np.full(len(common), len(begun)),
    )  # fmt: skip
    return pd.DataFrame(dict(zip(BAND_COLUMNS, columns)))


def _spread(values: np.ndarray, spread: Spread) -> tuple[np.ndarray, np.ndarray]:
    """values: seeds x places."""
    if spread == "range":
        return values.min(axis=0), values.max(axis=0)
    n = len(values)
    reach = t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return values.mean(axis=0) - reach, values.mean(axis=0) + reach


def _sides(epochs: pd.DataFrame) -> np.ndarray:
    return np.sqrt(column(epochs, "height") * column(epochs, "width"))
