"""One picture looked at several times: each look with its probabilities, the average as it grows.

views([Look("Plain", probs, png), Look("View 1", probs, png)], running, classes, truth, key="...")

The scrubber works in the browser: no word goes to the server and back. All probabilities are the
caller's; nothing is averaged here.
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

from lab.ui.live_chart import plain
from lab.ui.palette import BAD, GOOD, NEUTRAL

MOST_CLASSES = 7  # rows of bars; what is left is one row, `others`


@dataclass(frozen=True)
class Look:
    """The network's answer to one look. `png` None: the picture is not there (yet)."""

    title: str
    probs: np.ndarray  # (classes,)
    png: bytes | None = None


def views(
    looks: Sequence[Look],
    running: np.ndarray,
    classes: Sequence[str],
    truth: int,
    *,
    size: tuple[int, int],
    colour: str,
    key: str,
) -> None:
    """Draw the plain look and the views; `running` (looks, classes): the average after each."""
    shown = shown_classes(np.stack([look.probs for look in looks]), running, truth)
    data = {
        "names": [classes[index] for index in shown],
        "truth": shown.index(truth),
        "rest": len(classes) - len(shown),
        "looks": [_look(look, shown, classes) for look in looks],
        "running": plain(running[:, shown]),
        "answers": [classes[index] for index in running.argmax(axis=1)],
        "size": list(size),
        "colour": colour,
        "tones": {"good": GOOD, "bad": BAD, "other": NEUTRAL},
    }
    _component()(key=key, data=data)


def shown_classes(probs: np.ndarray, running: np.ndarray, truth: int) -> list[int]:
    """The classes worth a row, in class order: the true one, every winner, then the likeliest."""
    winners = [*running.argmax(axis=1), *probs.argmax(axis=1)]
    order = [truth, *winners, *np.argsort(-running[-1], kind="stable")]
    return sorted(list(dict.fromkeys(int(index) for index in order))[:MOST_CLASSES])


def _look(look: Look, shown: list[int], classes: Sequence[str]) -> dict[str, Any]:
    source = ""
    if look.png:
        source = f"data:image/png;base64,{base64.b64encode(look.png).decode('ascii')}"
    probs = plain(np.asarray(look.probs)[shown])
    answer = classes[int(np.argmax(look.probs))]
    return {"title": look.title, "source": source, "probs": probs, "answer": answer}


@functools.cache
def _component() -> Callable[..., Any]:
    here = Path(__file__)
    script, style = (here.with_suffix(end).read_text(encoding="utf-8") for end in (".js", ".css"))
    return st.components.v2.component("lab_views", js=script, css=style)
