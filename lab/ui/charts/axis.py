"""The horizontal axis of a run: epochs, steps, time or pixels, spanning the whole schedule.

axis = Axis.of(plan, "time", seconds=[12.1, 11.9])   # the rest is forecast from these
axis.total, axis.bands, axis.at_steps([0, 1]), axis.at_epochs([0])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from lab.schedules.plan import Plan
from lab.ui.palette import band_fill, way_colour

AxisName = Literal["epoch", "step", "time", "pixels"]
CostAxis = AxisName | Literal["flops", "energy"]  # what runs cost; a plan does not know it
TITLES = {
    "epoch": "epochs done",
    "step": "steps done",
    "time": "time (m:ss)",
    "pixels": "pixels trained on",
    "flops": "floating point operations (FLOPs) of training",
    "energy": "energy (joules)",
}
_UNITS = {"pixels": "px", "flops": "FLOP", "energy": "J"}


@dataclass(frozen=True)
class Band:
    """A stretch of the axis at one size."""

    label: str
    colour: str
    x0: float
    x1: float
    size: tuple[int, int] = (0, 0)  # height, width


@dataclass(frozen=True)
class Stretch:
    """Steps of one stage at one size, from `first` up to before `end`; epochs may lie within."""

    stage: int
    height: int
    width: int
    first: int
    end: int


@dataclass(frozen=True)
class Axis:
    """Where each epoch and step of a plan lies on one axis."""

    name: AxisName
    plan: Plan
    ends: tuple[float, ...]  # where each epoch ends

    @classmethod
    def of(cls, plan: Plan, name: AxisName, seconds: Sequence[float] = ()) -> Axis:
        """`seconds` per epoch, as far as measured (or forecast); only `time` reads them."""
        lengths = {
            "epoch": lambda: [1.0] * len(plan.epochs),
            "step": lambda: [float(row.steps) for row in plan.epochs],
            "pixels": lambda: [float(row.pixels) for row in plan.epochs],
            "time": lambda: _seconds(plan, seconds),
        }
        return cls(name, plan, tuple(np.cumsum(lengths[name]()).tolist()))

    @property
    def total(self) -> float:
        """Where the schedule ends."""
        return self.ends[-1]

    @property
    def bands(self) -> list[Band]:
        """One band per stretch of the same stage and size."""
        sides, all_ = sides_of(self.plan), stretches(self.plan)
        starts = self.at_steps([one.first - 1 for one in all_])
        ends = self.at_steps([one.end - 1 for one in all_])
        return [
            Band(size_label(*size), way_colour(size, sides), float(start), float(end), size)
            for one, start, end in zip(all_, starts, ends)
            for size in [(one.height, one.width)]
        ]

    def at_epochs(self, global_epochs: Sequence[int]) -> np.ndarray:
        """Where epochs end."""
        return np.asarray(self.ends)[np.asarray(global_epochs, dtype=int)]

    def at_steps(self, steps: Sequence[float]) -> np.ndarray:
        """Where global steps (from 0) end: straight between the ends of epochs."""
        known = [0, *(row.last_step for row in self.plan.epochs)]
        return np.interp(np.asarray(steps, dtype=float) + 1, known, [0.0, *self.ends])

    def layout(self, **more: Any) -> dict[str, Any]:
        """The Plotly axis: the whole schedule from the start, growing only into the forecast."""
        axis = axis_layout(self.name, self.total)
        return {**axis, "range": [0, plotted(self.name, self.total)], **more}


def axis_layout(name: CostAxis, total: float) -> dict[str, Any]:
    """Title and number format of an axis that goes up to `total`."""
    axis: dict[str, Any] = {"title": {"text": TITLES[name]}, "showgrid": False, "zeroline": False}
    if name in _UNITS:
        axis |= {"tickformat": "~s", "ticksuffix": _UNITS[name], "hoverformat": ".3s"}
    elif name == "time":
        clock = "%-M:%S" if total < 3600 else "%-H:%M:%S"
        axis |= {"type": "date", "tickformat": clock, "hoverformat": clock}
    else:
        axis |= {"hoverformat": ".2~f"}
    if name == "epoch":
        axis |= {"dtick": next((step for step in (1, 2, 5, 10, 20, 50) if total <= 12 * step), 100)}
    return axis


def plotted(name: CostAxis, x: Any) -> Any:
    """Axis values as Plotly wants them: time goes in as milliseconds on a date axis."""
    return np.asarray(x) * 1000.0 if name == "time" else x


def sides_of(plan: Plan) -> list[tuple[int, int]]:
    """The (height, width) that the stages of a plan begin and end with: sizes with a colour of
    their own. Those that a ramp passes lie between (palette.way_colour)."""
    ends: dict[int, tuple[int, int]] = {}
    found = set()
    for row in plan.epochs:
        if row.stage not in ends:
            found.add(row.sizes[0][1:])
        ends[row.stage] = (row.height, row.width)
    return sorted(found | set(ends.values()))


def stretches(plan: Plan) -> list[Stretch]:
    """The plan as stretches of steps at one size, in order."""
    found: list[Stretch] = []
    for row in plan.epochs:
        first = row.first_step
        for steps, height, width in row.sizes:
            new = Stretch(row.stage, height, width, first, first + steps)
            last = found[-1] if found else None
            same = last and (last.stage, last.height, last.width) == (row.stage, height, width)
            if last and same:
                found[-1] = replace(last, end=new.end)
            else:
                found.append(new)
            first += steps
    return found


def stage_starts(plan: Plan) -> list[int]:
    """Epochs that begin a stage, but for the first."""
    pairs = pairwise(plan.epochs)
    return [row.global_epoch for before, row in pairs if row.stage != before.stage]


def size_label(height: int, width: int) -> str:
    """`128` or `256×192`."""
    return str(height) if height == width else f"{height}×{width}"


def band_shapes(name: AxisName, bands: Sequence[Band]) -> list[dict[str, Any]]:
    """Faint bands behind the curves, each with a solid strip of its colour along the top."""
    shapes = []
    for band in bands:
        x0, x1 = (float(plotted(name, x)) for x in (band.x0, band.x1))
        common = {"type": "rect", "xref": "x", "yref": "paper", "x0": x0, "x1": x1}
        quiet = {"layer": "below", "line": {"width": 0}}
        shapes.append({**common, **quiet, "y0": 0, "y1": 1, "fillcolor": band_fill(band.colour)})
        strip = {"ysizemode": "pixel", "yanchor": 1, "y0": 0, "y1": 6}
        shapes.append({**common, **quiet, **strip, "fillcolor": band.colour})
    return shapes


def band_labels(name: AxisName, bands: Sequence[Band]) -> list[dict[str, Any]]:
    """The size above each band that has room for it."""
    total = bands[-1].x1 if bands else 1.0
    labels = []
    for band in bands:
        share = (band.x1 - band.x0) / total
        if share < 0.035 or (share < 0.08 and len(band.label) > 3):
            continue
        middle = float(plotted(name, (band.x0 + band.x1) / 2))
        text = f"{band.label} px" if share > 0.18 else band.label
        place = {"x": middle, "xref": "x", "y": 1, "yref": "paper", "yshift": 6}
        quiet = {"showarrow": False, "yanchor": "bottom", "font": {"size": 12}}
        labels.append({"text": text, **place, **quiet})
    return labels


def _seconds(plan: Plan, seconds: Sequence[float]) -> list[float]:
    """Measured seconds, then a forecast by pixels; pixels alone where nothing is measured."""
    known = [float(value) for value in seconds][: len(plan.epochs)]
    if not known:
        return [row.pixels * 1e-7 for row in plan.epochs]
    measured = [row.pixels for row in plan.epochs[: len(known)]]
    speed = sum(known) / max(sum(measured), 1)
    return known + [row.pixels * speed for row in plan.epochs[len(known) :]]
