"""The command about confidence: is a trained stage as sure as it is right?

python -m lab calibration RUN [--stage N] [--family d4] [--average mean]
"""

from __future__ import annotations

from typing import Any

import click

from lab.analysis.view_families import FAMILIES, WAYS
from lab.cli.setting import Setting, common, run_of
from lab.cli.terminal import Terminal, decimal, percent


@click.command()
@common
@click.argument("run")
@click.option("--stage", type=int, help="From 0; else the last.")
@click.option(
    "--family",
    type=click.Choice(list(FAMILIES)),
    default="training",
    show_default=True,
    help="Which stored views.",
)
@click.option("--average", type=click.Choice(list(WAYS)), default="fastai", show_default=True,
              help="How they are averaged.")  # fmt: skip
@click.pass_obj
def calibration(setting: Setting, run: str, stage: int | None, family: str, average: str) -> None:
    """Is it as sure as it is right: plain, with views, with a temperature?

    Reads the stored predictions; `tta` stores those of the views.
    """
    from lab.analysis import calibrated, calibration_words

    out, found = setting.out, run_of(setting.workspace, run)
    said = calibrated.read_answers(found, stage, family)
    told = calibrated.report(said.plain, said.target, said.views, said.beta, average)
    place = {"run": found.id, "stage": said.stage, "size": list(said.size)}
    for values in calibrated.report_rows(told):
        out.line({"kind": "calibration", **place, **values})
    sentences = [calibration_words.tamed_words(told), calibration_words.temperature_words(told)]
    sentences = [
        words.replace("**", "") for words in (*sentences, calibration_words.chance_words(told))
    ]
    verdict = calibration_words.verdict_of(told)
    out.line({"kind": "summary", **place, "verdict": verdict, "words": sentences})
    _show(out, told)
    for words in sentences:
        out.say(words)
    if said.views is None:
        out.note(f"No views are stored. Look again: python -m lab tta {found.id} --family {family}")


def _show(out: Terminal, told: Any) -> None:
    head = ("", "accuracy", "too sure by", "log loss", "Brier", "ECE", "adaptive ECE", "T")
    rows = []
    for row in told.rows:
        scores = {key: found.value for key, found in row.scored.scores.items()}
        rates = percent(scores["accuracy"]), f"{100 * scores['gap']:.1f} points"
        losses = (decimal(scores[key]) for key in ("log_loss", "brier"))
        errors = (percent(scores[key]) for key in ("ece", "adaptive_ece"))
        heat = decimal(row.temperature.value, 2) if row.temperature else "–"
        rows.append((row.name, *rates, *losses, *errors, heat))
    out.table(head, rows)
