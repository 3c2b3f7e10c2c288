"""Train size against test size on the Compare page: choose, score as a task, see the FixRes curve.

panel(found)          # found: the entries of the Compare page
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from lab.analysis.curves import size_label
from lab.analysis.test_sizes import (
    LARGEST_PX,
    SMALLEST_PX,
    SizeCurve,
    choice_details,
    choice_verdict,
    expected_seconds,
    grid,
    size_curve,
    size_table,
    suggested_sizes,
)
from lab.data.csvsafe import safe_csv
from lab.errors import LabError
from lab.recipe.facts import ModelFacts
from lab.recipe.stage import hw
from lab.runs.folder import RunFolder
from lab.runs.speeds import device_facts
from lab.ui import format as fmt
from lab.ui import state, tasks
from lab.ui.charts.test_sizes import SizeLine, size_curves, size_grid
from lab.ui.comparison import Entry
from lab.ui.launch import device_here
from lab.ui.live_chart import live_chart
from lab.ui.messages import guard, plain, show_error

SLOT, KIND = "sizes", "test_sizes"
MOST_WORDS = 6  # verdicts shown at once
Pair = tuple[int, int]


@dataclass(frozen=True)
class Pick:
    """A finished stage of a run on the page."""

    entry: Entry
    stage: int
    size: Pair

    @property
    def key(self) -> str:
        return f"{self.entry.run.id}.{self.stage}"

    @property
    def name(self) -> str:
        """The run's name; with its stage where it has several."""
        many = len(self.entry.seen.stages) > 1
        return f"{self.entry.label}, stage {self.stage + 1}" if many else self.entry.label


def panel(found: Sequence[Entry]) -> None:
    """Everything about test sizes: what is known, and a button for what is not."""
    st.markdown(
        "A network is often best at another size than it was trained at: random crops make things "
        "look larger in training than in testing (the FixRes effect). Here finished stages are "
        "scored over a range of test sizes; nothing is trained."
    )
    picks = {pick.key: pick for pick in _picks(found)}
    if not picks:
        st.caption("As soon as one of these runs has finished a stage, it can be scored here.")
        return
    last = {pick.entry.run.id: pick.key for pick in picks.values()}
    chosen = st.multiselect(
        "Trained stages", list(picks), list(last.values()), key=f"sizes.picks.{_mark(picks)}",
        format_func=lambda key: f"{picks[key].name} ({fmt.size(*picks[key].size)})",
        placeholder="Choose at least one",
    )  # fmt: skip
    mine = [picks[key] for key in chosen]
    if not mine:
        st.caption("Choose at least one stage above; several make a grid.")
        return
    with guard():
        curves = [_curve(pick) for pick in mine]
    sizes = _sizes(mine)
    _work(mine, curves, sizes)
    _shown(mine, curves)


def _picks(found: Sequence[Entry]) -> list[Pick]:
    return [
        Pick(entry, int(event["stage"]), hw(event["size"]))
        for entry in found
        for event in entry.seen.stages
    ]


def _mark(picks: Sequence[str]) -> int:
    """Another set of stages is another widget, so that its usual choice is made anew."""
    return hash(tuple(picks)) % 10**8


def _curve(pick: Pick) -> SizeCurve:
    folder = pick.entry.run.stage(pick.stage)
    stamps = tuple(_changed(folder / name) for name in ("scores.json", "test_sizes.json"))
    return _read(str(pick.entry.run.path), pick.stage, pick.name, stamps)


