"""Commands about data and trained models: data check, evaluate, tta, compare, predict, export.

torch is imported inside the commands that need it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lab.analysis.view_families import FAMILIES, WAYS
from lab.cli.setting import DONE, FAILED, Setting, common, run_of, show_scores


class SizeType(click.ParamType):
    """`128`, or `256x192` for height x width."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | tuple[int, int]:
        if not isinstance(value, str):
            return value
        try:
            sides = [int(side) for side in value.lower().replace("×", "x").split("x")]
        except ValueError:
            sides = []
        if len(sides) not in (1, 2) or not all(16 <= side <= 1024 for side in sides):
            self.fail(
                f"{value!r} is no size. Write 128, or 256x192, within 16 to 1024.", param, ctx
            )
        return sides[0] if len(sides) == 1 else (sides[0], sides[1])


@click.group()
@common
def data() -> None:
    """About data sets."""


@data.command("check")
@common
@click.argument("path", type=Path)
@click.pass_obj
def check_data(setting: Setting, path: Path) -> int:
    """Read a folder, zip or CSV and say what is remarkable about it."""
    from lab.data.catalog import import_path

    workspace, out = setting.workspace, setting.out
    dataset = import_path(
        workspace, path, progress=lambda done, total: out.progress("Reading", done, total)
    )
    audit = dataset.audit
    counts = {
        target: dict(zip(classes, _counts(dataset, target)))
        for target, classes in dataset.targets.items()
    }
    usable = bool(dataset.targets) and not audit.too_many_unreadable
    found = {**audit.as_dict(), "dataset": dataset.id, "name": dataset.name, "usable": usable}
    out.line({**found, "fingerprint": dataset.fingerprint, "classes": counts})
    out.say(f"{dataset.name}: {len(dataset)} pictures, short side {audit.short_px} px")
    for target, classes in counts.items():
        out.say(f"{target}: " + ", ".join(f"{name} {count}" for name, count in classes.items()))
    for problem in audit.problems:
        out.say(f"{problem.level.capitalize()}. {problem}")
    return DONE if usable else FAILED


def _counts(dataset: Any, target: str) -> list[int]:
    labels = dataset.labels(target)
    return [int((labels == number).sum()) for number in range(len(dataset.targets[target]))]


@click.command()
@common
@click.argument("run")
@click.option("--stage", type=int, help="From 0; else the last.")
@click.option("--size", type=SizeType(), help="128 or 256x192; else the final size.")
@click.option("--data", "path", type=Path, help="Other pictures with the same classes.")
@click.option("--part", type=click.Choice(["valid", "test"]), default="valid", show_default=True)
@click.pass_obj
def evaluate(setting: Setting, run: str, stage, size, path, part) -> None:
    """Score a trained stage, at any size, on its validation part or on other data."""
    from lab.scoring.inference import evaluate_run

    workspace, out = setting.workspace, setting.out
    found = evaluate_run(
        workspace, run_of(workspace, run), stage, size, path, part,
        progress=lambda done, total: out.progress("Pictures", done, total),
    )  # fmt: skip
    out.line(found)
    show_scores(out, found, f"Stage {found['stage']}")
    if found["note"]:
        out.note(found["note"])


@click.command()
@common
@click.argument("run")
@click.option("--stage", type=int, help="From 0; else the last.")
@click.option("--views", type=int, help="Random views; else the recipe's number.")
@click.option("--beta", type=float, help="Weight of the plain picture; else the recipe's.")
@click.option("--size", type=SizeType(), help="128 or 256x192; else the final size.")
@click.option("--family", type=click.Choice(list(FAMILIES)), default="training",
              show_default=True, help="Which views of a picture are made.")  # fmt: skip
@click.option("--average", type=click.Choice(list(WAYS)), default="fastai", show_default=True,
              help="How the answers are averaged.")  # fmt: skip
@click.pass_obj
def tta(setting: Setting, run: str, stage, views, beta, size, family, average) -> None:
    """Average predictions over several views, and count what that mends and what it breaks."""
    from lab.scoring.inference import tta_run

    workspace, out = setting.workspace, setting.out
    found = tta_run(
        workspace, run_of(workspace, run), stage, views, beta, size,
        lambda done, total: out.progress("Views", done, total), family=family, average=average,
    )  # fmt: skip
    out.line(found)
    show_scores(out, {**found["plain"], "size": found["size"]}, "Plain")
    show_scores(out, {**found["tta"], "size": found["size"]}, f"{found['views']} views")
    out.say(f"Corrected {found['corrected']}, corrupted {found['corrupted']}, p = {found['p']:.3g}")
    if found["note"]:
        out.note(found["note"])


@click.command()
@common
@click.argument("runs", nargs=-1, required=True)
@click.pass_obj
def compare(setting: Setting, runs: tuple[str, ...]) -> int:
    """Compare runs, or all of an EXPERIMENT: pair by pair on the same images, over seeds, by the
    time they took, and what keeping the best-looking epoch would have given."""
    from lab.cli.comparing import chosen_runs, show

    return DONE if show(setting.out, chosen_runs(setting, runs)) else FAILED


@click.command()
@common
@click.argument("run")
@click.argument("images", nargs=-1, required=True, type=Path)
@click.option("--stage", type=int, help="From 0; else the last.")
@click.option("--tta", "views", is_flag=True, help="Average over random views.")
@click.option("--csv", type=Path, help="Write a table of all probabilities.")
@click.option("--template", type=Path, help="A sample submission to fill, CSV or TSV.")
@click.option("--to", type=Path, help="Where the filled template goes.")
@click.pass_obj
def predict(setting: Setting, run: str, images, stage, views: bool, csv, template, to) -> int:
    """Say what is on pictures, or on all of a folder or zip. A bad file is named, the others are
    answered."""
    from lab.cli.predicting import show

    if (template is None) != (to is None):
        raise click.UsageError("--template and --to go together.")
    found = run_of(setting.workspace, run)
    return DONE if show(setting, found, images, stage, views, csv, template, to) else FAILED


@click.command()
@common
@click.argument("run")
@click.option("--to", type=Path, required=True, help="A new or an empty folder.")
@click.option("--stage", type=int, help="From 0; else the last.")
@click.option("--format", "kind", default="timm", show_default=True, help="timm, onnx or all.")
@click.pass_obj
def export(setting: Setting, run: str, to: Path, stage: int | None, kind: str) -> None:
    """Write a stage as a folder that plain timm loads, with a card and a script to use it."""

    from lab.export.bundle import export_run

    workspace, out = setting.workspace, setting.out
    found = export_run(workspace, run_of(workspace, run), stage, to, kind)
    out.line(found)
    out.say(f"Written: {found['folder']} and {found['zip']}")
    for words in found["left_out"]:
        out.note(words)
