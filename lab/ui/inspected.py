"""What the panels of the Inspect page look at: a run, a finished stage, what was stored of it.

    def panel(seen: Looked) -> None:
        st.caption(seen.run.id)

Every part of the page (`inspect_*.py`) is such a `panel`; only the part that is open is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab.recipe import Recipe
from lab.runs.folder import RunFolder
from lab.ui.evidence import Evidence


@dataclass(frozen=True, eq=False)
class Looked:
    """`info` is the stage's scores.json; `here` goes into widget keys: no two stages share them."""

    run: RunFolder
    stage: int
    info: dict[str, Any]
    recipe: Recipe
    said: Evidence
    here: str
