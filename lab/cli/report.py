"""The command that writes a report: `python -m lab report EXPERIMENT --to report.html`.

Everything slow is imported inside; torch is never needed.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from lab.cli.setting import Setting, common
from lab.errors import LabError


@click.command()
@common
@click.argument("names", nargs=-1, required=True, metavar="EXPERIMENT | RUN ...")
@click.option("--to", type=Path, required=True, help="The HTML file to write.")
@click.option("--numbers", "record", type=Path, help="Also all its numbers, as a JSON file.")
@click.option("--host", is_flag=True, help="Name the machines too; left out otherwise.")
@click.pass_obj
def report(setting: Setting, names: tuple[str, ...], to: Path, record: Path | None, host) -> None:
    """Write an experiment, or any runs, as one HTML file that can be read anywhere.

    One name may be an experiment's id or its name; else every name is a run.
    """
    from lab.analysis import report as reports

    out = setting.out
    runs, experiment = reports.wanted(setting.workspace, names)
    found = reports.numbers(runs, experiment, host=host)
    written = {to: reports.html(found)}
    if record is not None:
        written[record] = json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    for path, text in written.items():
        _write(path, text)
    out.line({"kind": "report", "file": str(to), "numbers": str(record) if record else None,
              "runs": len(found["runs"]), "unfinished": len(found["unfinished"]),
              "answer": found["answer"]})  # fmt: skip
    for line in found["answer"]:
        out.say(line)
    for run in found["unfinished"]:
        out.note(f"{run['run']} is {run['status']}: the report says so.")
    out.say(f"Written: {', '.join(map(str, written))}")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise LabError(
            f"{path} cannot be written ({error.strerror}).", "Choose another place with --to."
        ) from error
