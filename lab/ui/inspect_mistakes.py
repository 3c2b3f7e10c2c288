"""Inspect, Mistakes: where it is wrong, how wrong, how sure, and which labels may be.

panel(seen)         # seen: lab.ui.inspected.Looked
"""

from __future__ import annotations

import streamlit as st

from lab.analysis.mistakes import target_names
from lab.ui import (
    format as fmt,
)
from lab.ui import (
    mistakes_classes,
    mistakes_labels,
    mistakes_losses,
    mistakes_matrix,
    mistakes_sure,
)
from lab.ui.inspected import Looked
from lab.ui.look_again import dataset_of
from lab.ui.messages import guard, plain
from lab.ui.mistakes_seen import Seen

VIEWS = {
    "matrix": "Mixed up", "losses": "Largest losses", "classes": "Class by class",
    "sure": "How sure", "labels": "Labels to check",
}  # fmt: skip
_PANELS = {
    "matrix": mistakes_matrix.panel, "losses": mistakes_losses.panel,
    "classes": mistakes_classes.panel, "sure": mistakes_sure.panel,
    "labels": mistakes_labels.panel,
}  # fmt: skip


def panel(seen: Looked) -> None:
    """Which answers are looked at, how many of them are wrong, and one of five views of those."""
    with guard():
        which = _choices(seen)
    answers = which.answers
    wrong = int((answers.probs.argmax(axis=1) != answers.target).sum())
    n = len(answers.target)
    of = f" of {plain(which.name)}" if len(target_names(seen.info)) > 1 else ""
    st.markdown(
        f"**{fmt.count(wrong)} of {fmt.count(n)} answers{of} are wrong** "
        f"({fmt.percent(wrong / max(n, 1))}) on the validation images, at "
        f"{fmt.size(*which.moments[-1].size)}{', averaged over views' if which.averaged else ''}."
    )
    view = st.segmented_control(
        "Look at", list(VIEWS), format_func=VIEWS.get, default="matrix", required=True,
        key="mistakes.view", bind="query-params", label_visibility="collapsed", wrap=True,
    )  # fmt: skip
    with guard():
        _PANELS[view](which)


def _choices(seen: Looked) -> Seen:
    """Target and way to answer, each asked for only where there is a choice."""
    names = target_names(seen.info)
    second, averaged = False, False
    if len(names) > 1 or seen.said.views is not None:
        with st.container(horizontal=True, gap="medium"):
            if len(names) > 1:
                second = _pick("Label", [plain(name) for name in names], f"target.{seen.here}")
            if seen.said.views is not None and not second:
                options = ["Plain picture", "With views"]
                averaged = _pick("Answers", options, f"answers.{seen.here}")
            elif seen.said.views is not None:
                st.caption("Views are averaged for the first label only.")
    return Seen.of(seen, second, averaged, dataset_of(seen.run, seen.recipe))


def _pick(label: str, options: list[str], key: str) -> bool:
    """Whether the second of two is chosen."""
    found = st.segmented_control(
        label, [0, 1], default=0, format_func=lambda at: options[at], required=True,
        key=f"mistakes.{key}", persist_state="session",
    )  # fmt: skip
    return bool(found)
