"""The schedule before it runs: blocks as high as the size, coloured by size; the rate above."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from lab.schedules.plan import EpochRow, Plan
from lab.ui import format as fmt
from lab.ui.charts.axis import Axis, band_labels, sides_of, size_label
from lab.ui.charts.base import Figure, figure, thin
from lab.ui.palette import NEUTRAL, on_top, run_style, side_px, size_colour

_MOST_BLOCKS = 80  # more epochs than this are drawn as one block per stretch


def timeline(plan: Plan) -> Figure:
    """One block per epoch, hatched where the body is frozen, and the learning-rate curve above."""
    axis = Axis.of(plan, "epoch")
    top = max(side_px((row.height, row.width)) for row in plan.epochs)
    alone = len({(row.height, row.width) for row in plan.epochs}) == 1
    labels = [label | {"y": y, "yref": "y"} for label, y in _labels_at(axis)]
    return figure(
        [_blocks(plan), *_rates(plan, axis)],
        _words(plan),
        bargap=0,
        annotations=labels,
        xaxis=axis.layout(title={"text": "epochs"}, anchor="y"),
        yaxis={
            "domain": [0, 0.62], "range": [0, top * (1.6 if alone else 1.22)], "fixedrange": True,
            "showticklabels": False, "ticks": "", "showgrid": False, "zeroline": False,
            "title": {"text": "size"},
        },
        yaxis2={
            "domain": [0.68, 1], "rangemode": "tozero", "nticks": 4, "tickformat": ".0e",
            "exponentformat": "e", "fixedrange": True, "title": {"text": "rate"}, "zeroline": False,
        },
        margin={"l": 62, "r": 12, "t": 10, "b": 44},
    )  # fmt: skip


def _blocks(plan: Plan) -> dict[str, Any]:
    """All epochs as one bar trace."""
    sides = sides_of(plan)
    runs = [[row] for row in plan.epochs]
    if len(runs) > _MOST_BLOCKS:
        runs = [list(rows) for _, rows in groupby(plan.epochs, key=_look)]
    colours = [size_colour((rows[0].height, rows[0].width), sides) for rows in runs]
    return {
        "type": "bar",
        "x": [rows[0].global_epoch + len(rows) / 2 for rows in runs],
        "width": [len(rows) - (0.06 if len(runs) <= _MOST_BLOCKS else 0) for rows in runs],
        "y": [side_px((rows[0].height, rows[0].width)) for rows in runs],
        "marker": {
            "color": colours,
            "pattern": {
                "shape": ["/" if rows[0].frozen else "" for rows in runs],
                "fgcolor": [on_top(colour) for colour in colours],
                "fillmode": "overlay", "fgopacity": 0.6, "size": 8, "solidity": 0.2,
            },
        },
        "customdata": [_hover(rows, plan) for rows in runs],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip


def _look(row: EpochRow) -> tuple[int, int, int, bool, bool]:
    return row.stage, row.height, row.width, row.frozen, row.augmented


def _hover(rows: list[EpochRow], plan: Plan) -> str:
    first = rows[0]
    total = len(plan.of_stage(first.stage))
    which = f"epoch {first.epoch + 1}" + (f" to {rows[-1].epoch + 1}" if len(rows) > 1 else "")
    size = fmt.size(first.height, first.width)
    if first.runs:
        size = f"{fmt.size(*first.runs[0][1:])} growing to {size}"
    notes = {
        "body frozen": first.frozen,
        "head on cached activations": first.cached,
        "no augmentation": not first.augmented,
        "rate or batch chosen when it begins": not first.known,
    }
    said = "".join(f"<br>{words}" for words, holds in notes.items() if holds)
    return (
        f"<b>Stage {first.stage + 1}, {which} of {total}</b><br>"
        f"{size}, batch {first.batch}, {first.steps} steps<br>"
        f"peak rate {fmt.rate(first.peak_lrs[-1])}, {fmt.pixels(first.pixels)} an epoch{said}"
    )


def _labels_at(axis: Axis) -> list[tuple[dict[str, Any], float]]:
    """Size labels, each standing on its blocks."""
    rows = {size_label(row.height, row.width): row for row in axis.plan.epochs}
    labels = band_labels("epoch", axis.bands)
    tops = [rows[label["text"].removesuffix(" px")] for label in labels]
    return [
        (label | {"yshift": 1}, side_px((row.height, row.width)))
        for label, row in zip(labels, tops)
    ]


def _rates(plan: Plan, axis: Axis) -> list[dict[str, Any]]:
    """The rate of the last parameter group, and of the first where they differ."""
    steps = thin(plan.total_steps, 600).tolist()
    rates = [plan.lrs(step) for step in steps]
    x = axis.at_steps([step - 1 for step in steps])
    names = {-1: "rate"} if len(rates[0]) == 1 else {-1: "rate, head", 0: "rate, first layers"}
    if not all(phase.known for phase in plan.phases):
        names = {group: f"{name} (guessed: the finder decides)" for group, name in names.items()}
    return [
        {
            "type": "scatter", "mode": "lines", "x": x, "y": [rate[group] for rate in rates],
            "yaxis": "y2", "name": name,
            "line": {"color": run_style(0)[0] if group else NEUTRAL, "width": 2 if group else 1.5,
                     "dash": "solid" if group else "dot"},
            "hovertemplate": f"{name} %{{y:.2e}}<extra></extra>",
        }
        for group, name in names.items()
    ]  # fmt: skip


def _words(plan: Plan) -> str:
    """`Schedule of 8 epochs: 3 at 64 px, 5 at 128 px (the first 1 frozen). ...`"""
    parts = []
    for _, rows in groupby(plan.epochs, key=lambda row: (row.stage, row.height, row.width)):
        epochs = list(rows)
        frozen = sum(row.frozen for row in epochs)
        note = f" ({frozen} with the body frozen)" if frozen else ""
        parts.append(f"{len(epochs)} at {fmt.size(epochs[0].height, epochs[0].width)}{note}")
    peak = max(row.peak_lrs[-1] for row in plan.epochs)
    return (
        f"Schedule of {len(plan.epochs)} epochs: {', then '.join(parts)}. "
        f"The learning rate peaks at {fmt.rate(peak)}."
    )
