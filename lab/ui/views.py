"""One picture looked at several times: each look, the average as it grows, why it flipped.

views([Look("Plain", probs, png), Look("View 1", probs, png)], classes, truth, key="...")

Scrubber, ways of averaging and weights work in the browser: no word goes to the server and back.
views.js does the arithmetic of lab/analysis/tta.py.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from lab.analysis.tta import TINY, combine, growing, usual_weights
from lab.analysis.view_families import WAYS
from lab.ui.palette import BAD, GOOD, NEUTRAL, RUN_COLOURS

MOST_CLASSES = 7  # rows of bars; what is left is one row, `others`
UNKNOWN = -1  # the true class of a picture that nobody has labelled


@dataclass(frozen=True)
class Look:
    """The network's answer to one look. `png` None: the picture is not there (yet)."""

    title: str
    probs: np.ndarray  # (classes,)
    png: bytes | None = None
    size: tuple[int, int] | None = None  # (height, width) where it differs from the others'


def views(
    looks: Sequence[Look],
    classes: Sequence[str],
    truth: int,
    *,
    size: tuple[int, int],
    colour: str,
    key: str,
    way: str = "fastai",
    beta: float = 0.25,
) -> None:
    """Draw the plain look and the views. truth: a class number, or UNKNOWN.

    `way` and `beta`: the average that it begins with.
    """
    probs = np.stack([np.asarray(look.probs, np.float64) for look in looks])
    data = {
        "names": list(classes),
        "shown": shown_classes(probs, _averages(probs, way, beta), truth),
        "truth": truth,
        "looks": [_look(look, size) for look in looks],
        "ways": WAYS,
        "way": way,
        "beta": beta,
        "tiny": TINY,
        "colour": colour,
        "tones": {"good": GOOD, "bad": BAD, "other": NEUTRAL, "answer": RUN_COLOURS[0]},
    }
    _component()(key=key, data=data)


def shown_classes(probs: np.ndarray, running: np.ndarray, truth: int) -> list[int]:
    """The classes worth a row, in class order: the true one, every winner, then the likeliest."""
    winners = [*running.argmax(axis=1), *probs.argmax(axis=1)]
    order = [truth, *winners, *np.argsort(-running[-1], kind="stable")]
    known = dict.fromkeys(int(index) for index in order if index >= 0)
    return sorted(list(known)[:MOST_CLASSES])


def _averages(probs: np.ndarray, way: str, beta: float) -> np.ndarray:
    """What may become an answer: every way of averaging, then the chosen one as it grows."""
    n = len(probs) - 1
    others = [combine(other, probs, usual_weights(other, n, beta)) for other in WAYS]
    return np.concatenate([others, growing(way, probs, usual_weights(way, n, beta))])


def _look(look: Look, size: tuple[int, int]) -> dict[str, Any]:
    source = ""
    if look.png:
        source = f"data:image/png;base64,{base64.b64encode(look.png).decode('ascii')}"
    probs = [float(f"{p:.9g}") for p in np.asarray(look.probs, np.float64)]
    return {"title": look.title, "source": source, "probs": probs,
            "size": list(look.size or size)}  # fmt: skip


@functools.cache
def _component() -> Callable[..., Any]:
    here = Path(__file__)
    script, style = (here.with_suffix(end).read_text(encoding="utf-8") for end in (".js", ".css"))
    return st.components.v2.component("lab_views", js=script, css=style)
