"""The figures of a report, from its numbers: curves with bands over seeds, error against cost.

    for figure in figures(numbers): figure.title, figure.svg, figure.caption

Size is colour, as on the screens: the fill of a mark is the size it was trained at. A method is a
colour and a dash. In the figures a method is its number, so that no name can spoil a drawing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from lab.analysis import svg_chart
from lab.analysis.report_words import counted, minutes, percent, scaled
from lab.analysis.svg_chart import Band, Chart, Line, Point

# The palette of lab/ui/palette.py, which lies behind the screens; a test holds them together.
SIZE_ANCHORS = ("#a9cf5a", "#4fb287", "#2a91a0", "#3a6bb0", "#5b4aa6")
RUN_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
RUN_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SMALLEST_PX, _LARGEST_PX = 32, 512

COSTS = {
    "seconds": ("time", "training and validation, m:ss", minutes),
    "pixels": ("pixels", "pixels trained on", lambda number: scaled(number)),
    "flops": ("arithmetic", "floating-point operations of training", lambda n: scaled(n)),
    "energy_j": ("energy", "energy of training, joules", lambda number: scaled(number)),
}
Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A drawing with its words."""

    title: str
    svg: Markup
    caption: str


def style(index: int) -> tuple[str, str]:
    """(colour, dash) of the index-th method; 35 differ."""
    return RUN_COLOURS[index % len(RUN_COLOURS)], RUN_DASHES[index % len(RUN_DASHES)]


def swatch(index: int) -> Markup:
    """A method's line, for a table cell."""
    colour, dash = style(index)
    strokes = svg_chart.DASHES[dash]
    look = f'stroke="{colour}" stroke-width="4"' + (
        f' stroke-dasharray="{strokes}"' * bool(strokes)
    )
    return Markup(
        f'<svg class="swatch" viewBox="0 0 44 12" aria-hidden="true">'
        f'<path d="M1 6H43" fill="none" {look}/></svg>'
    )


def size_colour(side: float, sides: Sequence[float]) -> str:
    """The colour of a size among all `sides`: half by rank, half by log size."""
    known = sorted({round(one, 2) for one in [*sides, side]})
    own = round(side, 2)
    if len(known) == 1:
        place = math.log(own / _SMALLEST_PX) / math.log(_LARGEST_PX / _SMALLEST_PX)
    else:
        share = math.log(own / known[0]) / math.log(known[-1] / known[0])
        place = (known.index(own) / (len(known) - 1) + share) / 2
    return _scale(place)


