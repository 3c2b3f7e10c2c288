"""Joules that a device reports: a GPU through NVML, a processor through Linux's powercap counters.

    meter = EnergyMeter("cuda:0")
    meter.joules()          # since the meter was made; None where nothing is reported

It is the whole device's energy, whoever else used it meanwhile, without fans, disks and memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Sums a device's counters from where they stood; a counter that wrapped round is followed."""

    def __init__(self, device: str, powercap: Path = POWERCAP):
        names = device.split(",")
        self._counters = (
            [gpu_counter(name) for name in names]
            if device.startswith("cuda")
            else processor_counters(powercap)
        )
        self._last = [self._read(counter) for counter in self._counters]
        self._sum = 0.0
        self.reports = bool(self._last) and None not in self._last

    def joules(self) -> float | None:
        """Since the meter was made; None where the device reports nothing (any more)."""
        if not self.reports:
            return None
        now = [self._read(counter) for counter in self._counters]
        if None in now:
            self.reports = False
            return None
        for counter, before, after in zip(self._counters, self._last, now):
            self._sum += after - before if after >= before else after - before + counter.wraps_at
        self._last = now
        return self._sum

    @staticmethod
    def _read(counter: Counter | None) -> float | None:
        with contextlib.suppress(Exception):  # NVML has its own exceptions, sysfs its OSErrors
            return counter.read() if counter else None
        return None


class Counter:
    """A counter of joules that begins anew at `wraps_at`."""

    def __init__(self, read: Callable[[], float], wraps_at: float = 0.0):
        self.read, self.wraps_at = read, wraps_at


def processor_counters(powercap: Path = POWERCAP) -> list[Counter]:
    """One a processor package; [] where there are none or they may not be read."""
    found = []
    for zone in sorted(powercap.glob("intel-rapl:*")):
        if zone.name.count(":") == 1:  # packages; cores and memory lie within
            with contextlib.suppress(OSError, ValueError):
                (zone / "energy_uj").read_text()
                wraps = int((zone / "max_energy_range_uj").read_text()) / 1e6
                found.append(Counter(_reader(zone / "energy_uj"), wraps))
    return found


def _reader(file: Path) -> Callable[[], float]:
    return lambda: int(file.read_text()) / 1e6


def gpu_counter(device: str) -> Counter | None:
    """NVML's total energy of a GPU; None without pynvml, which torch's GPU builds do not bring."""
    try:
        import pynvml
        import torch

        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(device).uuid
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except Exception:  # no library, no driver, or a name that NVML does not know
        return None
    return Counter(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)
