"""What a replay shows at one moment: the numbers, curves and table that a live run had then.

moment_view(Moment(id, epochs, steps, plan, sides, at_s=95.0), View("epoch"))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lab.analysis.curves import smoothed
from lab.analysis.replay import epoch_ends, length_s, seen_at
from lab.schedules.plan import Plan
from lab.ui import charts
from lab.ui import format as fmt
from lab.ui.charts.axis import plotted
from lab.ui.charts.curves import TRAIN, What
from lab.ui.epoch_table import epoch_table
from lab.ui.live_chart import live_chart
from lab.ui.run_view import View


@dataclass(frozen=True, eq=False)
class Moment:
    """A run, and the second of its work at which it is looked at."""

    id: str
    epochs: pd.DataFrame  # all of them
    steps: pd.DataFrame
    plan: Plan
    sides: Sequence[tuple[int, int]]
    at_s: float
    rates_known: bool = True
    playing: bool = False


def moment_view(moment: Moment, view: View) -> None:
    """Numbers, curves, table. Each has a place of its own, so that a zoom is kept."""
    epochs, steps = seen_at(moment.epochs, moment.steps, moment.at_s)
    top, curves, table = st.container(), st.container(), st.container()
    current = under_way(moment, epochs, steps)
    with top:
        _numbers(moment, epochs, current)
    with curves:
        _curves(moment, epochs, steps, view)
    with table:
        if len(epochs) or current:
            key = f"replay.epochs.{moment.id}"
            epoch_table(epochs, list(moment.sides), key, current=current)
    if not moment.epochs["seconds"].notna().all():
        st.caption("The seconds of its epochs were not published: here all are equally long.")


def under_way(moment: Moment, epochs: pd.DataFrame, steps: pd.DataFrame) -> dict[str, Any] | None:
    """The epoch that was being trained, in the form of a `step` event; None where none was."""
    at, ends = len(epochs), epoch_ends(moment.epochs)
    since = moment.at_s - (ends[at - 1] if at else 0.0)
    if moment.at_s >= length_s(moment.epochs, moment.steps):
        return None
    if since < 1e-3 and not moment.playing:  # held between two epochs: the next has not begun
        return None
    whole = moment.epochs["global_epoch"]
    number = int(whole.iloc[at]) if at < len(whole) else int(whole.iloc[-1]) + 1
    if number >= len(moment.plan.epochs):
        return None
    row = moment.plan.epochs[number]
    loss = float(smoothed(steps["loss"])[-1]) if len(steps) else float("nan")
    return {
        "global_epoch": number, "stage": row.stage, "epoch": row.epoch,
        "size": (row.height, row.width), "train_loss": loss,
    }  # fmt: skip


def place_words(moment: Moment, epochs: pd.DataFrame, current: dict[str, Any] | None) -> str:
    """`Stage 2 of 2 at 224 px, epoch 5 of 10.`"""
    total, stages = len(moment.plan.epochs), moment.plan.epochs[-1].stage + 1
    if current:
        at, verb = current, "epoch"
        size = fmt.size(*current["size"])
    elif len(epochs):
        at, verb = epochs.iloc[-1], "after epoch"
        size = fmt.size(int(at["height"]), int(at["width"]))
    else:
        return f"Before the first of {total} epochs."
    place = f"{verb} {int(at['global_epoch']) + 1} of {total}"
    return f"Stage {int(at['stage']) + 1} of {stages} at {size}, {place}."


def _numbers(moment: Moment, epochs: pd.DataFrame, current: dict[str, Any] | None) -> None:
    st.markdown(place_words(moment, epochs, current))
    error = float(epochs["error_rate"].iloc[-1]) if len(epochs) else None
    timed = np.isfinite(moment.epochs["elapsed"].to_numpy(dtype=float)).any()
    with st.container(horizontal=True, gap="large", key="replay.numbers"):
        st.metric("Error rate then", fmt.percent(error), width="content")
        if timed:
            whole = length_s(moment.epochs, moment.steps)
            words = f"{fmt.minutes(moment.at_s)} of {fmt.minutes(whole)}"
            st.metric("Time then", words, width="content")
        speed = moment.epochs["images_per_s"].iloc[: max(len(epochs), 1)]
        if len(epochs) and np.isfinite(speed.iloc[-1]):
            st.metric("Pictures a second", fmt.count(speed.iloc[-1]), width="content")


def _curves(moment: Moment, epochs: pd.DataFrame, steps: pd.DataFrame, view: View) -> None:
    """The charts of the live view, over the whole schedule from the start."""
    axis = charts.Axis.of(moment.plan, view.x, lengths(moment))
    rows: list[list[What]] = [["loss", "error"], ["lr", "size"]]
    if not np.isfinite(moment.epochs[["train_loss", "valid_loss"]].to_numpy(dtype=float)).any():
        rows[0] = ["error"]
    if not len(moment.steps):  # published: rates as far as they are known, sizes where they grow
        rows[1] = rows[1][not moment.rates_known : 1 + (len(moment.sides) > 1)]
    for names, height in zip(filter(None, rows), (300, 190)):
        for column, what in zip(st.columns(len(names)), names):
            log_y = view.log_y and what in ("loss", "error")
            figure = charts.live_curves(
                epochs, steps, axis, what, smoothing=view.smoothing, log_y=log_y
            )
            if what == "loss" and not len(moment.steps):
                _by_epoch(figure, epochs, axis)
            alt = f"Replay, as it was then. {charts.describe(figure)}"
            with column:
                live_chart(figure, f"replay.curve.{what}.{moment.id}", height, alt=alt)


def lengths(moment: Moment) -> list[float]:
    """Seconds per epoch of the schedule, as far as they are known or assumed; a table that begins
    late in the schedule has epochs before it that are taken to be like its first."""
    found = np.diff(np.append(0.0, epoch_ends(moment.epochs)))
    before = int(moment.epochs["global_epoch"].iloc[0]) if len(found) else 0
    return [float(found[0])] * before + found.tolist() if len(found) else []


def _by_epoch(figure: dict[str, Any], epochs: pd.DataFrame, axis: charts.Axis) -> None:
    """Training loss of each epoch, where the steps were not published."""
    known = [trace for trace in figure["data"] if trace["name"] == "validation"]
    x = axis.at_epochs(epochs["global_epoch"])
    loss = epochs["train_loss"].to_numpy(dtype=float)
    line = {"color": TRAIN, "width": 2}
    mean = {
        "type": "scatter", "mode": "lines+markers", "name": "training",
        "x": plotted(axis.name, x), "y": loss, "line": line,
        "marker": {"size": 7, "color": TRAIN}, "hovertemplate": "%{y:.3f}",
    }  # fmt: skip
    figure["data"] = [mean, *known]
    last = f"training {fmt.decimal(loss[-1])}" if len(loss) else "nothing yet"
    valid = epochs["valid_loss"].to_numpy(dtype=float)
    words = f"{last}, validation {fmt.decimal(valid[-1])}" if len(valid) else last
    figure["layout"]["meta"] = {"alt": f"Loss after each epoch, now: {words}."}
