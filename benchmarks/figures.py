"""Figures out of repeated measurements, for people and for the record.

spread([98.2, 101.5, 99.0])     -> {"n": 3, "median": 99.0, "min": 98.2, "max": 101.5}
beside(lab, others)             -> the same for both, and for the ratios of the rounds
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from typing import Any

import psutil


def spread(values: Sequence[float]) -> dict[str, float]:
    """How many, the middle one, the smallest and the largest; three figures that count."""
    middle = statistics.median(values)
    found = {"median": middle, "min": min(values), "max": max(values)}
    return {"n": len(values), **{name: rounded(value) for name, value in found.items()}}


def beside(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Two speeds measured in turn. The ratio is the median of the rounds' own ratios.

    A machine that slows down for a minute slows both of a round; their ratio stands.
    """
    ratios = [a / b for a, b in zip(ours, theirs)]
    return {"ours": spread(ours), "theirs": spread(theirs), "ratio": spread(ratios)}


def rounded(value: float) -> float:
    """Four significant figures."""
    return float(f"{value:.4g}")


def load() -> dict[str, float]:
    """How busy the machine is: the mean number of running processes, and the CPU in use now."""
    return {
        "load_1min": round(os.getloadavg()[0], 2),
        "load_5min": round(os.getloadavg()[1], 2),
        "cpu_busy_percent": psutil.cpu_percent(interval=1.0),
    }
