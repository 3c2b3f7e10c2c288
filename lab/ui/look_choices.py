"""Inspect: which views of a picture are averaged, and how; with the task that makes them.

chosen = choose_looks(seen)           # widgets; the same choice in every part of the page
chosen.said, chosen.average           # stored answers with these views, and their average
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import streamlit as st

from lab.analysis.view_families import FAMILIES, RANDOM, WAYS
from lab.ui import format as fmt
from lab.ui import tasks
from lab.ui.evidence import Evidence, evidence
from lab.ui.inspected import Looked
from lab.ui.messages import guard, plain

KIND = "tta"
ENOUGH = 0.05  # p below which a difference is called more than chance
_WAYS_HELP = (
    "What becomes of the answers to all looks. The geometric mean and the mean of logits are the "
    "same thing by arithmetic, once the probabilities are made to sum to 1 again."
)


@dataclass(frozen=True)
class Chosen:
    """A family of views, how many of it, and a way of averaging; `said`: what is stored of it."""

    family: str
    count: int
    way: str
    beta: float
    said: Evidence

    @property
    def stored(self) -> bool:
        """Whether all its views of all pictures are stored."""
        return self.said.views is not None and self.said.views.shape[1] >= self.count

    @cached_property
    def average(self) -> np.ndarray:
        """Probabilities (n, classes) with the views that are stored, else the plain ones."""
        return self.said.average(self.beta, self.way)


def choose_looks(seen: Looked) -> Chosen:
    """The choices in a row, then the button that makes what is not there, with its progress."""
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    family = row.selectbox(
        "Views", list(FAMILIES), format_func=lambda name: FAMILIES[name].label, width=230,
        key=f"inspect.family.{seen.here}", persist_state="session",
        help="What the network gets to see besides the plain picture.",
    )  # fmt: skip
    said = seen.said if family == seen.said.family else evidence(seen.run, seen.stage, family)
    said = said or seen.said
    many = 0 if said.views is None else said.views.shape[1]
    count = many or len(FAMILIES[family].titles)
    if family == RANDOM:
        count = row.number_input(
            "How many", 1, 64, many or max(seen.recipe.evaluation.tta_views, 1), width=100,
            key=f"inspect.views.{seen.here}", persist_state="session",
            help="Random views of each picture, besides the plain one.",
        )  # fmt: skip
    way = row.selectbox(
        "Averaged as", list(WAYS), format_func=_capital, help=_WAYS_HELP, width=230,
        key=f"inspect.way.{seen.here}", persist_state="session",
    )  # fmt: skip
    beta = seen.said.beta
    if way == "fastai":
        beta = row.slider(
            "Weight of the plain one", 0.0, 1.0, beta, 0.05, width=180,
            key=f"inspect.beta.{seen.here}", persist_state="session",
            help="The views share the rest. Averaged again from what is stored: nothing is run.",
        )  # fmt: skip
    chosen = Chosen(family, int(count), way, beta, said.first(int(count)))
    _work(seen, chosen)
    return chosen


def _capital(way: str) -> str:
    return "fastai's way" if way == "fastai" else WAYS[way].capitalize()


def _work(seen: Looked, chosen: Chosen) -> None:
    """The button, what it will do or what was done, and the task under way."""
    slot, about = f"tta.{seen.here}", {"run": seen.run.id, "stage": seen.stage}
    n, k = len(seen.said.item), chosen.count
    row = st.container(horizontal=True, vertical_alignment="center", gap="medium")
    pressed = row.button(
        f"Look again with {k} view{'s' if k != 1 else ''}", key="inspect.look",
        type="secondary" if chosen.stored else "primary", disabled=tasks.busy(slot),
        icon=":material/visibility:",
    )  # fmt: skip
    if chosen.stored:
        row.caption(cost_words(chosen.said))
    else:
        row.caption(f"All {fmt.count(n)} validation pictures, {k} more times each, then stored.")
    if pressed:
        asked = {**about, "views": k, "beta": seen.recipe.evaluation.tta_beta}
        with guard():
            tasks.start(slot, KIND, {**asked, "family": chosen.family})
        st.rerun()
    if tasks.watch(slot, (KIND,), about):
        st.rerun()


def cost_words(said: Evidence) -> str:
    """`Stored: 4 views of 341 pictures, made in bf16 in 3.2 s: 2.3 ms a view.`"""
    n, k = said.views.shape[:2]
    words = f"Stored: {k} view{'s' if k != 1 else ''} of {fmt.count(n)} pictures"
    if not said.seconds:
        return f"{words}."
    each = 1000 * said.seconds / max(n * k, 1)
    took = fmt.decimal(said.seconds, 1)
    return (
        f"{words}, made in {plain(said.precision)} in {took}{fmt.SPACE}s: "
        f"{fmt.decimal(each, 1)}{fmt.SPACE}ms a view of a picture. Plain pictures are "
        "always answered in fp32."
    )


def summary(report: dict[str, Any]) -> None:
    """Scores without and with the views, what changed, and what that is worth, in words."""
    before, after = report["plain"], report["tta"]
    one, two, three, four = st.columns(4)
    one.metric(
        "Accuracy with views", fmt.percent(after["accuracy"]),
        _delta(fmt.points(after["accuracy"] - before["accuracy"])),
        delta_description=f"from {fmt.percent(before['accuracy'])}",
    )  # fmt: skip
    two.metric(
        "Log loss with views", fmt.decimal(after["log_loss"]),
        f"{after['log_loss'] - before['log_loss']:+.3f}", delta_color="inverse",
        delta_description=f"from {fmt.decimal(before['log_loss'])}",
        help="How little probability the true classes get; lower is better.",
    )  # fmt: skip
    three.metric(
        "Corrected", fmt.count(report["corrected"]), help="Wrong before, right with views."
    )
    four.metric("Corrupted", fmt.count(report["corrupted"]), help="Right before, wrong with views.")
    st.write(summary_words(report))


def summary_words(report: dict[str, Any]) -> str:
    """The verdict of exact McNemar on corrected against corrupted, with its cost."""
    right, wrong, p = report["corrected"], report["corrupted"], report["p"]
    views, n = report["views"], report["n"]
    price = f"Each answer takes {views + 1} looks instead of one."
    changed = f"Of {fmt.count(n)} pictures it corrected {right} and corrupted {wrong}"
    shown = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    if not right + wrong:
        return f"No answer changed among {fmt.count(n)} pictures. {price}"
    if p >= ENOUGH:
        return (
            f"{changed}: **not enough evidence** that looking again changes the error rate "
            f"(exact McNemar test, {shown}). {price}"
        )
    verb = "helps" if right > wrong else "hurts"
    return f"{changed}: more than chance explains, it **{verb}** here ({shown}). {price}"


def _delta(text: str) -> str:
    """Streamlit reads the sign from an ordinary minus."""
    return text.replace("−", "-")
