"""How large the pictures of a data set are, and so which training sizes can teach anything."""

from __future__ import annotations

from collections.abc import Sequence

from lab.ui import format as fmt
from lab.ui.charts.base import Figure, figure
from lab.ui.palette import size_colour


def short_sides(histogram: Sequence[tuple[int, int]]) -> Figure:
    """Pictures by short side: (from this on, pictures) per bin; each bin in its size's colour."""
    starts = [max(start, 16) for start, _ in histogram]
    counts = [n for _, n in histogram]
    labels = [f"from {fmt.size(start, start)}" for start, _ in histogram]
    trace = {
        "type": "bar", "x": labels, "y": counts,
        "marker": {"color": [size_colour(start, starts) for start in starts]},
        "text": [fmt.count(n) for n in counts], "textposition": "outside", "cliponaxis": False,
        "hovertemplate": "%{y} pictures with a short side %{x}<extra></extra>",
    }  # fmt: skip
    spoken = ", ".join(f"{fmt.count(n)} {label}" for n, label in zip(counts, labels))
    return figure(
        [trace],
        f"Short sides of the pictures: {spoken}.",
        bargap=0.15,
        xaxis={"type": "category", "fixedrange": True, "ticks": ""},
        yaxis={"title": {"text": "pictures"}, "fixedrange": True, "zeroline": False, "nticks": 5},
        margin={"l": 56, "r": 8, "t": 20, "b": 36},
    )
