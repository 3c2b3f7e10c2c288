"""What a finished stage said of the validation images, read back from its run folder.

    said = evidence(run, stage)              # None where the stage has no stored predictions
    said = evidence(run, stage, "d4")        # with the views of another family
    said.plain, said.views                   # (n, classes) and (n, views, classes) or None

Everything here was stored by the worker; nothing is computed by a network on these pages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import streamlit as st

from lab.analysis.metrics import log_losses
from lab.analysis.tta import average_by
from lab.analysis.view_families import RANDOM, kind_of
from lab.runs.arrays import read_arrays
from lab.runs.folder import RunFolder

FILTERS = {
    "wrong": "Wrong",
    "corrected": "Corrected",
    "corrupted": "Corrupted",
    "unsure": "Least certain",
    "split": "Views disagree",
    "sure": "Over-confident mistakes",
    "loss": "Largest loss",
    "all": "All",
}
COUNTED = ("wrong", "corrected", "corrupted", "sure")  # the others only order the pictures
NEED_VIEWS = ("corrected", "corrupted", "split")
SURE = 0.8  # a mistake made with more probability than this is an over-confident one


@dataclass(frozen=True, eq=False)
class Evidence:
    """A row an image: item, target (n,), plain (n, classes), views (n, views, classes)."""

    size: tuple[int, int]
    classes: tuple[str, ...]
    item: np.ndarray
    target: np.ndarray
    plain: np.ndarray
    views: np.ndarray | None = None
    beta: float = 0.25  # the weight of the plain picture that the scores were stored with
    family: str = RANDOM
    titles: tuple[str, ...] = ()  # of the views
    precision: str = "fp32"  # of the views; plain pictures are always fp32
    seconds: float | None = None  # that all the views of all pictures took

    def average(self, beta: float, way: str = "fastai") -> np.ndarray:
        """Probabilities with the views, (n, classes); the plain ones where there are no views."""
        return self.plain if self.views is None else average_by(way, self.plain, self.views, beta)

    def first(self, count: int) -> Evidence:
        """The same with the first so many views."""
        if self.views is None or count >= self.views.shape[1]:
            return self
        seconds = self.seconds and self.seconds * count / self.views.shape[1]
        titles = self.titles[:count]
        return replace(self, views=self.views[:, :count], titles=titles, seconds=seconds)


def evidence(run: RunFolder, stage: int, family: str = RANDOM) -> Evidence | None:
    """Plain predictions at the final size and, where they were made, those of a family's views."""
    info = run.scores(stage)
    if not info:
        return None
    height, width = info["final_size"]
    classes = tuple(info["model"]["classes"])
    plain = f"s{stage}-{height}x{width}"
    for name in (f"{plain}-{kind_of(family)}", plain):
        path = run.predictions / f"{name}.npz"
        found = _read(str(path), _changed(path))
        if found is not None and "item" in found:
            return _of_file(found, (height, width), classes, family)
    return None


def _of_file(
    found: dict[str, np.ndarray], size: tuple[int, int], classes: tuple[str, ...], family: str
) -> Evidence:
    views = found.get("views")
    many = 0 if views is None else views.shape[1]
    titles = found.get("titles", [f"View {at + 1}" for at in range(many)])
    seconds = found.get("seconds")
    return Evidence(
        size, classes, found["item"], found["target"], found.get("plain", found.get("probs")),
        views, float(found.get("beta", 0.25)), family, tuple(map(str, titles)),
        str(found.get("precision", "fp32")), None if seconds is None else float(seconds),
    )  # fmt: skip


def picked(
    said: Evidence, kind: str, beta: float, of_class: int = -1, way: str = "fastai"
) -> np.ndarray:
    """Rows of a filter, the most telling first; of one true class from `of_class` = 0 on."""
    average = said.average(beta, way)
    plain_right = said.plain.argmax(axis=1) == said.target
    now_right = average.argmax(axis=1) == said.target
    certain = average.max(axis=1)
    loss = log_losses(average, said.target)
    rank, keep = -loss, np.ones(len(loss), bool)
    if kind == "wrong":
        keep = ~now_right
    elif kind == "corrected":
        keep = now_right & ~plain_right
    elif kind == "corrupted":
        keep = plain_right & ~now_right
    elif kind == "sure":
        keep, rank = ~now_right & (certain > SURE), -certain
    elif kind == "unsure":
        rank = certain
    elif kind == "split" and said.views is not None:
        rank = -disagreement(said.views)
    elif kind == "all":
        rank = np.arange(len(loss))
    if of_class >= 0:
        keep = keep & (said.target == of_class)
    order = np.argsort(rank, kind="stable")
    return order[keep[order]]


def disagreement(views: np.ndarray) -> np.ndarray:
    """How far views differ, (n,): entropy of their mean less their mean entropy, in nats."""
    return _entropy(views.mean(axis=1)) - _entropy(views).mean(axis=1)


def in_cell(said: Evidence, probs: np.ndarray, true: int, predicted: int) -> np.ndarray:
    """Rows of one cell of the confusion matrix, the surest first."""
    keep = (said.target == true) & (probs.argmax(axis=1) == predicted)
    order = np.argsort(-probs.max(axis=1), kind="stable")
    return order[keep[order]]


def _entropy(probs: np.ndarray) -> np.ndarray:
    return -(probs * np.log(np.clip(probs, 1e-12, 1))).sum(axis=-1)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_resource(max_entries=8, show_spinner=False)
def _read(path: str, changed: int) -> dict[str, np.ndarray] | None:
    """The arrays of a file, shared by all sessions and never written to; None where it is none."""
    return read_arrays(path) if changed else None
