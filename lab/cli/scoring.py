"""Commands that score finished runs again: test-sizes (the FixRes curve) and ensemble.

python -m lab test-sizes RUN --sizes 96,128,160
python -m lab ensemble RUN RUN RUN
"""

from __future__ import annotations

from typing import Any

import click

from lab.cli.models import SizeType
from lab.cli.setting import Setting, common, run_of
from lab.cli.terminal import Terminal, decimal, percent, size_words
from lab.errors import LabError


class SizesType(click.ParamType):
    """`96,128,256x192`: several sizes."""

    name = "sizes"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[Any]:
        if not isinstance(value, str):
            return value
        words = [word.strip() for word in value.split(",") if word.strip()]
        return [SizeType().convert(word, param, ctx) for word in words]


@click.command("test-sizes")
@common
@click.argument("run")
@click.option("--stage", type=int, help="From 0; else the last.")
@click.option("--sizes", type=SizesType(), help="96,128,256x192; else from half to twice.")
@click.pass_obj
def test_sizes(setting: Setting, run: str, stage: int | None, sizes: list[Any] | None) -> None:
    """Score a stage at several test sizes: which suits the size that it was trained at?"""
    from lab.analysis.test_sizes import choice_words, size_curve, size_table
    from lab.scoring.test_sizes import score_sizes

    workspace, out = setting.workspace, setting.out
    found = run_of(workspace, run)
    number = _finished(found, stage)
    wanted = sizes or _suggested(setting, found, number)
    score_sizes(workspace, found, number, wanted, progress=out.progress)
    curve = size_curve(found, number)
    for row in size_table([curve]).to_dict("records"):
        out.line({"kind": "test_size", **{key: _json(value) for key, value in row.items()}})
    best, words = curve.best, choice_words(curve.choice)
    summary = {"train_size": list(curve.train), "predicted_px": curve.predicted}
    summary["best_size"] = list(best.size) if best else None
    chosen = curve.choice
    if chosen:
        summary |= {"difference": chosen.found.difference, "low": chosen.found.low}
        summary |= {"high": chosen.found.high, "p": chosen.p, "tried": chosen.tried}
        summary |= {"chosen_error": chosen.chosen_error}
    out.line({"kind": "summary", "run": found.id, "stage": number, **summary, "words": words})
    _show_sizes(out, curve)
    out.say(words)


def _finished(run: Any, stage: int | None) -> int:
    done = run.finished_stages()
    if not done or (stage is not None and stage not in done):
        names = ", ".join(map(str, done)) or "none yet"
        raise LabError(f"That stage of {run.id} is not finished.", f"Finished, from 0: {names}.")
    return done[-1] if stage is None else stage


def _suggested(setting: Setting, run: Any, stage: int) -> list[Any]:
    from lab.analysis.test_sizes import short_side, suggested_sizes
    from lab.recipe.models import shipped_model_facts

    recipe = run.recipe()
    model = shipped_model_facts(recipe.model.name)
    short = short_side(run)
    found = suggested_sizes(recipe, recipe.stages[stage], model, short)
    if short:
        setting.out.note(f"Up to the pictures' own short side, {short} px (the median).")
    return found


def _show_sizes(out: Terminal, curve: Any) -> None:
    rows = []
    for point in curve.points:
        size = size_words(point.size[0] if point.size[0] == point.size[1] else list(point.size))
        if point.refused:
            out.note(f"{size}: {point.refused}")
            continue
        between = f"{percent(point.low)} to {percent(point.high)}"
        marks = ["trained here"] if point.size == curve.train else []
        marks += ["best"] if curve.best and point.size == curve.best.size else []
        marks += [f"{percent(point.enlarged)} enlarged"] if point.enlarged else []
        marks += [point.note] if point.note else []
        took = "–" if point.seconds is None else f"{point.seconds:.1f} s"
        rows.append((size, percent(point.error), between, took, "; ".join(marks)))
    out.table(("test size", "error", "95 % interval", "took", ""), rows)
    out.say(f"Predicted best from the range of training crops: {curve.predicted:.0f} px")


@click.command()
@common
@click.argument("runs", nargs=-1, required=True)
@click.option("--stack/--no-stack", default=True, help="Also try gradient boosting on the outputs.")
@click.pass_obj
def ensemble(setting: Setting, runs: tuple[str, ...], stack: bool) -> None:
    """Average runs, with and without weights, and score that on what none of them has seen."""
    from lab.analysis.ensembles import assess, read_member
    from lab.analysis.members import demand_together, question
    from lab.runs.locked import look_words, note_look

    workspace, out = setting.workspace, setting.out
    folders = [run_of(workspace, word) for word in runs]
    demand_together([read_member(folder) for folder in folders])
    from lab.scoring.test_part import score_test

    for folder in folders:
        score_test(workspace, folder, progress=out.progress)
    members = [read_member(folder) for folder in folders]
    found = assess(members, stack=stack)
    for folder in folders:
        note_look(folder, question(members))
    for row in found.rows:
        out.line({"kind": row.kind, **row.as_dict()})
    summary = {"best": found.best, "n_locked": found.n_locked, "n_fit": found.n_fit}
    spent = look_words(folders)
    out.line({"kind": "summary", **summary, "notes": list(found.notes), "looks": spent})
    _show_ensemble(out, found)
    for words in (*found.notes, spent):
        out.say(words)


def _show_ensemble(out: Terminal, found: Any) -> None:
    head = ("", "weight", "error, held out", "error, locked", "95 % interval", "log loss")
    rows = [
        (
            row.name, "" if row.weight is None else decimal(row.weight, 2),
            percent(row.valid_error), percent(row.error),
            f"{percent(row.low)} to {percent(row.high)}", decimal(row.log_loss, 3),
        )
        for row in found.rows
    ]  # fmt: skip
    out.table(head, rows)
    for row in found.rows:
        if row.verdict:
            out.say(row.verdict)


def _json(value: Any) -> Any:
    """NaN stands for "not there": JSON has no word for it."""
    return None if isinstance(value, float) and value != value else value
