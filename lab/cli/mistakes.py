"""The command that says where a trained stage is wrong: `python -m lab mistakes RUN`.

Numbers by class, pairs that are mixed up, and labels to check, from stored predictions.
"""

from __future__ import annotations

from typing import Any

import click

from lab.cli.setting import Setting, common, run_of
from lab.cli.terminal import Terminal, percent, size_words
from lab.errors import LabError

SHOWN = 10  # pairs and suspects in words; --json has all


@click.command()
@common
@click.argument("run")
@click.option("--stage", type=int, help="From 0; else the last.")
@click.option("--target", help="Which label, of a run that learnt two.")
@click.pass_obj
def mistakes(setting: Setting, run: str, stage: int | None, target: str | None) -> None:
    """Say which classes a stage mixes up, and which labels it contradicts."""
    from lab.analysis.mistakes import moments, read_answers, report, target_classes
    from lab.analysis.suspects import suspects, voices, words

    out, found = setting.out, run_of(setting.workspace, run)
    number, info = _finished(found, stage)
    second = _is_second(info, target)
    classes = target_classes(info, second)
    moment = moments(found, number, second)[-1]
    counted = report(read_answers(moment), classes)
    asked = voices(found, number, second)
    doubted = _with_files(setting, found, suspects(asked, classes))
    n, wrong = counted["n"], counted["wrong"]
    size = moment.size[0] if moment.size[0] == moment.size[1] else list(moment.size)
    summary = {"run": found.id, "stage": number, "size": size, "n": n, "wrong": wrong}
    summary |= {"error_rate": wrong / n, **counted["means"], "top_k": counted["top_k"]}
    summary |= {"suspects": len(doubted), "words": words(doubted, asked)}
    _lines(out, counted, doubted, summary)
    _show(out, counted, doubted, summary)


def _lines(out: Terminal, counted: dict[str, Any], doubted: Any, summary: dict[str, Any]) -> None:
    """A line a class, a pair, a suspect; then the summary."""
    tables = {"class": counted["by_class"], "pair": counted["pairs"], "suspect": doubted}
    for kind, table in tables.items():
        for row in table.to_dict("records"):
            out.line({"kind": kind, **{name: _json(value) for name, value in row.items()}})
    out.line({"kind": "summary", **summary})


def _show(out: Terminal, counted: dict[str, Any], doubted: Any, summary: dict[str, Any]) -> None:
    from lab.analysis.mistakes import pair_words

    n, wrong, size = summary["n"], summary["wrong"], size_words(summary["size"])
    out.say(f"{n} validation images at {size}: {wrong} wrong ({percent(wrong / n)})")
    _show_classes(out, counted["by_class"])
    for pair in counted["pairs"].head(SHOWN).itertuples():
        out.say(pair_words(pair, wrong))
    out.say(summary["words"])
    _show_suspects(out, doubted)


def _finished(run: Any, stage: int | None) -> tuple[int, dict[str, Any]]:
    """A finished stage, the last by default, and its scores.json."""
    done = run.finished_stages()
    if not done:
        raise LabError(
            f"Run {run.id} has no finished stage yet.", f"Go on: python -m lab resume {run.id}"
        )
    number = done[-1] if stage is None else stage
    info = run.scores(number)
    if number not in done or not info.get("model"):
        names = ", ".join(map(str, done))
        raise LabError(
            f"Stage {number} of {run.id} is not finished, or its scores cannot be read.",
            f"Finished, from 0: {names}.",
        )
    return number, info


def _is_second(info: dict[str, Any], target: str | None) -> bool:
    from lab.analysis.mistakes import target_names

    names = target_names(info)
    if target is not None and target not in names:
        raise LabError(f"It learnt no label {target!r}.", f"Use {' or '.join(names)}.")
    return target is not None and names.index(target) == 1


def _with_files(setting: Setting, run: Any, doubted: Any) -> Any:
    files = _file_names(setting, run) if len(doubted) else {}
    doubted.insert(1, "file", [files.get(int(item), "") for item in doubted["item"]])
    return doubted


def _file_names(setting: Setting, run: Any) -> dict[int, str]:
    """Item -> file name, of the data set that it was trained on; empty where that is gone."""
    from lab.data.catalog import open_dataset
    from lab.data.dataset import read_header

    workspace, trained_on = setting.workspace, run.resolved().get("data")
    for folder in sorted(workspace.datasets.iterdir()) if workspace.datasets.is_dir() else ():
        if trained_on and (read_header(folder) or {}).get("fingerprint") == trained_on:
            return dict(enumerate(open_dataset(workspace, folder.name).items["file"]))
    setting.out.note("The pictures are not here any more: images go by their numbers.")
    return {}


def _show_classes(out: Terminal, table: Any) -> None:
    shares = ("precision", "recall", "f1")
    rows = [
        (row["class"], row["support"], *(percent(_json(row[name])) for name in shares))
        for row in table.to_dict("records")
    ]
    out.table(("class", "images", "precision", "recall", "F1"), rows)


def _show_suspects(out: Terminal, table: Any) -> None:
    rows = [
        (row.file or f"item {row.item}", row.label, row.suggested, percent(row.confidence),
         f"{row.agree} of {row.asked}")
        for row in table.head(SHOWN).itertuples()
    ]  # fmt: skip
    if rows:
        out.table(("picture", "label", "suggested", "confidence", "agree"), rows)
    if len(table) > SHOWN:
        out.say(f"... and {len(table) - SHOWN} more: --json has them all.")


def _json(value: Any) -> Any:
    """NaN stands for "not there": JSON has no word for it."""
    return None if isinstance(value, float) and value != value else value
