"""Inspect, "Resolution": one picture through every stage, and what each stage says at each size.

panel(seen)          # seen: lab.ui.inspected.Looked
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from lab.analysis.apparent import ALIKE, size_words
from lab.analysis.curves import size_label
from lab.analysis.test_sizes import predicted_side, short_side, suggested_sizes
from lab.errors import LabError
from lab.recipe import Recipe
from lab.runs.folder import RunFolder
from lab.ui import format as fmt
from lab.ui import resolution_asked as asked
from lab.ui import state
from lab.ui.crops import Crop, true_size_row
from lab.ui.inspected import Looked
from lab.ui.look_again import helper_is_ready
from lab.ui.messages import guard, plain, show_error
from lab.ui.palette import recipe_sides, size_colour
from lab.ui.resolution_grid import Cell, Column, Row, grid
from lab.ui.resolution_overlay import Overlay, overlays
from lab.ui.resolution_pick import pick

DRAWS, MOST_SIZES, WARM_S = 2, 8, 1.0
MOST_FRAMES = 24  # more would hide the picture under them
TITLES = ("In validation", "In training, at random", "In training, again")
SHOWN = {
    "none": "Answers only",
    "answer": "Evidence for its answer",
    "truth": "Evidence for the truth",
}
Pair = tuple[int, int]


def panel(seen: Looked) -> None:
    """Choose a picture; everything below is about that one."""
    st.caption(
        "One picture through every stage of this run, and what each finished stage says of it at "
        "each size, whichever stage is chosen above."
    )
    warm = helper_is_ready()

    @st.fragment(run_every=None if warm else WARM_S)
    def one_picture() -> None:
        if not warm and helper_is_ready():
            st.rerun()
        row = pick(seen)
        if row is None:
            return
        truth = plain(seen.said.classes[int(seen.said.target[row])])
        st.markdown(f"Picture {int(seen.said.item[row])}, true class **{truth}**.")
        if not warm:
            st.caption("The process that asks the networks warms up; the rest comes by itself.")
            return
        _through_the_stages(seen, int(seen.said.item[row]))
        _at_each_size(seen, row)

    with guard():
        one_picture()


def _through_the_stages(seen: Looked, item: int) -> None:
    """The pictures of every stage at true relative size, and how large things look in them."""
    st.subheader("What the network sees at each stage", anchor=False)
    roll = st.session_state.setdefault(f"resolution.roll.{seen.here}", 0)
    found, pngs = asked.views(seen.run, item, roll)
    original, *pngs = pngs
    for at, title in enumerate(TITLES):
        st.markdown(f"**{title}**")
        crops = [
            _crop(seen, stage, pngs[index * (1 + DRAWS) + at], title)
            for index, stage in enumerate(found["stages"])
        ]
        true_size_row(crops, key=f"resolution.views.{at}")
    st.button(
        "Other random draws", key="resolution.roll", icon=":material/refresh:",
        on_click=_reroll, args=(seen.here,),
    )  # fmt: skip
    _how_large(seen, found, original)


def _reroll(here: str) -> None:
    st.session_state[f"resolution.roll.{here}"] += 1


def _crop(seen: Looked, stage: dict[str, Any], png: bytes, title: str) -> Crop:
    words = f"stage {stage['stage'] + 1}, {fmt.size(*stage['size'])}"
    colour = size_colour(stage["size"], sides(seen.recipe))
    return Crop(png, words, colour, f"{title}: {words}")


def _how_large(seen: Looked, found: dict[str, Any], original: bytes) -> None:
    """Apparent size in training against test: sentence, frames on the picture, numbers."""
    st.subheader("How large things look in it", anchor=False)
    last = found["stages"][-1]
    st.markdown(f"**{plain(stage_sentence(last))}**")
    st.caption(
        "A network learns things at the size at which training shows them. Random crops and zoom "
        "enlarge them, in training only: that is why a network is often best at another test size "
        "than it was trained at (the FixRes effect)."
    )
    drawn = [_overlay(seen, stage) for stage in found["stages"]]
    overlays(original, found["width"], found["height"], drawn, key="resolution.overlays")
    with st.expander(
        "The numbers, stage by stage", on_change="rerun", key="resolution.numbers"
    ) as b:
        if b.open:
            st.dataframe(
                [size_numbers(stage) for stage in found["stages"]], hide_index=True,
                width="stretch",
            )  # fmt: skip
            st.caption(
                "Counted over 2,000 random crops of this picture: turns, zoom and its aspect "
                "included. The formula is for a square picture without zoom; it gives the "
                "predicted best size of the Compare page."
            )


def stage_sentence(stage: dict[str, Any]) -> str:
    """`Stage 2: objects look 1.28 times larger in training than at test at 128 px; ...`"""
    own, where = stage["own"], fmt.size(*stage["size"])
    words = size_words(own["ratio"], where, own["matched_px"])
    text = f"Stage {stage['stage'] + 1}: {words[0].lower()}{words[1:]}"
    formula = stage["formula_px"]
    if abs(own["matched_px"] / formula - 1) > ALIKE:
        text += f" (A square picture without zoom would match at {formula:.0f}{fmt.SPACE}px.)"
    return text


def size_numbers(stage: dict[str, Any]) -> dict[str, Any]:
    """A row of the table."""
    own, final = stage["own"], stage["final"]
    return {
        "Stage": stage["stage"] + 1,
        "Trained and tested at": fmt.size(*stage["size"]),
        "Larger in training, times": round(own["ratio"], 3),
        "Nine of ten draws": f"{own['low']:.2f} to {own['high']:.2f}",
        "Looks the same at, px": round(own["matched_px"]),
        "By formula, px": round(stage["formula_px"]),
        f"Larger than at {fmt.size(*stage['final_size'])}, times": round(final["ratio"], 3),
    }


def _overlay(seen: Looked, stage: dict[str, Any]) -> Overlay:
    own = stage["own"]
    words = (
        f"{own['ratio']:.2f} times as large as at test; "
        f"nine draws in ten: {own['low']:.2f} to {own['high']:.2f}"
    )
    title = f"Stage {stage['stage'] + 1}, {fmt.size(*stage['size'])}"
    colour = size_colour(stage["size"], sides(seen.recipe))
    frames = stage["quads"][:MOST_FRAMES]
    return Overlay(title, colour, stage["test_quad"], frames, stage["larger"], words)


def _at_each_size(seen: Looked, row: int) -> None:
    """The grid of stages and test sizes, with or without the evidence."""
    st.subheader("What each stage says of it at each size", anchor=False)
    sizes = _sizes(seen)
    shown = st.segmented_control(
        "In the cells", list(SHOWN), default="none", format_func=SHOWN.__getitem__, required=True,
        key="resolution.shown", persist_state="session",
        help="Evidence: Grad-CAM. Bright places spoke most for the class, by the gradient through "
        "the last map of places. Each map is scaled to its own maximum.",
    )  # fmt: skip
    if not sizes:
        st.caption("Choose at least one size.")
        return
    try:
        rows, columns = _asked_cells(seen, row, sizes, shown)
    except LabError as error:  # Grad-CAM's library may be missing; the answers are there
        if shown == "none":
            raise
        show_error(error)
        rows, columns = _asked_cells(seen, row, sizes, "none")
    truth = seen.said.classes[int(seen.said.target[row])]
    grid(columns, rows, truth, key="resolution.grid")
    st.markdown(plain(grid_words(columns, rows)))


def _sizes(seen: Looked) -> list[Pair]:
    known = {size_label(size): size for size in offered_sizes(seen)}
    usual = [size_label(size) for size in usual_sizes(seen, list(known.values()))]
    chosen = st.multiselect(
        "Test sizes, px", list(known), usual, key=f"resolution.sizes.{seen.here}",
        max_selections=MOST_SIZES, persist_state="session",
    )  # fmt: skip
    return sorted((known[label] for label in chosen), key=_by_pixels)


def offered_sizes(seen: Looked) -> list[Pair]:
    """From half the smallest training size to twice the largest, as far as the network takes it."""
    recipe, model = seen.recipe, state.model_facts_of(seen.recipe.model.name)
    original = _short_side(str(seen.run.path))
    found = {
        size for stage in recipe.stages for size in suggested_sizes(recipe, stage, model, original)
    }
    return sorted(found, key=_by_pixels)


@st.cache_data(max_entries=64, show_spinner=False)
def _short_side(path: str) -> int:
    """Once: it reads all events of the run."""
    return short_side(RunFolder(Path(path)))


def usual_sizes(seen: Looked, offered: Sequence[Pair]) -> list[Pair]:
    """Every stage's own size, the final one, and the one that matches the last stage's training."""
    recipe = seen.recipe
    found = {*(stage.hw for stage in recipe.stages), recipe.final_hw}
    side = predicted_side(recipe, recipe.stages[-1])
    found.add(min(offered, key=lambda size: abs((size[0] * size[1]) ** 0.5 - side)))
    return sorted(found & set(offered), key=_by_pixels)[-MOST_SIZES:]


def _asked_cells(
    seen: Looked, row: int, sizes: Sequence[Pair], shown: str
) -> tuple[list[Row], list[Column]]:
    """Ask the helper, stage by stage: a loaded network answers at all sizes in a moment."""
    item, truth = int(seen.said.item[row]), int(seen.said.target[row])
    stages = seen.run.finished_stages()
    steps = len(stages) * len(sizes) * (1 if shown == "none" else 2)
    pictures: list[set[bytes]] = [set() for _ in sizes]
    rows = []
    with asked.slow_work(steps, "Asking the networks") as done:
        for stage in stages:
            own = tuple(seen.run.scores(stage)["size"])
            cells = []
            for column, size in enumerate(sizes):
                answer = asked.answer(seen.run, stage, size, item)
                done()
                if answer.png:
                    pictures[column].add(answer.png)
                cell = _cell(answer, truth, seen.said.classes, size == own)
                if shown != "none" and answer.probs is not None:
                    target = -1 if shown == "answer" else truth
                    cell = _with_evidence(
                        cell, asked.evidence(seen.run, stage, size, item, target), shown
                    )
                    done()
                cells.append(cell)
            colour = size_colour(own, sides(seen.recipe))
            rows.append(Row(f"Stage {stage + 1}", f"trained at {fmt.size(*own)}", colour, cells))
    columns = [
        _column(size, known, seen.recipe) for size, known in zip(sizes, pictures, strict=True)
    ]
    return rows, columns


def _cell(answer: asked.Answer, truth: int, classes: Sequence[str], own: bool) -> Cell:
    if answer.probs is None:
        return Cell(own=own, note=answer.refused)
    top = int(answer.probs.argmax())
    share, sure = float(answer.probs[truth]), float(answer.probs[top])
    return Cell(classes[top], sure, share, top == truth, own)


def _with_evidence(cell: Cell, found: asked.Evidence | str, shown: str) -> Cell:
    if isinstance(found, str):
        return Cell(cell.answer, cell.sure, cell.share, cell.right, cell.own, note=found)
    rows, columns = found.cells
    note = f"map of {rows}×{columns}"
    if found.empty:
        note = "nothing speaks for " + ("it" if shown == "answer" else "the truth")
    return Cell(cell.answer, cell.sure, cell.share, cell.right, cell.own, found.png, note)


def _column(size: Pair, pictures: set[bytes], recipe: Recipe) -> Column:
    """With its picture, where all stages are shown the same one."""
    picture = next(iter(pictures)) if len(pictures) == 1 else None
    return Column(fmt.size(*size), size_colour(size, sides(recipe)), size[1], size[0], picture)


def grid_words(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """`Right in 7 of 9 cells. The truth gets most from stage 3 at 128 px: 92 %.`"""
    asked_cells = [
        (cell, row, column)
        for row in rows
        for cell, column in zip(row.cells, columns)
        if cell.answer
    ]
    if not asked_cells:
        return "No stage takes any of these sizes."
    right = sum(cell.right for cell, *_ in asked_cells)
    best, row, column = max(asked_cells, key=lambda found: found[0].share)
    return (
        f"Right in {right} of {len(asked_cells)} cells. The truth gets most from "
        f"{row.title.lower()} at {column.label}: {fmt.percent(best.share, 0)}."
    )


def sides(recipe: Recipe) -> list[Any]:
    """All sizes that have a colour in this run."""
    return [*recipe_sides(recipe), recipe.final_hw]


def _by_pixels(size: Pair) -> tuple[int, Pair]:
    return size[0] * size[1], size
