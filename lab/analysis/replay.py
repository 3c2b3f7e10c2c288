"""A run that is over, seen again as it went: what was known after so many seconds of work.

    epochs, steps = seen_at(run.epochs, run.steps, elapsed_s=95)
    length_s(run.epochs, run.steps);  size_starts(run.epochs)

The clock is that of work: `elapsed` of the epochs, pauses between attempts left out. Within an
epoch the steps come evenly while it trains; nothing comes while it validates.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

UNTIMED_EPOCH_S, UNTIMED_STEP_S = 60.0, 1.0  # where no time at all is known
_JUST_S = 1e-6  # what happens at this very moment has happened


def seen_at(
    epochs: pd.DataFrame, steps: pd.DataFrame, elapsed_s: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Epochs that had ended and steps that were done after `elapsed_s` seconds of work.

    epochs: curves.epochs_frame. steps: column `step`, global, from 0; may be empty.
    """
    n_epochs = int((epoch_ends(epochs) <= elapsed_s + _JUST_S).sum())
    n_steps = int((step_ends(epochs, steps) <= elapsed_s + _JUST_S).sum())
    return epochs.iloc[:n_epochs], steps.iloc[:n_steps]


def epoch_ends(epochs: pd.DataFrame) -> np.ndarray:
    """Seconds of work at which each epoch ends.

    Ends that are not known lie evenly between those that are; where none is, an epoch is a minute.
    """
    known = epochs["elapsed"].to_numpy(dtype=float)
    fine = np.isfinite(known)
    number = np.arange(1.0, len(known) + 1)
    if not fine.any():
        return number * UNTIMED_EPOCH_S
    last = np.flatnonzero(fine)[-1]
    pace = known[last] / number[last]  # beyond the last known end
    ends = np.interp(number, [0.0, *number[fine]], [0.0, *known[fine]])
    return np.where(number > number[last], known[last] + pace * (number - number[last]), ends)


def step_ends(epochs: pd.DataFrame, steps: pd.DataFrame) -> np.ndarray:
    """Seconds of work at which each step was done.

    Those after the last whole epoch go on at its pace.
    """
    number = steps["step"].to_numpy(dtype=float) if len(steps) else np.empty(0)
    lasts = epochs["step"].to_numpy(dtype=float)  # steps done when each epoch ends
    if not np.isfinite(lasts).all():
        lasts = np.empty(0)
    if not len(lasts):
        return (number + 1) * UNTIMED_STEP_S
    ends = epoch_ends(epochs)
    begins, firsts = np.append(0.0, ends), np.append(0.0, lasts)
    whole = np.diff(begins)
    trains = epochs["train_seconds"].to_numpy(dtype=float)
    trains = np.where(np.isfinite(trains) & (trains < whole), trains, whole)
    paces = trains / np.maximum(np.diff(firsts), 1)
    at = np.searchsorted(lasts, number, side="right")  # the epoch that a step belongs to
    paces = np.append(paces, paces[-1])
    return begins[at] + paces[at] * (number + 1 - firsts[at])


def length_s(epochs: pd.DataFrame, steps: pd.DataFrame) -> float:
    """Seconds of work in all, an epoch that was never finished included."""
    ends = [epoch_ends(epochs)[-1:], step_ends(epochs, steps)[-1:]]
    return float(max(np.concatenate(ends), default=0.0))


def size_starts(epochs: pd.DataFrame) -> list[float]:
    """Seconds of work at which a stage of another size begins; sizes of a ramp do not count."""
    sizes, stages = epochs[["height", "width"]].to_numpy(), epochs["stage"].to_numpy()
    ends = epoch_ends(epochs)
    return [
        float(ends[row - 1])
        for row in range(1, len(epochs))
        if stages[row] != stages[row - 1] and (sizes[row] != sizes[row - 1]).any()
    ]


def epochs_done(epochs: pd.DataFrame, steps: pd.DataFrame, elapsed_s: float) -> float:
    """How many epochs of the schedule were done, an epoch under way as a fraction by time."""
    times, places = _marks(epochs, steps)
    return float(np.interp(elapsed_s, times, places))


def time_of(epochs: pd.DataFrame, steps: pd.DataFrame, done: float) -> float:
    """Seconds of work after which so many epochs were done."""
    times, places = _marks(epochs, steps)
    return float(np.interp(done, places, times))


def _marks(epochs: pd.DataFrame, steps: pd.DataFrame) -> tuple[list[float], list[float]]:
    """Moments, and the epochs of the schedule done at each; a table may begin late in it."""
    if not len(epochs):
        return [0.0, max(length_s(epochs, steps), _JUST_S)], [0.0, 0.0]
    ends, places = epoch_ends(epochs).tolist(), (epochs["global_epoch"] + 1.0).tolist()
    times, done = [0.0, *ends], [places[0] - 1, *places]
    rest = length_s(epochs, steps) - ends[-1]
    if rest > _JUST_S:
        last = ends[-1] - times[-2]
        times.append(ends[-1] + rest)
        done.append(places[-1] + min(rest / max(last, _JUST_S), 0.99))
    return times, done
