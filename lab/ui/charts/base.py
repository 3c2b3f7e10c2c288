"""What all charts share: the layout, safe text, smoothing, thinning.

Colours of text, grid and background are left out on purpose: the page's theme fills them in, light
or dark, without a new figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

Figure = dict[str, Any]
MOST_POINTS = 1000  # a curve is thinned to this: more cannot be seen, and costs 60 ms a tick


def figure(data: list[dict[str, Any]], alt: str, revision: str = "", **layout: Any) -> Figure:
    """A figure dict. `revision` names the view: another one drops the reader's zoom."""
    base = {
        "margin": {"l": 56, "r": 12, "t": 26, "b": 44},
        "hovermode": "closest",
        "dragmode": "zoom",
        "showlegend": False,
        "uirevision": revision or "view",
        "meta": {"alt": alt},
    }
    return {"data": data, "layout": {**base, **layout}}


def describe(chart: Figure) -> str:
    """The text alternative of a figure: what a reader who cannot see it needs to know."""
    return chart["layout"]["meta"]["alt"]


def legend_above() -> dict[str, Any]:
    """A legend along the top edge of the figure, clear of the stage labels."""
    top = {"yref": "container", "y": 1, "yanchor": "top"}
    return {"orientation": "h", "x": 0, "xanchor": "left", **top}


def safe(text: str, longest: int = 0) -> str:
    """A user's words for a chart: Plotly reads some HTML, these stay words."""
    words = " ".join(str(text).split())
    if longest and len(words) > longest:
        words = words[: longest - 1].rstrip() + "…"
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def smooth(values: Sequence[float], weight: float) -> np.ndarray:
    """Exponential moving average without start-up bias; weight in [0, 1), 0 changes nothing.

    Values that are not finite are passed over. To be computed before thinning.
    """
    raw = pd.Series(np.asarray(values, dtype=float)).replace([np.inf, -np.inf], np.nan)
    return raw.ewm(alpha=1 - weight, ignore_na=True).mean().to_numpy()


def thin(n: int, most: int = MOST_POINTS) -> np.ndarray:
    """Indices of at most `most` of n points, every k-th from the start, and the last.

    k is a power of two, so that points stay where they are while a live curve grows.
    """
    stride = 1
    while n / stride > most - 1:
        stride *= 2
    kept = np.arange(0, n, stride)
    return kept if n == 0 or kept[-1] == n - 1 else np.append(kept, n - 1)
