"""`lab lr-find`: the learning-rate finder's curve and suggestions, as text or as one JSON line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from lab.cli.setting import Setting, common, run_of
from lab.cli.terminal import Terminal, size_words

COLUMNS, ROWS = 61, 12
SAID = {
    "valley": "half-way along the longest fall; `finder` as a stage's rate takes this one",
    "minimum": "a tenth of the rate with the lowest loss",
    "steep": "where the loss falls fastest; chance can mislead it at the low end",
    "slide": "coming from the high end, where the slope has become calm",
}


@click.command("lr-find")
@common
@click.option("--preset", help="A preset: quick, fastbook-7, walkthrough-12, keras-fixres ...")
@click.option("--recipe", "file", type=Path, help="A recipe file (JSON).")
@click.option("--data", type=Path, help="A folder of class folders, a zip of one, or a CSV.")
@click.option("--set", "settings", multiple=True, metavar="a.b=JSON", help="Change one setting.")
@click.option("--stage", default=0, show_default=True, help="Which stage, from 0.")
@click.option("--run", metavar="RUN", help="For later stages: a run that finished the one before.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps.")
@click.pass_obj
def lr_find(setting: Setting, preset, file, data, settings, stage, run, device) -> None:
    """Try growing learning rates for a stage and say which would suit it."""
    if bool(preset) == bool(file):
        raise click.UsageError("Give one of --preset and --recipe.")
    from lab.cli.training import recipe_of

    out, workspace = setting.out, setting.workspace
    recipe = recipe_of(preset, file, data, settings)
    start = run_of(workspace, run).id if run else ""
    # Before torch is imported: see the file.
    from lab.workers.allocator import keep_large_blocks

    keep_large_blocks()
    from lab.workers.finder import find_lr

    found = find_lr(workspace, recipe, stage, device, out.progress, start)
    out.line(found)
    show(out, found)


def show(out: Terminal, found: dict[str, Any]) -> None:
    """The curve as text, then a line per suggestion."""
    out.say(
        f"Stage {found['stage']}, {size_words(found['size'])}, batch {found['batch']}, from "
        f"{found['at']}: {len(found['lrs'])} steps in {found['seconds']:.0f} s"
    )
    marks = {name: found[name] for name in SAID if found[name] is not None}
    for line in text_chart(found["lrs"], found["smooth"], marks):
        out.say(line)
    for name, words in SAID.items():
        if found[name] is not None:
            out.say(f"{name:<8} {found[name]:<8.2g} {words}")
    if found["words"]:
        out.say(found["words"])


def text_chart(
    lrs: Sequence[float], losses: Sequence[float | None], marks: dict[str, float]
) -> list[str]:
    """Loss against rate (log) in characters, with an arrow below for each rate of `marks`.

    What lies further above the first loss than the lowest lies below it is cut off.
    """
    points = [(lr, loss) for lr, loss in zip(lrs, losses) if loss is not None]
    if not points:
        return []
    low, first = min(loss for _, loss in points), points[0][1]
    high = min(max(loss for _, loss in points), first + max(first - low, 0.1 * abs(first)))
    left, right = math.log10(lrs[0]), math.log10(max(lrs[-1], *marks.values(), lrs[0] * 10))

    def column(lr: float) -> int:
        share = (math.log10(lr) - left) / (right - left)
        return min(max(round(share * (COLUMNS - 1)), 0), COLUMNS - 1)

    grid = [[" "] * COLUMNS for _ in range(ROWS)]
    for lr, loss in points:
        if loss <= high:
            share = (loss - low) / (high - low) if high > low else 0.0
            grid[ROWS - 1 - round(share * (ROWS - 1))][column(lr)] = "*"
    labels = {0: f"{high:.3f}", ROWS - 1: f"{low:.3f}"}
    lines = [f"{labels.get(at, ''):>8} |{''.join(row)}".rstrip() for at, row in enumerate(grid)]
    decades = range(math.ceil(left - 1e-9), math.floor(right + 1e-9) + 1)
    ticks = [(column(10.0**power), power) for power in decades]
    arrows = sorted(marks.items(), key=lambda mark: mark[1])
    return [
        *lines,
        f"{'':>8} +{_placed([(at, '+') for at, _ in ticks], '-')}",
        f"{'rate':>8}  {_placed([(at, f'1e{power}') for at, power in ticks])}",
        *(f"{'':>8}  {' ' * column(rate)}^ {name}" for name, rate in arrows),
    ]


def _placed(words: Sequence[tuple[int, str]], fill: str = " ") -> str:
    """Words at their columns on one line; those that would touch the one before are left out."""
    line = ""
    for at, word in words:
        if not line or fill != " " or at > len(line):
            line = line.ljust(at, fill) + word
    return line.ljust(COLUMNS, fill).rstrip()
