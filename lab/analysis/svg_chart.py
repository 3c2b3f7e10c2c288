"""Small charts as inline SVG: lines, bands, points with intervals. For pages without a program.

    chart = Chart("Error rate by epoch.", "epochs", "error rate (%)")
    chart.lines.append(Line([1, 2], [40.0, 31.5], "#0072b2"))
    svg(chart)                          # markup, safe to put into a page

Colours of text and grid are classes that the page's style fills in, light or dark. All words pass
through one escape. Coordinates are in a box of 440 x 300, so that the text stays readable when the
figure is as wide as a telephone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 12, 44
DASHES = {"solid": "", "dash": "7 4", "dot": "2 3", "dashdot": "7 3 2 3", "longdash": "12 4"}
_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True)
class Line:
    """A curve; `marks` are the colours of its points, none for no points."""

    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dash: str = "solid"
    width: float = 2.0
    opacity: float = 1.0
    marks: Sequence[str] = ()


@dataclass(frozen=True)
class Band:
    """What lies between two curves."""

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    colour: str


@dataclass(frozen=True)
class Point:
    """One point, its interval and a word beside it. `round`: a circle, else a square."""

    x: float
    y: float
    colour: str
    tag: str = ""
    low: float | None = None
    high: float | None = None
    round: bool = True
    radius: float = 6.0
    opacity: float = 1.0


@dataclass
class Chart:
    """What is to be drawn. `alt` says it in words."""

    alt: str
    x_title: str
    y_title: str
    lines: list[Line] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    x_shown: Callable[[float], str] = lambda value: f"{value:g}"
    y_shown: Callable[[float], str] = lambda value: f"{value:g}"
    x_steps: Sequence[float] = ()  # allowed distances between ticks; none: 1, 2, 5 times a power
    from_zero: bool = True


@dataclass(frozen=True)
class Scale:
    """Values to places along one axis."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.start + share * (self.end - self.start), 1)


def svg(chart: Chart) -> Markup:
    """The chart as markup with its alternative text."""
    x, y = _scales(chart)
    inside = [
        *_axes(chart, x, y),
        *(_band(band, x, y) for band in chart.bands),
        *(part for line in chart.lines for part in _line(line, x, y)),
        *(_point(point, x, y) for point in chart.points),
        *_tags(chart.points, x, y),
    ]
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.alt)}">'
        f"{''.join(inside)}</svg>"
    )


def ticks(low: float, high: float, most: int = 6, steps: Sequence[float] = ()) -> list[float]:
    """Round numbers within [low, high], at most about `most` of them."""
    span = high - low
    if not span > 0:
        return [low]
    least = span / most
    step = next((step for step in steps if step >= least), 0.0) or _round_step(least)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _round_step(least: float) -> float:
    power = 10 ** math.floor(math.log10(least))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= least * (1 - 1e-9))


def time_steps() -> Sequence[float]:
    """Distances between ticks that read well as m:ss."""
    return _TIMES


def _scales(chart: Chart) -> tuple[Scale, Scale]:
    xs = [v for line in (*chart.lines, *chart.bands) for v in line.x]
    xs += [point.x for point in chart.points]
    ys = [v for line in chart.lines for v in line.y]
    ys += [v for band in chart.bands for v in (*band.low, *band.high)]
    ys += [point.y for point in chart.points]
    ys += _ends(chart.points)
    xs, ys = (sorted(v for v in values if math.isfinite(v)) or [0.0, 1.0] for values in (xs, ys))
    right = (xs[-1] or 1.0) * (1.08 if chart.points else 1.02)
    low, high = (0.0 if chart.from_zero else ys[0]), ys[-1]
    spare = 0.05 * ((high - low) or abs(high) or 1.0)
    return (
        Scale(0.0, right, LEFT, WIDTH - RIGHT),
        Scale(low - (0.0 if chart.from_zero else spare), high + spare, HEIGHT - BOTTOM, TOP),
    )


def _ends(points: Sequence[Point]) -> list[float]:
    """Ends of intervals; but two seeds can leave one so wide that the points would be a dot."""
    most = 2 * max((point.y for point in points), default=0.0)
    return [min(end, most) for one in points for end in (one.low, one.high) if end is not None]


