"""Stored arrays: `read_arrays(run.predictions / "s0-64x64.npz")`, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

# What numpy raises for a file that is missing, cut off, empty, or without an expected array.
DAMAGED = (OSError, ValueError, KeyError, EOFError, BadZipFile)


def read_arrays(path: Path | str) -> dict[str, np.ndarray] | None:
    """The arrays by name; None where there are none or they cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except DAMAGED:
        return None
