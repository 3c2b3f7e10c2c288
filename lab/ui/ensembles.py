"""Ensembles on the Compare page: members, the locked part, what they reach together.


panel(found)          # found: the entries of the Compare page

Showing a score of the locked part is a look at it. The same question twice is one look.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from lab.analysis.ensembles import STACKED, WEIGHTED, Ensemble, assess
from lab.analysis.members import Member, demand_together, question, read_member, told_apart
from lab.data.csvsafe import safe_csv
from lab.errors import LabError
from lab.runs.folder import RunFolder
from lab.runs.locked import look_words, looks, note_look
from lab.ui import format as fmt
from lab.ui import tasks
from lab.ui.charts.ensembles import ensemble_errors, errors_height
from lab.ui.comparison import Entry
from lab.ui.live_chart import live_chart
from lab.ui.messages import guard, plain, show_error

SLOT, KIND = "ensembles", "score_test"
SHOWN = "ensembles.shown"  # the question whose answer this session asked for
_RATE = st.column_config.NumberColumn(format="%.1f %%")
_COLUMNS = {
    "weight": st.column_config.NumberColumn(format="%.2f"),
    "error, validation": _RATE,
    "error, locked part": _RATE,
    "95 % from": _RATE,
    "to": _RATE,
    "log loss": st.column_config.NumberColumn(format="%.3f"),
    "gain, points": st.column_config.NumberColumn(
        format="%+.1f", help="Points of error fewer than the best member."
    ),
    "p": st.column_config.NumberColumn(format="%.3f"),
}


def panel(found: Sequence[Entry]) -> None:
    """Choose members, look at the locked part when asked to, and say what the ensemble is worth."""
    st.markdown(
        "Runs that differ by seed or by split make different mistakes; averaging what they say "
        "often helps. An answer then takes the work of all members."
    )
    ready = {entry.run.id: entry for entry in found if entry.final}
    if len(ready) < 2:
        st.caption("An ensemble needs two finished runs of the same data: choose them above.")
        return
    usual = _usual(list(ready.values()))
    chosen = st.multiselect(
        "Members", list(ready), usual, key=f"ensembles.members.{hash(tuple(ready)) % 10**8}",
        format_func=lambda run_id: ready[run_id].label, placeholder="Choose at least two",
    )  # fmt: skip
    stack = st.toggle(
        "Also stack them", True, key="ensembles.stack",
        help="Gradient boosting on the members' outputs, fitted on validation images. It over-fits "
        "easily; how much is shown.",
    )  # fmt: skip
    mine = [ready[run_id] for run_id in chosen]
    if len(mine) < 2:
        st.caption("Choose at least two members: runs of the same data with the same labels.")
        return
    try:
        members = told_apart([_member(entry) for entry in mine])
        demand_together(members)
        demand_locked(mine)
    except LabError as error:
        show_error(error)
        return
    _look(mine, members, stack)


def _usual(ready: Sequence[Entry]) -> list[str]:
    """The runs that tell the same classes of the same data apart as the first does."""

    def kind(entry: Entry) -> tuple[object, ...]:
        model = entry.final.get("model", {})
        data = entry.seen.started.get("data", {}).get("fingerprint")
        return tuple(model.get("classes", ())), model.get("target"), data

    return [entry.run.id for entry in ready if kind(entry) == kind(ready[0])]


def demand_locked(mine: Sequence[Entry]) -> None:
    """LabError where a run has no locked test part to be judged on."""
    without = [e.label for e in mine if e.seen.started.get("data", {}).get("n_test") == 0]
    if without:
        raise LabError(
            f"No locked test part: {', '.join(without)}.",
            "An ensemble is judged on pictures that no member has seen. Train with a share locked "
            "away (Schedule, division of the pictures), or with data that bring a test part.",
        )


def _member(entry: Entry) -> Member:
    scores = entry.run.stage(int(entry.final["stage"])) / "scores.json"
    stamps = _changed(scores), _changed(entry.run.predictions)
    return _read(str(entry.run.path), entry.label, stamps)


@st.cache_data(max_entries=32, show_spinner=False)
def _read(path: str, name: str, stamps: tuple[int, ...]) -> Member:
    return read_member(RunFolder(Path(path)), name)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _look(mine: Sequence[Entry], members: Sequence[Member], stack: bool) -> None:
    """The button before the look, the table after it."""
    asked, folders = question(members), [entry.run for entry in mine]
    missing = [member.run for member in members if member.test is None]
    known = all(asked in [look["question"] for look in looks(run)] for run in folders)
    if not missing and (known or st.session_state.get(SHOWN) == asked):
        for run in folders:
            note_look(run, asked)
        st.caption(look_words(folders))
        with guard():
            found = _assess([str(run.path) for run in folders], members, stack)
        _shown(found)
        return
    st.caption(look_words(folders))
    words = "Score the locked test part" if missing else "Look at the locked test part"
    if st.button(
        words, type="primary", key="ensembles.look", icon=":material/lock_open:",
        disabled=tasks.busy(SLOT), help="On the pictures that no member has trained or chosen on.",
    ):  # fmt: skip
        st.session_state[SHOWN] = asked
        if missing:
            with guard():
                tasks.start(SLOT, KIND, {"runs": [{"run": run_id} for run_id in missing]})
        st.rerun()
    if tasks.watch(SLOT, (KIND,)) is not None:
        st.rerun()


def _assess(paths: list[str], members: Sequence[Member], stack: bool) -> Ensemble:
    stamps = [_changed(Path(path) / "predictions") for path in paths]
    return _assessed(paths, [member.name for member in members], stamps, stack)


@st.cache_data(max_entries=32, show_spinner="Fitting weights on validation images …")
def _assessed(paths: list[str], names: list[str], stamps: list[int], stack: bool) -> Ensemble:
    """Stacking three members of 300 images takes seconds: once."""
    members = [read_member(RunFolder(Path(path)), name) for path, name in zip(paths, names)]
    return assess(members, stack=stack)


def _shown(found: Ensemble) -> None:
    """The verdicts, a picture, what limits them, the numbers."""
    for row in found.rows:
        if row.verdict:
            st.markdown(f"- **{plain(row.verdict)}**")
    live_chart(ensemble_errors(found), key="ensembles.chart", height=errors_height(found))
    st.caption(
        f"{fmt.count(found.n_locked)} locked images that no member has seen; bars are "
        f"95{fmt.SPACE}% intervals, the dotted line is the best member."
    )
    kinds = {row.kind for row in found.rows}
    if WEIGHTED in kinds:
        st.caption(
            f"Weights and stacker were fitted on {fmt.count(found.n_fit)} validation images. Their "
            "error in validation is of images held out from the fit (nested)."
        )
    *notes, last = found.notes
    for words in notes if STACKED in kinds else found.notes:
        st.caption(plain(words))
    if STACKED in kinds:
        st.warning(plain(last), icon=":material/warning:")
    table = ensemble_table(found)
    st.dataframe(table, hide_index=True, key="ensembles.table", placeholder="–",
                 column_config=_COLUMNS)  # fmt: skip
    st.download_button(
        "CSV", safe_csv(table), "ensemble.csv", "text/csv", key="ensembles.csv",
        on_click="ignore", icon=":material/download:", type="tertiary",
    )  # fmt: skip


def ensemble_table(found: Ensemble) -> pd.DataFrame:
    """A row a member or combination; rates in per cent."""
    rows = [
        {
            "": f"{row.name} (best member)" if row.run == found.best else row.name,
            "error, locked part": _percent(row.error),
            "95 % from": _percent(row.low),
            "to": _percent(row.high),
            "gain, points": _percent(row.difference),
            "p": row.p,
            "weight": row.weight,
            "error, validation": _percent(row.valid_error),
            "log loss": row.log_loss,
        }
        for row in found.rows
    ]
    table = pd.DataFrame(rows).astype(dict.fromkeys(_COLUMNS, "float64"))
    return table.dropna(axis="columns", how="all")


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