def _axes(chart: Chart, x: Scale, y: Scale) -> list[str]:
    parts = []
    for value in ticks(y.low, y.high):
        at = y(value)
        parts.append(f'<path class="grid" d="M{LEFT} {at}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 7, at + 4, chart.y_shown(value), "end"))
    for value in ticks(x.low, x.high, 5, chart.x_steps):
        parts.append(f'<path class="tick" d="M{x(value)} {y.start}v5"/>')
        parts.append(_text(x(value), y.start + 18, chart.x_shown(value), "middle"))
    parts.append(f'<path class="axis" d="M{LEFT} {y.start}H{WIDTH - RIGHT}"/>')
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, chart.x_title, "middle", "title"))
    return parts


def _text(x: float, y: float, words: str, anchor: str, kind: str = "label") -> str:
    place = f'x="{round(x, 1)}" y="{round(y, 1)}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(words)}</text>'


def _band(band: Band, x: Scale, y: Scale) -> str:
    there = [(x(a), y(b)) for a, b in zip(band.x, band.high)]
    back = [(x(a), y(b)) for a, b in zip(band.x, band.low)]
    path = "L".join(f"{a} {b}" for a, b in [*there, *reversed(back)])
    return f'<path d="M{path}Z" fill="{band.colour}" fill-opacity="0.16"/>'


def _line(line: Line, x: Scale, y: Scale) -> list[str]:
    """The curve, broken where a value is missing, and its points."""
    places = [(x(a), y(b)) if math.isfinite(b) else None for a, b in zip(line.x, line.y)]
    path, pen = "", "M"
    for place in places:
        path += f"{pen}{place[0]} {place[1]}" if place else ""
        pen = "L" if place else "M"
    dash = f' stroke-dasharray="{DASHES[line.dash]}"' if DASHES.get(line.dash) else ""
    stroke = f'stroke="{line.colour}" stroke-opacity="{line.opacity:g}"'
    parts = [f'<path d="{path}" fill="none" {stroke} stroke-width="{line.width:g}"{dash}/>']
    for place, colour in zip(places, line.marks):
        if place:
            centre = f'cx="{place[0]}" cy="{place[1]}"'
            parts.append(f'<circle {centre} r="3.5" fill="{colour}" {stroke} stroke-width="1.5"/>')
    return parts if path else []


def _point(point: Point, x: Scale, y: Scale) -> str:
    across, up, r = x(point.x), y(point.y), point.radius
    bar = ""
    if point.low is not None and point.high is not None:
        ends = [min(max(end, y.low), y.high) for end in (point.low, point.high)]
        caps = [y(end) for end in (point.low, point.high) if y.low <= end <= y.high]
        bar = f'<path class="bar" d="M{across} {y(ends[0])}V{y(ends[1])}'
        bar += "".join(f"M{across - 4} {cap}h8" for cap in caps) + '"/>'
    look = f'class="point" fill="{point.colour}" opacity="{point.opacity:g}"'
    if point.round:
        return f'{bar}<circle {look} cx="{across}" cy="{up}" r="{r:g}"/>'
    box = f'x="{across - r}" y="{up - r}" width="{2 * r:g}" height="{2 * r:g}"'
    return f"{bar}<rect {look} {box}/>"


def _tags(points: Sequence[Point], x: Scale, y: Scale) -> list[str]:
    """Each word beside its point, on the side where it meets least of what is there already."""
    taken = [(x(p.x) - p.radius, y(p.y) - p.radius, 2 * p.radius, 2 * p.radius) for p in points]
    parts = []
    for point in points:
        if not point.tag:
            continue
        across, up, wide = x(point.x), y(point.y), 8.0 * len(point.tag)
        gap = point.radius + 4
        places = [(across + gap, up - 9), (across - gap - wide, up - 9),
                  (across + gap, up - 22), (across - gap - wide, up - 22),
                  (across + gap, up + 5), (across - gap - wide, up + 5)]  # fmt: skip
        boxes = [(left, top, wide, 14.0) for left, top in places]
        box = min(boxes, key=lambda box: (_outside(box), sum(_meet(box, old) for old in taken)))
        taken.append(box)
        parts.append(_text(box[0] + wide / 2, box[1] + 13, point.tag, "middle", "tag"))
    return parts


Box = tuple[float, float, float, float]


def _outside(box: Box) -> bool:
    return box[0] < LEFT or box[0] + box[2] > WIDTH - 2 or box[1] < 0 or box[1] > HEIGHT - BOTTOM


def _meet(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)
