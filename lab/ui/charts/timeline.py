"""The schedule before it runs: blocks as high as the size, coloured by size; the rate above.

    live_chart(timeline(plan, guessed={1}), key="schedule.timeline", height=300)
    key_words(plan, guessed={1})       # what hatching, dots and dashes mean, where there are any

`guessed`: stages (from 0) whose rate the finder will choose.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from lab.schedules.plan import EpochRow, Plan
from lab.ui import format as fmt
from lab.ui.charts.axis import Axis, band_labels, sides_of, stage_starts
from lab.ui.charts.base import Figure, figure, thin
from lab.ui.palette import NEUTRAL, on_top, run_style, side_px, way_colour

_MOST_BLOCKS = 80  # more epochs than this are drawn as one block per stretch
_MOST_STAIRS = 8  # blocks within an epoch whose size grows with every batch

# What a pattern on a block means; the first that holds is drawn.
PATTERNS = {
    "/": ("Hatched", "the body is frozen"),
    ".": ("Dotted", "the head learns on cached activations"),
    "-": ("Striped", "no augmentation any more"),
}


def timeline(plan: Plan, guessed: Collection[int] = ()) -> Figure:
    """Blocks for the epochs, stairs where a size ramps, and the learning-rate curve above."""
    axis = Axis.of(plan, "epoch")
    top = max(side_px((row.height, row.width)) for row in plan.epochs)
    alone = len(sides_of(plan)) == 1
    bands = axis.bands
    tops = {band.label: side_px(band.size) for band in bands}
    labels = [
        label | {"y": tops[label["text"].removesuffix(" px")], "yref": "y", "yshift": 1}
        for label in band_labels("epoch", bands)
    ]
    return figure(
        [_blocks(plan), *_rates(plan, axis, guessed)],
        _words(plan, guessed),
        bargap=0,
        annotations=labels,
        shapes=[_border(epoch) for epoch in stage_starts(plan)],
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


def key_words(plan: Plan, guessed: Collection[int] = ()) -> str:
    """`Hatched: the body is frozen.`: what this timeline's signs mean; '' where it has none."""
    signs = {_pattern(row) for row in plan.epochs}
    found = [f"{word}: {what}." for sign, (word, what) in PATTERNS.items() if sign in signs]
    if guessed:
        found.append("Dashed rate: only a guess, the finder chooses it when the stage begins.")
    return " ".join(found)


@dataclass(frozen=True)
class _Block:
    """A rectangle of the timeline: whole epochs, or a part of one."""

    rows: tuple[EpochRow, ...]
    start: float
    end: float
    height: int
    width: int
    gap: bool  # a hair's breadth between this block and the next


def _block_list(plan: Plan) -> list[_Block]:
    few = len(plan.epochs) <= _MOST_BLOCKS
    groups = [(row,) for row in plan.epochs] if few else _alike(plan)
    return [block for rows in groups for block in _blocks_of(rows, few)]


def _alike(plan: Plan) -> list[tuple[EpochRow, ...]]:
    return [tuple(rows) for _, rows in groupby(plan.epochs, key=_look)]


def _look(row: EpochRow) -> tuple[int, int, int, str]:
    return row.stage, row.height, row.width, _pattern(row)


def _blocks_of(rows: tuple[EpochRow, ...], gap: bool) -> Iterator[_Block]:
    first = rows[0]
    start = float(first.global_epoch)
    if len(rows) > 1 or not first.runs:
        yield _Block(rows, start, start + len(rows), first.height, first.width, gap)
        return
    stairs = min(_MOST_STAIRS, len(first.runs))
    places = [i / stairs for i in range(stairs + 1)]
    for low, high in pairwise(places):
        size = first.size_at(min(int(high * first.steps), first.steps - 1))
        yield _Block(rows, start + low, start + high, *size, gap=False)


def _pattern(row: EpochRow) -> str:
    return "/" if row.frozen else "." if row.cached else "" if row.augmented else "-"