def _scale(share: float) -> str:
    place = min(max(share, 0.0), 1.0) * (len(SIZE_ANCHORS) - 1)
    start = min(int(place), len(SIZE_ANCHORS) - 2)
    pairs = zip(*(_rgb(SIZE_ANCHORS[start + step]) for step in (0, 1)))
    mixed = (round(low + (high - low) * (place - start)) for low, high in pairs)
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _rgb(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def size_chip(label: str, side: float, sides: Sequence[float]) -> Markup:
    """A size as a word with a dot of its colour."""
    colour = size_colour(side, sides)
    return Markup(f'<span class="size"><i style="background:{colour}"></i>{escape(label)}</span>')


def curve_figures(numbers: Numbers) -> list[Figure]:
    """Error by epoch and by time, losses by epoch; none before an epoch is done."""
    wanted = (
        ("error_rate", "epoch", "Error rate by epoch"),
        ("error_rate", "elapsed", "Error rate by time"),
        ("train_loss", "epoch", "Training loss by epoch"),
        ("valid_loss", "epoch", "Validation loss by epoch"),
    )
    found = [_curves(numbers, *one) for one in wanted]
    return [figure for figure in found if figure is not None]


def _curves(numbers: Numbers, y: str, x: str, title: str) -> Figure | None:
    share = y == "error_rate"
    chart = Chart(
        _curve_alt(numbers, y, title),
        "epochs" if x == "epoch" else "training and validation, m:ss",
        title,
        y_shown=(lambda v: f"{v:g} %") if share else (lambda v: f"{v:g}"),
        x_shown=minutes if x == "elapsed" else (lambda v: f"{v:g}"),
        x_steps=svg_chart.time_steps() if x == "elapsed" else (1, 2, 5, 10, 20, 50, 100, 200, 500),
    )
    for method in numbers["methods"]:
        for seed in method["curves"]["seeds"]:
            _draw(chart, method, seed, x, y, numbers["sides"])
        _draw_mean(chart, method, x, y, numbers["sides"])
    if not chart.lines:
        return None
    several = any(len(method["curves"]["seeds"]) > 1 for method in numbers["methods"])
    return Figure(title, svg_chart.svg(chart), _curve_caption(y, several))


def _curve_caption(y: str, several: bool) -> str:
    words = "The filling of a mark is the size of that epoch."
    if several:
        words += " Thick: the mean over seeds; faint: each seed; the band spans the seeds."
    if y != "train_loss":
        words += " Each epoch is measured at its own size."
    return words


def _factor(y: str) -> float:
    return 100.0 if y == "error_rate" else 1.0


def _values(rows: Sequence[Mapping[str, Any]], key: str, factor: float = 1.0) -> list[float]:
    return [math.nan if row.get(key) is None else factor * row[key] for row in rows]


def _draw(
    chart: Chart, method: Numbers, rows: Sequence[Numbers], x: str, y: str, sides: Sequence[float]
) -> None:
    """One seed: alone the method's curve, among others a faint line."""
    alone = len(method["curves"]["seeds"]) == 1
    colour, dash = style(method["style"])
    values = _values(rows, y, _factor(y))
    if not any(map(math.isfinite, values)):
        return
    marks = (
        [size_colour(row["side_px"], sides) for row in rows] if alone and len(rows) <= 40 else ()
    )
    faint = {} if alone else {"width": 1.0, "opacity": 0.4}
    chart.lines.append(Line(_values(rows, x), values, colour, dash, marks=marks, **faint))


def _draw_mean(chart: Chart, method: Numbers, x: str, y: str, sides: Sequence[float]) -> None:
    rows = method["curves"]["mean"]
    if not rows:
        return
    colour, dash = style(method["style"])
    factor, at = _factor(y), _values(rows, x)
    means = _values(rows, y, factor)
    if not any(map(math.isfinite, means)):
        return
    ends = [_values(rows, f"{y}_{end}", factor) for end in ("low", "high")]
    whole = [n for n in range(len(rows)) if all(math.isfinite(end[n]) for end in ends)]
    if len(whole) > 1:
        low, high = ([end[n] for n in whole] for end in ends)
        chart.bands.append(Band([at[n] for n in whole], low, high, colour))
    marks = [size_colour(row["side_px"], sides) for row in rows] if len(rows) <= 40 else ()
    chart.lines.append(Line(at, means, colour, dash, width=2.2, marks=marks))


def _curve_alt(numbers: Numbers, y: str, title: str) -> str:
    """The last values, in words."""
    ends = []
    for method in numbers["methods"]:
        rows = method["curves"]["mean"] or next(iter(method["curves"]["seeds"]), [])
        last = next((row[y] for row in reversed(rows) if row.get(y) is not None), None)
        if last is not None:
            shown = percent(last) if y == "error_rate" else f"{last:.3f}"
            ends.append(f"method {method['number']} {shown}")
    return f"{title}. Last values: {', '.join(ends) or 'none yet'}."


def cost_figures(numbers: Numbers) -> list[Figure]:
    """Final error against each cost that was measured."""
    found = (_cost(numbers, key) for key in COSTS)
    return [figure for figure in found if figure is not None]


def _cost(numbers: Numbers, key: str) -> Figure | None:
    points = [*_cost_points(numbers, key)]
    if not any(point.tag for point in points):
        return None
    name, title, shown = COSTS[key]
    chart = Chart(
        f"Final error rate against {name}; lower and further left is better. "
        + "; ".join(_cost_words(numbers, key, shown)) + ".",
        title, "error rate", points=points, x_shown=shown,
        y_shown=lambda v: f"{v:g} %",
        x_steps=svg_chart.time_steps() if key == "seconds" else (),
    )  # fmt: skip
    front = numbers["pareto"].get(key, [])
    chart.lines.append(_front_line(numbers, key, front)) if len(front) > 1 else None
    words = (
        "Lower and further left is better. Bars are 95 % intervals: over seeds where a method has "
        "several, over images where it has one. A bar that leaves the picture goes on."
    )
    if len(front) > 1:
        words += " The dotted line joins the methods that none beats in both."
    return Figure(f"Final error against {name}", svg_chart.svg(chart), words)


def _cost_points(numbers: Numbers, key: str) -> Iterator[Point]:
    for method in numbers["methods"]:
        cost, error = method["means"].get(key), method["means"].get("error_rate")
        if cost is None or error is None:
            continue
        colour = size_colour(method["side_px"], numbers["sides"])
        if len(method["scored"]) > 1:
            for run in method["scored"]:
                if run[key] is not None:
                    yield Point(run[key], 100 * run["error_rate"], colour, round=method["grows"],
                                radius=2.5, opacity=0.55)  # fmt: skip
        low, high = (method["means"].get(end) for end in ("low", "high"))
        yield Point(
            cost, 100 * error, colour, str(method["number"]),
            None if low is None else 100 * max(low, 0.0),
            None if high is None else 100 * high,
            round=method["grows"],
        )  # fmt: skip


def _front_line(numbers: Numbers, key: str, front: Sequence[int]) -> Line:
    means = {method["number"]: method["means"] for method in numbers["methods"]}
    places = sorted((means[number][key], 100 * means[number]["error_rate"]) for number in front)
    return Line(*zip(*places), "#7d858f", "dot", width=1.5)


def _cost_words(numbers: Numbers, key: str, shown: Callable[[float], str]) -> Iterator[str]:
    for method in numbers["methods"]:
        cost, error = method["means"].get(key), method["means"].get("error_rate")
        if cost is not None and error is not None:
            seeds = counted(len(method["scored"]), "run")
            yield f"method {method['number']}: {percent(error)}, {shown(cost)} ({seeds})"
