"""The curves of a method for its report: each seed's epochs, and the band over seeds.

    curves = method_curves(runs)     # {"seeds": [[row, ...], ...], "mean": [row, ...]}

A row is one epoch. The mean and the band are those of the Compare page (run_curves.seed_band).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lab.analysis.curves import epochs_frame
from lab.analysis.run_curves import curve, seed_band
from lab.runs.events import read_events
from lab.runs.folder import RunFolder

MEASURES = {"error_rate": "error", "train_loss": "train_loss", "valid_loss": "valid_loss"}
MOST_ROWS = 300  # epochs drawn of one run: more cannot be seen
_NO_STEPS = pd.DataFrame(columns=["step", "loss", "lr"])


def method_curves(runs: Sequence[RunFolder]) -> dict[str, Any]:
    """Every seed's curve; the mean, least and largest over seeds where there are several."""
    tables = [table for run in runs if len(table := epochs_frame(read_events(run)))]
    return {"seeds": [_thinned(_seed(table)) for table in tables], "mean": _thinned(_mean(tables))}


def _seed(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "epoch": int(row["global_epoch"]) + 1,
            "elapsed": float(row["elapsed"]),
            "side_px": _side(row),
            **{name: _number(row[name]) for name in MEASURES},
        }
        for _, row in table.iterrows()
    ]


def _mean(tables: Sequence[pd.DataFrame]) -> list[dict[str, Any]]:
    if len(tables) < 2:
        return []
    rows: dict[int, dict[str, Any]] = {}
    for name, measure in MEASURES.items():
        band = seed_band([curve(table, _NO_STEPS, "time", measure) for table in tables], "range")
        for _, place in band.iterrows():
            row = rows.setdefault(int(place["at"]), {"epoch": int(place["at"])})
            row |= {"elapsed": float(place["x"]), "n": int(place["n"]), name: place["mean"]}
            row |= {f"{name}_{end}": float(place[end]) for end in ("low", "high")}
    sides = {int(row["global_epoch"]) + 1: _side(row) for _, row in tables[0].iterrows()}
    return [{**rows[at], "side_px": sides[at]} for at in sorted(rows)]


def _side(row: pd.Series) -> float:
    return float((row["height"] * row["width"]) ** 0.5)


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    stride = -(-len(rows) // MOST_ROWS) or 1
    kept = rows[::stride]
    return [*kept, rows[-1]] if rows and kept[-1] is not rows[-1] else kept
