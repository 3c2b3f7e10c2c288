"""Results: class probabilities, class counts, confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.ui import format as fmt
from lab.ui.charts.base import Figure, figure, legend_above, safe
from lab.ui.palette import GOOD, NEUTRAL, RUN_COLOURS


def probability_bars(
    classes: Sequence[str], probs: Sequence[float], truth: str | None = None, top: int = 5
) -> Figure:
    """The likeliest classes, and always the true one; the true one is marked in words too."""
    order = sorted(range(len(classes)), key=lambda index: -probs[index])
    shown = order[:top]
    true_at = classes.index(truth) if truth in classes else None
    if true_at is not None and true_at not in shown:
        shown = [*shown[:-1], true_at]
    names = [safe(classes[i], 22) + (" (true)" if i == true_at else "") for i in shown]
    trace = {
        "type": "bar", "orientation": "h", "x": [100 * float(probs[i]) for i in shown],
        "y": list(range(len(shown))),
        "marker": {"color": [GOOD if i == true_at else NEUTRAL for i in shown]},
        "text": [fmt.percent(float(probs[i])) for i in shown],
        "textposition": "outside", "cliponaxis": False,
        "customdata": [safe(classes[i]) for i in shown],
        "hovertemplate": "%{customdata}: %{x:.2f} %<extra></extra>",
    }  # fmt: skip
    spoken = ", ".join(f"{classes[i]} {fmt.percent(float(probs[i]))}" for i in shown)
    return figure(
        [trace],
        f"Probabilities: {spoken}." + (f" True class: {truth}." if truth else ""),
        xaxis={"range": [0, 118], "visible": False, "fixedrange": True},
        yaxis=_names_down(names),
        bargap=0.3,
        margin={"l": 8, "r": 8, "t": 4, "b": 4},
    )


def class_counts(classes: Sequence[str], parts: Mapping[str, Sequence[int]]) -> Figure:
    """Images per class: one stacked bar per class, a colour per part (train, valid, test)."""
    names = [safe(name, 22) for name in classes]
    data = [
        {
            "type": "bar", "orientation": "h", "name": safe(part), "x": [int(n) for n in counts],
            "y": list(range(len(names))), "marker": {"color": RUN_COLOURS[index]},
            "customdata": names,
            "hovertemplate": f"%{{customdata}}, {safe(part)}: %{{x}}<extra></extra>",
        }
        for index, (part, counts) in enumerate(parts.items())
    ]  # fmt: skip
    totals = [sum(int(counts[i]) for counts in parts.values()) for i in range(len(classes))]
    spoken = ", ".join(f"{name} {fmt.count(total)}" for name, total in zip(classes, totals))
    return figure(
        data,
        f"Images per class: {spoken}.",
        barmode="stack",
        bargap=0.3,
        xaxis={"title": {"text": "images"}, "fixedrange": True, "zeroline": False},
        yaxis=_names_down(names),
        showlegend=len(parts) > 1,
        legend={**legend_above(), "y": 1.0, "traceorder": "normal"},
        margin={"l": 8, "r": 16, "t": 30 if len(parts) > 1 else 8, "b": 44},
    )


def drawn_counts(classes: Sequence[str], natural: Sequence[int], drawn: Sequence[float]) -> Figure:
    """Weighted sampling: training images per class, beside how often an epoch drew the class."""
    names = [safe(name, 22) for name in classes]
    parts = {"pictures there are": natural, "drawn in an epoch": drawn}
    data = [
        {
            "type": "bar", "orientation": "h", "name": part, "x": [float(n) for n in counts],
            "y": list(range(len(names))),
            "marker": {"color": colour, "pattern": {"shape": sign, "fillmode": "overlay"}},
            "customdata": names,
            "hovertemplate": f"%{{customdata}}, {part}: %{{x:.0f}}<extra></extra>",
        }
        for (part, counts), colour, sign in zip(
            parts.items(), (NEUTRAL, RUN_COLOURS[0]), ("", "/"), strict=True
        )
    ]  # fmt: skip
    spoken = ", ".join(
        f"{name} {have:.0f} and {drew:.0f}" for name, have, drew in zip(classes, natural, drawn)
    )
    return figure(
        data,
        f"Training images per class, and draws in an epoch: {spoken}.",
        barmode="group",
        bargap=0.25,
        xaxis={"title": {"text": "images"}, "fixedrange": True, "zeroline": False},
        yaxis=_names_down(names),
        showlegend=True,
        legend={**legend_above(), "traceorder": "normal"},
        margin={"l": 8, "r": 16, "t": 30, "b": 44},
    )


def _names_down(names: Sequence[str]) -> dict[str, Any]:
    """A vertical axis of names, the first on top."""
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": list(names)}
    quiet = {"showgrid": False, "zeroline": False, "fixedrange": True, "automargin": True}
    return {**ticks, **quiet, "range": [len(names) - 0.5, -0.5], "ticks": ""}
