"""Inspect, the part "Confidence": is it as sure as it is right, and does another look tame it?

    panel(seen)          # inspected.Looked: a run and a finished stage

All from the stored predictions: a sentence, the reliability diagram, the scores, every stage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lab.analysis.calibrated import (
    PLAIN,
    TEMPERED,
    Report,
    Row,
    report,
    report_rows,
    stage_reports,
)
from lab.analysis.calibration import Interval
from lab.analysis.calibration_words import chance_words, tamed_words, temperature_words
from lab.analysis.metrics import adaptive_table, calibration_table
from lab.analysis.view_families import FAMILIES, RANDOM, kind_of
from lab.runs.folder import RunFolder
from lab.ui import format as fmt
from lab.ui.chart_files import chart_files, csv_button
from lab.ui.charts.calibration import Line, reliability
from lab.ui.choose import size_words
from lab.ui.confidence_words import HELP, MEANING
from lab.ui.evidence import Evidence
from lab.ui.inspected import Looked
from lab.ui.live_chart import live_chart
from lab.ui.look_choices import Chosen, choose_looks

WIDTH, COUNT = "of equal width", "of equally many images"
CHART = "inspect.confidence.chart"
FEW = 100  # images, below which ECE is mostly chance


def panel(seen: Looked) -> None:
    """The sentence first, then what it stands on."""
    chosen = choose_looks(seen)
    found = _report(*_files(seen, chosen), chosen.way, chosen.beta, chosen.said)
    st.subheader("Is it as sure as it is right?", anchor=False)
    _say(found, chosen)
    kind = st.segmented_control(
        "Bins", [WIDTH, COUNT], default=WIDTH, required=True, key="inspect.confidence.bins",
        persist_state="session",
        help="The ECE of the diagram is the mean distance from the line over these bins.",
    )  # fmt: skip
    live_chart(_diagram(found, kind), key=CHART, height=460)
    chart_files(
        CHART, f"{seen.here}-reliability", "Confidence against accuracy",
        lambda: _bins(found, kind),
        f"{found.n} validation images at {size_words(list(seen.said.size))}; lines are "
        f"95{fmt.SPACE}% intervals of each bin.",
    )  # fmt: skip
    _scores(found, seen.here)
    with st.expander("What does calibration mean, and why do some marks wobble?"):
        st.markdown(MEANING)
    _stages(seen)


def _say(found: Report, chosen: Chosen) -> None:
    st.markdown(_upper(tamed_words(found)))
    st.markdown(_upper(temperature_words(found)))
    if found.n < FEW:
        st.warning(
            f"**Only {found.n} images:** ECE and diagram are mostly chance here. Read log loss.",
            icon=":material/warning:",
        )
    if chosen.said.views is None:
        st.info(
            f"**Nobody has looked again {FAMILIES[chosen.family].words} yet.** Press the button "
            "above: then this part also says whether that tames its confidence.",
            icon=":material/visibility:",
        )
    elif not found.views:
        st.info("**This network takes no other size.** Choose other views.", icon=":material/info:")


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]


def _files(seen: Looked, chosen: Chosen) -> tuple[str, int, str, int, int]:
    """What the numbers are known by: run, stage, views, how many, when they last changed."""
    changed = _stamp(seen.run, seen.stage, seen.said.size, kind_of(chosen.family))
    return str(seen.run.path), seen.stage, chosen.family, chosen.count, changed


def _stamp(run: RunFolder, stage: int, size: tuple[int, int], kind: str) -> int:
    plain = f"s{stage}-{size[0]}x{size[1]}"
    names = (f"{plain}.npz", f"{plain}-{kind}.npz")
    return max(_changed(run.predictions / name) for name in names)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_resource(max_entries=16, show_spinner="Resampling the images …")
def _report(
    path: str,
    stage: int,
    family: str,
    count: int,
    changed: int,
    way: str,
    beta: float,
    _said: Evidence,
) -> Report:
    """Shared by all sessions and never written to."""
    return report(_said.plain, _said.target, _said.views, beta, way)


def _shown_rows(found: Report) -> list[Row]:
    """What the diagram shows: plain, with views, plain with a temperature."""
    return [found.row(key) for key in (PLAIN, found.way, TEMPERED) if key]


def _diagram(found: Report, kind: str) -> dict[str, Any]:
    lines = []
    for row in _shown_rows(found):
        pairs = row.probs.max(axis=1), row.right
        table = (calibration_table if kind == WIDTH else adaptive_table)(*pairs)
        look = {PLAIN: 0, TEMPERED: 2}.get(row.key, 1)
        lines.append(Line(_short(row, found), table, calibration_table(*pairs)["n"], look))
    return reliability(lines)


def _short(row: Row, found: Report) -> str:
    return row.name.split(" (")[0] if row.key == found.way else row.name


def _bins(found: Report, kind: str) -> pd.DataFrame:
    """Every mark of the diagram: a row a bin and a way."""
    tables = []
    for row in _shown_rows(found):
        table = (calibration_table if kind == WIDTH else adaptive_table)(
            row.probs.max(axis=1), row.right
        )
        tables.append(pd.DataFrame({"way": row.name, **table}))
    return pd.concat(tables, ignore_index=True)


def _scores(found: Report, here: str) -> None:
    st.dataframe(
        pd.DataFrame([_cells(row, row.name) for row in found.rows]), hide_index=True,
        key="inspect.confidence.scores", placeholder="–", column_config=_columns(),
    )  # fmt: skip
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        csv_button(
            f"{here}-calibration", lambda: pd.DataFrame(report_rows(found)),
            key="inspect.confidence.csv",
        )  # fmt: skip
        st.caption(
            f"In brackets: 95{fmt.SPACE}% intervals (bootstrap over images). Rows with a "
            "temperature are scored on images that it was not fitted on."
        )
    st.markdown(chance_words(found))


def _cells(row: Row, name: str) -> dict[str, Any]:
    scores, chance = row.scored.scores, row.scored.chance
    heat = row.temperature
    change = row.scored.against.get("log_loss")
    return {
        "": name,
        "too sure by": _rates(scores["gap"]),
        "log loss": _losses(scores["log_loss"]),
        "change of log loss": _losses(change) if change else None,
        "accuracy": _rates(scores["accuracy"]),
        "Brier": _losses(scores["brier"]),
        "ECE": _rates(scores["ece"]),
        "by chance": f"{100 * chance.mean:.1f} (up to {100 * chance.high:.1f})",
        "adaptive ECE": _rates(scores["adaptive_ece"]),
        "T": _losses(Interval(heat.value, heat.low, heat.high), 2) if heat else None,
    }


def _rates(found: Interval) -> str:
    return _losses(Interval(100 * found.value, 100 * found.low, 100 * found.high), 1)


def _losses(found: Interval, digits: int = 3) -> str:
    low, high = fmt.decimal(found.low, digits), fmt.decimal(found.high, digits)
    return f"{fmt.decimal(found.value, digits)} ({low} to {high})"


def _columns() -> dict[str, Any]:
    units = {"accuracy": "%", "too sure by": "points", "ECE": "%", "adaptive ECE": "%"}
    return {
        name: st.column_config.TextColumn(f"{name}, {units[name]}" if name in units else name,
                                          help=words)
        for name, words in HELP.items()
    }  # fmt: skip


def _stages(seen: Looked) -> None:
    """Every finished stage at the final size, without views."""
    stages = seen.run.finished_stages()
    if len(stages) < 2:
        return
    box = st.expander(
        "Stage by stage: when does it become too sure?", on_change="rerun",
        key="inspect.confidence.stages",
    )  # fmt: skip
    if not box.open:
        return
    with box:
        stamps = [_stamp(seen.run, stage, seen.said.size, kind_of(RANDOM)) for stage in stages]
        found = _by_stage(str(seen.run.path), tuple(stages), tuple(stamps))
        rows = []
        for stage, one in found.items():
            own = size_words(seen.run.scores(stage).get("size") or list(seen.said.size))
            rows.append(_cells(one.row(PLAIN), f"Stage {stage + 1}, {own}"))
            rows[-1]["T"] = _cells(one.row(TEMPERED), "")["T"]
        table = pd.DataFrame(rows).drop(columns="change of log loss", errors="ignore")
        st.dataframe(
            table, hide_index=True, key="inspect.confidence.by_stage", placeholder="–",
            column_config=_columns(),
        )  # fmt: skip
        st.caption(
            f"Each stage's weights at the final size, {size_words(list(seen.said.size))}, without "
            "views. T is what would be needed: above 1, it was too sure."
        )


@st.cache_resource(max_entries=8, show_spinner="Resampling the images …")
def _by_stage(path: str, stages: tuple[int, ...], stamps: tuple[int, ...]) -> dict[int, Report]:
    return stage_reports(RunFolder(Path(path)))
