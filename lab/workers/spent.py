"""What a run's training has cost so far: `Spent(run, trainer, device).by(row)`, for its events."""

from __future__ import annotations

import contextlib

from lab.runs.events import read_events
from lab.runs.folder import RunFolder
from lab.schedules.plan import EpochRow
from lab.train.flops import FlopCount
from lab.train.trainer import Trainer
from lab.workers.energy import EnergyMeter


class Spent:
    """Operations and joules, over all attempts of a run."""

    def __init__(self, run: RunFolder, trainer: Trainer, device: str):
        self.trainer, self.meter = trainer, EnergyMeter(device)
        network = trainer.network
        self.flops = FlopCount(trainer.recipe, network.n_classes, network.groups)
        told = [event for event in read_events(run) if event["kind"] == "epoch"]
        self.before_j = told[-1].get("energy_j") if told else 0.0

    def by(self, row: EpochRow) -> dict[str, float]:
        """`flops` and `energy_j` by the end of an epoch; a number that is not known is left out."""
        found: dict[str, float] = {}
        with contextlib.suppress(Exception):  # an operator that the meta device lacks
            found["flops"] = self.flops.by_epoch(self.trainer.plan)[row.global_epoch]
        joules = self.meter.joules()
        if joules is not None and self.before_j is not None:
            found["energy_j"] = round(self.before_j + joules, 1)
        return found
