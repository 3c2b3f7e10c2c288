"""What a finished stage said of the validation images, read back from its run folder.

    said = evidence(run, stage)              # None where the stage has no stored predictions
    said.plain, said.views                   # (n, classes) and (n, views, classes) or None

Everything here was stored by the worker; nothing is computed by a network on these pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from lab.analysis.metrics import log_losses
from lab.analysis.tta import fastai_average
from lab.runs.folder import RunFolder

FILTERS = {
    "wrong": "Wrong",
    "corrected": "Corrected",
    "corrupted": "Corrupted",
    "unsure": "Least certain",
    "split": "Views disagree",
    "loss": "Largest loss",
    "all": "All",
}
COUNTED = ("wrong", "corrected", "corrupted")  # the others only order the pictures
NEED_VIEWS = ("corrected", "corrupted", "split")


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

    def average(self, beta: float) -> np.ndarray:
        """Probabilities with the views, (n, classes); the plain ones where there are no views."""
        return self.plain if self.views is None else fastai_average(self.plain, self.views, beta)


def evidence(run: RunFolder, stage: int) -> Evidence | None:
    """Plain predictions at the final size and, where they were made, those of the views."""
    info = run.scores(stage)
    if not info:
        return None
    height, width = info["final_size"]
    classes = tuple(info["model"]["classes"])
    for name in (f"s{stage}-{height}x{width}-tta", f"s{stage}-{height}x{width}"):
        path = run.predictions / f"{name}.npz"
        found = _read(str(path), _changed(path))
        if found is not None and "item" in found:
            plain = found.get("plain", found.get("probs"))
            beta = float(found.get("beta", 0.25))
            rows = found["item"], found["target"], plain, found.get("views"), beta
            return Evidence((height, width), classes, *rows)
    return None


def picked(said: Evidence, kind: str, beta: float, of_class: int = -1) -> np.ndarray:
    """Rows of a filter, the most telling first; of one true class from `of_class` = 0 on."""
    average = said.average(beta)
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
    if not changed:
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, KeyError):
        return None