@st.cache_data(max_entries=128, show_spinner=False)
def _read(path: str, stage: int, name: str, stamps: tuple[int, ...]) -> SizeCurve:
    """Reading and testing the predictions of ten sizes takes 0.1 s: once per change."""
    return size_curve(RunFolder(Path(path)), stage, name)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _sizes(mine: Sequence[Pick]) -> list[Pair]:
    """The test sizes that are wanted; those that cannot be read as sizes are named."""
    usual = sorted({size for pick in mine for size in _usual(pick)}, key=_by_pixels)
    words = [size_label(size) for size in usual]
    wanted = st.multiselect(
        "Test sizes, px", words, words, key=f"sizes.sizes.{_mark([pick.key for pick in mine])}",
        accept_new_options=True, placeholder="Type a size, such as 160 or 256x192",
        help="From half the training size to twice it, as far as the originals reach. Type others, "
        "such as 160 or 256x192 (height x width).",
    )  # fmt: skip
    read = {word: size_from(word) for word in wanted}
    bad = [word for word, size in read.items() if size is None]
    if bad:
        show_error(LabError(
            f"No test size: {', '.join(bad)}.",
            f"Write 160, or 256x192, within {SMALLEST_PX} to {LARGEST_PX}.",
        ))  # fmt: skip
    if short := min((_short_px(pick) for pick in mine), default=0):
        above = [size_label(size) for size in read.values() if size and min(size) > short]
        more = f" Above that ({', '.join(above)}) they are only enlarged." if above else ""
        st.caption(f"The original pictures have a short side of {short} px (median).{more}")
    return sorted({size for size in read.values() if size}, key=_by_pixels)


def size_from(word: str) -> Pair | None:
    """`160` or `256x192` as (height, width); None where it is no size within the bounds."""
    match = re.fullmatch(r"\s*(\d{1,5})\s*(?:[x×*]\s*(\d{1,5}))?\s*(?:px)?\s*", word.lower())
    if not match:
        return None
    height = int(match[1])
    size = height, int(match[2] or height)
    return size if all(SMALLEST_PX <= side <= LARGEST_PX for side in size) else None


def _by_pixels(size: Pair) -> tuple[int, Pair]:
    return size[0] * size[1], size


def _usual(pick: Pick) -> list[Pair]:
    recipe = pick.entry.seen.recipe
    return suggested_sizes(recipe, recipe.stages[pick.stage], _model(pick), _short_px(pick))


def _model(pick: Pick) -> ModelFacts | None:
    return state.model_facts_of(pick.entry.seen.recipe.model.name)


def _short_px(pick: Pick) -> int:
    sides = pick.entry.seen.started.get("data", {}).get("short_px")
    return int(sides[1]) if sides else 0


def _work(mine: Sequence[Pick], curves: Sequence[SizeCurve], sizes: Sequence[Pair]) -> None:
    """The button for what is not scored yet, what it will take, and the task under way."""
    missing = [
        (pick, [size for size in sizes if size not in {p.size for p in curve.points}])
        for pick, curve in zip(mine, curves)
    ]
    total = sum(len(left) for _, left in missing)
    with st.container(horizontal=True, vertical_alignment="center"):
        if total:
            pressed = st.button(
                f"Score {total} size{'' if total == 1 else 's'}", type="primary", key="sizes.score",
                disabled=tasks.busy(SLOT), icon=":material/straighten:",
            )  # fmt: skip
            st.caption(_takes(missing))
            if pressed:
                _start(mine, sizes)
        else:
            st.caption("All of these are scored: nothing is run again.")
    if tasks.watch(SLOT, (KIND,)) is not None:
        st.rerun()


def _start(mine: Sequence[Pick], sizes: Sequence[Pair]) -> None:
    runs = [{"run": pick.entry.run.id, "stage": pick.stage} for pick in mine]
    with guard():
        tasks.start(SLOT, KIND, {"runs": runs, "sizes": [list(size) for size in sizes]})
    st.rerun()


def _takes(missing: Sequence[tuple[Pick, list[Pair]]]) -> str:
    """The expected time, from speeds measured on this machine."""
    place = state.workspace()
    speeds = device_facts(place, device_here(place)).valid_speeds
    each = [
        expected_seconds(
            left, int(pick.entry.final["final"].get("n", 0)), pick.entry.seen.recipe.model.name,
            dict(speeds),
        )
        for pick, left in missing
        if left
    ]  # fmt: skip
    if None in each:
        return "How long it takes is not known yet: this network was never timed on this machine."
    return (
        f"About {fmt.minutes(max(sum(each), 1))} of scoring on this machine; the first time the "
        "pictures are prepared at each size as well."
    )


