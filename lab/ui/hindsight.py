"""Would another epoch have been better? A section of the Compare page.

    panel(found)            # the runs that are compared

What choosing the best-looking epoch promises on validation, and what it really gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lab.analysis.hindsight import Epoch, Hindsight, hindsight, words
from lab.analysis.published import Source
from lab.analysis.unpaired import Choice, choice_words, keras_example
from lab.data.csvsafe import safe_csv
from lab.errors import LabError
from lab.recipe.stage import hw
from lab.runs.folder import RunFolder
from lab.runs.locked import look_words, note_look
from lab.ui import format as fmt
from lab.ui.charts.hindsight import EpochMark, epoch_errors
from lab.ui.comparison import Entry
from lab.ui.live_chart import live_chart
from lab.ui.messages import plain, show_error
from lab.ui.palette import size_colour

_PERCENT = st.column_config.NumberColumn(format="%.1f %%")
COLUMNS = {
    "looks": st.column_config.NumberColumn(
        "gain it shows", format="%+.1f",
        help="Points of validation error fewer than at the last epoch.",
    ),
    "halves": st.column_config.NumberColumn(
        "gain on other images", format="%+.1f",
        help="Chosen on one half of the validation images, read on the other half: a mean over "
        "many halves.",
    ),
    "optimism": st.column_config.NumberColumn(
        format="%+.1f", help="The gain that validation shows, less the gain on other images."
    ),
    "test": st.column_config.NumberColumn(
        "gain on the test part", format="%+.1f",
        help="Points of error fewer on the locked test part; empty where no epoch was kept.",
    ),
    **dict.fromkeys(("error", "95 % from", "to", "test error"), _PERCENT),
}  # fmt: skip
KEEP_TEST = (
    "No epoch of these runs was scored on the locked test part. To see there what choosing gives, "
    "train with “Test every epoch” (Schedule, more settings, final scores) switched on."
)
LOOK = "epochs in hindsight"  # a question to the locked part


def panel(found: Sequence[Entry]) -> None:
    """A row a run, one run in detail, and the published example."""
    looked = _all(found)
    if looked:
        st.markdown(
            "An epoch picked because it looks best on the validation images looks better there "
            "than it is. Gains are in points of error against the last epoch."
        )
        _overview(looked)
        _detail(looked)
        tested = [entry.run for entry, one in looked if one.tested]
        st.caption(look_words(tested) if tested else KEEP_TEST)
    else:
        st.caption("Nothing to look back on yet: no run here has two epochs at its last size.")
    example = st.expander(
        "A published example: the last epoch decided the story", on_change="rerun",
        key="hindsight.more",
    )  # fmt: skip
    if example.open:
        with example:
            _example(*keras_example())


def _all(found: Sequence[Entry]) -> list[tuple[Entry, Hindsight]]:
    """The runs that have epochs to choose from; what is wrong with the others is said."""
    looked = []
    for entry in found:
        try:
            one = _look(str(entry.run.path), _stamp(entry.run.predictions))
        except LabError as error:
            show_error(error)
            continue
        if one is not None:
            looked.append((entry, one))
            if one.tested:
                note_look(entry.run, LOOK)
    return looked


def _stamp(folder: Path) -> tuple[int, int]:
    """How many epochs are kept, and when the last one came."""
    try:
        files = list(folder.glob("e*.npz"))
        return len(files), max((file.stat().st_mtime_ns for file in files), default=0)
    except OSError:
        return 0, 0


@st.cache_data(max_entries=64, show_spinner="Looking back at every epoch …")
def _look(path: str, stamp: tuple[int, int]) -> Hindsight | None:
    return hindsight(RunFolder(Path(path)))


def _overview(looked: Sequence[tuple[Entry, Hindsight]]) -> None:
    table = pd.DataFrame([_row(entry, one) for entry, one in looked])
    if not table["test"].notna().any():
        table = table.drop(columns="test")
    st.dataframe(
        table, hide_index=True, key="hindsight.runs", placeholder="–", column_config=COLUMNS
    )
    _csv(table, "best-looking-epochs")


def _row(entry: Entry, one: Hindsight) -> dict[str, Any]:
    honest = one.honest
    return {
        "run": entry.label,
        "looks best": one.best.number + 1,
        "last": one.last.number + 1,
        "looks": _gain(one.looked),
        "halves": _gain(honest.gain) if honest else None,
        "optimism": _gain(one.optimism) if honest else None,
        "test": _gain(one.tested.difference) if one.tested else None,
        "early stopping keeps": one.kept.number + 1,
    }


def _gain(share: float | None) -> float:
    """In points, one decimal, and never -0.0."""
    return round(100 * (share or 0.0), 1) + 0.0


def _units(words: str) -> str:
    """No line breaks between a number and its unit."""
    return words.replace(" %", f"{fmt.SPACE}%")


def _detail(looked: Sequence[tuple[Entry, Hindsight]]) -> None:
    at = 0
    if len(looked) > 1:
        at = st.selectbox(
            "Epoch by epoch", range(len(looked)), key="hindsight.run",
            format_func=lambda number: looked[min(number, len(looked) - 1)][0].label,
        )  # fmt: skip
    entry, one = looked[min(at, len(looked) - 1)]
    live_chart(_figure(one), key="hindsight.figure", height=300)
    st.markdown(_units(plain(words(one))))
    st.caption(plain(_stopping(one)))
    if st.toggle("Every epoch in numbers", key="hindsight.numbers"):
        table = epoch_rows(one)
        st.dataframe(
            table, hide_index=True, key="hindsight.epochs", placeholder="–", column_config=COLUMNS
        )
        _csv(table, f"{entry.run.id}-hindsight")


def _figure(one: Hindsight) -> dict[str, Any]:
    sides = sorted({epoch.size for epoch in one.epochs})
    marks = [
        EpochMark(
            epoch.number + 1, epoch.valid.error, epoch.valid.low, epoch.valid.high,
            size_colour(epoch.size, sides), fmt.size(*hw(epoch.size)),
            epoch.test.error if epoch.test else None, epoch.stage == one.stage,
        )
        for epoch in one.epochs
    ]  # fmt: skip
    return epoch_errors(marks, one.best.number + 1, one.last.number + 1)


def _stopping(one: Hindsight) -> str:
    """What early stopping would have done, and what that leaves out."""
    after = f"Early stopping after {one.patience} epochs without a better one"
    if one.stopped is None:
        said = f"{after} would never have stopped here."
    else:
        said = (
            f"{after} would have ended after epoch {one.stopped + 1} and kept epoch "
            f"{one.kept.number + 1} ({fmt.percent(one.kept.valid.error)})."
        )
    more = "" if one.honest is None else f" {_halves(one)}"
    return (
        f"{said} Where the learning rate comes down at the end, stopping early keeps weights that "
        f"had not settled yet.{more}"
    )


def _halves(one: Hindsight) -> str:
    assert one.honest is not None
    low, high = fmt.points(one.honest.low), fmt.points(one.honest.high)
    often = max(one.honest.chosen, key=one.honest.chosen.__getitem__)
    share = fmt.percent(one.honest.chosen[often], 0)
    return (
        f"Of {fmt.count(one.honest.repeats)} random halves, 95 % gave a gain of {low} to {high}; "
        f"the epoch chosen most often was {often + 1}, in {share} of them."
    )


def epoch_rows(one: Hindsight) -> pd.DataFrame:
    """A row an epoch, per cent."""
    return pd.DataFrame([_epoch_row(one, epoch) for epoch in one.epochs])


def _epoch_row(one: Hindsight, epoch: Epoch) -> dict[str, Any]:
    share = one.honest.chosen.get(epoch.number, 0.0) if one.honest else 0.0
    return {
        "epoch": epoch.number + 1,
        "size": fmt.size(*epoch.size),
        "error": 100 * epoch.valid.error,
        "95 % from": 100 * epoch.valid.low,
        "to": 100 * epoch.valid.high,
        "test error": 100 * epoch.test.error if epoch.test else None,
        "chosen by halves": fmt.percent(share, 0) if epoch.stage == one.stage else "",
    }


def _example(choice: Choice, source: Source) -> None:
    marks = [
        EpochMark(number + 1, wrong / choice.n, low, high)
        for number, (wrong, (low, high)) in enumerate(zip(choice.wrong, choice.intervals))
    ]
    live_chart(
        epoch_errors(marks, choice.best + 1, choice.last + 1), key="hindsight.example", height=280
    )
    st.markdown(_units(plain(choice_words(choice))))
    table = pd.DataFrame(
        {
            "epoch": range(1, len(marks) + 1),
            "accuracy": [f"{100 * value:.2f}{fmt.SPACE}%" for value in choice.accuracy],
            "wrong": choice.wrong,
            "error": [100 * mark.error for mark in marks],
            "95 % from": [100 * mark.low for mark in marks],
            "to": [100 * mark.high for mark in marks],
        }
    )
    st.dataframe(table, hide_index=True, key="hindsight.keras", column_config=COLUMNS, height=240)
    st.caption(plain(f"Source: {source.title}, {source.authors}. {source.url}"))


def _csv(table: pd.DataFrame, name: str) -> None:
    st.download_button(
        "CSV", safe_csv(table), f"{name}.csv", "text/csv", key=f"hindsight.csv.{name}",
        on_click="ignore", icon=":material/download:", type="tertiary",
    )  # fmt: skip