def _blocks(plan: Plan) -> dict[str, Any]:
    """All blocks as one bar trace."""
    sides, blocks = sides_of(plan), _block_list(plan)
    hair = min(0.06, 0.005 * len(plan.epochs))
    colours = [way_colour((block.height, block.width), sides) for block in blocks]
    return {
        "type": "bar",
        "x": [(block.start + block.end) / 2 for block in blocks],
        "width": [block.end - block.start - (hair if block.gap else 0) for block in blocks],
        "y": [side_px((block.height, block.width)) for block in blocks],
        "marker": {
            "color": colours,
            "line": {"width": 0},
            "pattern": {
                "shape": [_pattern(block.rows[0]) for block in blocks],
                "fgcolor": [on_top(colour) for colour in colours],
                "fillmode": "overlay", "fgopacity": 0.6, "size": 8, "solidity": 0.2,
            },
        },
        "customdata": [_hover(block, plan) for block in blocks],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip


def _hover(block: _Block, plan: Plan) -> str:
    first, rows = block.rows[0], block.rows
    total = len(plan.of_stage(first.stage))
    which = f"epoch {first.epoch + 1}" + (f" to {rows[-1].epoch + 1}" if len(rows) > 1 else "")
    size = fmt.size(first.height, first.width)
    if first.runs:
        size = f"grows from {fmt.size(*first.runs[0][1:])} to {size} within the epoch"
    notes = {
        "body frozen": first.frozen,
        "head on cached activations": first.cached,
        "no augmentation": not first.augmented,
        "rate or batch chosen when it begins": not first.known,
    }
    said = "".join(f"<br>{words}" for words, holds in notes.items() if holds)
    pixels = fmt.pixels(sum(row.pixels for row in rows) / len(rows))
    return (
        f"<b>Stage {first.stage + 1}, {which} of {total}</b><br>"
        f"{size}, batch {first.batch}, {first.steps} steps<br>"
        f"peak rate {fmt.rate(first.peak_lrs[-1])}, {pixels} an epoch{said}"
    )


def _border(epoch: int) -> dict[str, Any]:
    """A faint line where a stage begins: two stages of one size are told apart by it."""
    line = {"color": NEUTRAL, "width": 1, "dash": "dot"}
    ends = {"x0": epoch, "x1": epoch, "y0": 0, "y1": 1, "xref": "x", "yref": "paper"}
    return {"type": "line", "line": line, "opacity": 0.7, **ends}


def _rates(plan: Plan, axis: Axis, guessed: Collection[int]) -> list[dict[str, Any]]:
    """The rate of the last parameter group, and of the first where they differ; guesses dashed."""
    steps = thin(plan.total_steps, 600).tolist()
    rates = [plan.lrs(step) for step in steps]
    x = axis.at_steps([step - 1 for step in steps])
    guess = [plan.row_at(step).stage in guessed for step in steps]
    names = {-1: "rate"} if len(rates[0]) == 1 else {-1: "rate, head", 0: "rate, first layers"}
    return [
        {
            "type": "scatter", "mode": "lines", "x": x, "yaxis": "y2", "connectgaps": False,
            "y": [rate[group] if is_guess == dashed else None
                  for rate, is_guess in zip(rates, guess)],
            "name": name + (" (a guess)" if dashed else ""),
            "line": {"color": run_style(0)[0] if group else NEUTRAL, "width": 2 if group else 1.5,
                     "dash": "dash" if dashed else "solid" if group else "dot"},
            "hovertemplate": (
                f"{name} %{{y:.2e}}" + (", a guess: the finder decides" if dashed else "")
                + "<extra></extra>"
            ),
        }
        for group, name in names.items()
        for dashed in (False, True)
        if dashed in guess
    ]  # fmt: skip


def _words(plan: Plan, guessed: Collection[int]) -> str:
    """`Schedule of 8 epochs: 3 at 64 px, 5 at 128 px (the first 1 frozen). ...`"""
    parts = []
    for _, rows in groupby(plan.epochs, key=lambda row: (row.stage, row.height, row.width)):
        epochs = list(rows)
        notes = {
            "with the body frozen": sum(row.frozen for row in epochs),
            "on cached activations": sum(row.cached for row in epochs),
            "without augmentation": sum(not row.augmented for row in epochs),
            "growing within the epoch": sum(bool(row.runs) for row in epochs),
        }
        said = ", ".join(f"{n} {words}" for words, n in notes.items() if n)
        size = fmt.size(epochs[0].height, epochs[0].width)
        parts.append(f"{len(epochs)} at {size}" + (f" ({said})" if said else ""))
    peak = max(row.peak_lrs[-1] for row in plan.epochs)
    unknown = " as far as it is known; the finder chooses the rest" if guessed else ""
    return (
        f"Schedule of {len(plan.epochs)} epochs: {', then '.join(parts)}. "
        f"The learning rate peaks at {fmt.rate(peak)}{unknown}."
    )