def _shown(mine: Sequence[Pick], curves: Sequence[SizeCurve]) -> None:
    """Curves, the grid for several, what they say in words, the numbers."""
    short = _short_names(mine)
    lines = [
        SizeLine(pick.name, pick.entry.style, curve, short[pick.key])
        for pick, curve in zip(mine, curves)
    ]
    sides = sorted({p.size for curve in curves for p in curve.points} | {p.size for p in mine})
    live_chart(size_curves(lines, sides), key="sizes.curves", height=380)
    st.caption(_legend(curves))
    for words in notes_on(curves):
        st.caption(plain(words))
    for line in [line for line in lines if line.curve.choice][:MOST_WORDS]:
        choice = line.curve.choice
        words = f"**{plain(choice_verdict(choice))}** {plain(choice_details(choice))}"
        st.markdown(f"- {plain(line.name)}: {words}" if len(lines) > 1 else words)
    if len(lines) > 1:
        st.markdown("**Error by training size and test size, in per cent**")
        ordered = sorted(lines, key=lambda line: (math.prod(line.curve.train), line.style))
        table = grid([line.curve for line in ordered])
        chart = size_grid(ordered, list(table.columns), table.to_numpy(), sides)
        live_chart(chart, key="sizes.grid", height=120 + 44 * len(lines))
        st.caption("Dark is few errors, bold the best of a row, the frame is train size = test "
                   "size. An empty cell was not scored.")  # fmt: skip
    _numbers(curves)


def _short_names(mine: Sequence[Pick]) -> dict[str, str]:
    """The run where each comes once, the stage where there is one run, else both."""
    runs = [pick.entry.run.id for pick in mine]
    if len(set(runs)) == 1:
        return {pick.key: f"stage {pick.stage + 1}" for pick in mine}
    once = len(set(runs)) == len(runs)
    return {p.key: p.entry.label if once else f"stage {p.stage + 1}, {p.entry.label}" for p in mine}


def _legend(curves: Sequence[SizeCurve]) -> str:
    first = "The square is the size it was trained at, the star the lowest error; "
    if len(curves) > 1:
        return first + "the filling of a mark is the test size."
    return (
        first + "bars are 95 % intervals. The predicted best size is where things look as large as "
        "they did in training, given the range of its random crops."
    )


def notes_on(curves: Sequence[SizeCurve]) -> list[str]:
    """What to know before believing a curve: enlarged pictures, other framings, refusals."""
    notes = []
    enlarged = {size_label(p.size) for c in curves for p in c.scored if p.enlarged > 0.5}
    if enlarged:
        listed = ", ".join(sorted(enlarged, key=len))
        notes.append(f"Most pictures hold less than {listed} px: there they were enlarged.")
    for curve in curves:
        if len({point.framing for point in curve.scored if point.framing}) > 1:
            notes.append(
                f"{curve.name}: at its own training size pictures are framed as its stage frames "
                "them, elsewhere as the final scores do; a kink there is no effect of the size."
            )
    said = {f"{size_label(p.size)} px: {p.refused}" for c in curves for p in c.points if p.refused}
    said |= {f"{size_label(p.size)} px: {p.note}" for c in curves for p in c.points if p.note}
    return notes + sorted(said)


def _numbers(curves: Sequence[SizeCurve]) -> None:
    table = size_table(curves)
    with st.expander("All sizes in numbers"):
        st.dataframe(_for_people(table), hide_index=True, key="sizes.table", placeholder="–")
        st.download_button(
            "CSV", safe_csv(table), "test-sizes.csv", "text/csv", key="sizes.csv",
            on_click="ignore", icon=":material/download:", type="tertiary",
        )  # fmt: skip


def _for_people(table: pd.DataFrame) -> pd.DataFrame:
    shown = table.drop(columns=["run", "stage", "refused", "enlarged"])
    for column in ("error", "low", "high", "balanced_error"):
        shown[column] = shown[column].map(fmt.percent)
    names = {"name": "run", "low": "95 % from", "high": "to", "n": "images"}
    shown = shown.rename(columns=names).rename(columns=lambda name: name.replace("_", " "))
    return shown.round(3)
