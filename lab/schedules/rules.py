"""When a stage ends before its last epoch: functions of the error rates seen so far in it.

    stops_early(errors, patience=3)                        no better epoch for three epochs
    cycles_run(errors, cycles=(1, 2, 4), frozen=0)         which cycle an epoch ended; None: none
    stops_cycling(errors, cycles, patience=1, frozen=0)    no better cycle for one cycle

`errors`: the stage's validation error rates, one an epoch, fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from lab.recipe.model import Rules
from lab.recipe.stage import Stage


def best_epoch(errors: Sequence[float]) -> int:
    """The epoch with the lowest error rate; of equals the first."""
    return min(range(len(errors)), key=lambda epoch: errors[epoch])


def stops_early(errors: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` epochs brought nothing better. 0: never."""
    return patience > 0 and len(errors) - 1 - best_epoch(errors) >= patience


def cycles_run(errors: Sequence[float], cycles: Sequence[int], frozen: int) -> int | None:
    """How many cycles have been run where the last epoch ended one, else None."""
    ends = [frozen + end for end in accumulate(cycles)]
    return ends.index(len(errors)) + 1 if len(errors) in ends else None


def stops_cycling(
    errors: Sequence[float], cycles: Sequence[int], patience: int, frozen: int
) -> bool:
    """Whether the last `patience` cycles brought no better error than all before. 0: never."""
    run = cycles_run(errors, cycles, frozen)
    if not patience or run is None or run <= patience:
        return False
    start = frozen + sum(cycles[: run - patience])
    return min(errors[start:]) >= min(errors[:start])


def reason_to_end(stage: Stage, rules: Rules, errors: Sequence[float]) -> str:
    """Why the stage ends after these epochs, in words; '' where it goes on."""
    if len(errors) >= stage.total_epochs:
        return ""
    if stops_cycling(errors, stage.cycles, stage.cycle_patience, stage.frozen_epochs):
        word = "cycle" if stage.cycle_patience == 1 else f"{stage.cycle_patience} cycles"
        return f"the last {word} brought no better error rate"
    if stops_early(errors, rules.early_stop_epochs):
        word = "epoch" if rules.early_stop_epochs == 1 else f"{rules.early_stop_epochs} epochs"
        return f"the last {word} brought no better error rate"
    return ""
