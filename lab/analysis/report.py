"""The report of an experiment, or of any runs: one HTML file that needs nothing else.

    runs, experiment = wanted(workspace, ["demo-3f2a"])       # an experiment, or run ids
    found = numbers(runs, experiment)                         # all that it says, as JSON values
    page = html(found)                                        # the file's text

The page is made from the numbers alone; nothing is run again, and every statistic is the Compare
page's own. Runs that failed or are not finished are said to be so, and the rest goes on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import lab
from lab.analysis import report_methods
from lab.analysis.groups import Group, group_runs
from lab.analysis.hindsight import hindsight
from lab.analysis.matched import time_matches
from lab.analysis.methods import compare_groups, is_complete
from lab.analysis.report_answer import answer, reference_of
from lab.analysis.report_numbers import run_facts
from lab.analysis.report_page import html, refusal
from lab.analysis.saved import saved_by
from lab.errors import LabError
from lab.runs.experiments import Experiment, list_experiments, members
from lab.runs.folder import RunFolder, find_run
from lab.workspace import Workspace

__all__ = ["html", "numbers", "refusal", "wanted"]
SCHEMA = 1
MOST_RUNS = 60
Facts = dict[str, dict[str, Any]]  # of runs, by id


def wanted(workspace: Workspace, words: Sequence[str]) -> tuple[list[RunFolder], Experiment | None]:
    """The runs meant by an experiment's id or name, or by run ids; and the experiment, if one.

    LabError where a word fits nothing, and where an experiment has no run.
    """
    experiment = _experiment_called(workspace, words[0]) if len(words) == 1 else None
    if experiment is None:
        return [find_run(workspace, word) for word in words], None
    runs = [member.run for member in members(workspace, experiment)]
    if not runs:
        raise LabError("This experiment has no runs.", "Launch it, or name runs instead.")
    return runs, experiment


def _experiment_called(workspace: Workspace, word: str) -> Experiment | None:
    found = list_experiments(workspace)
    fitting = [one for one in found if one.id == word] or [one for one in found if one.name == word]
    if len(fitting) > 1:
        ids = ", ".join(one.id for one in fitting)
        raise LabError(f"{len(fitting)} experiments are called {word!r}.", f"Use an id: {ids}")
    return fitting[0] if fitting else None


def numbers(
    runs: Sequence[RunFolder],
    experiment: Experiment | None = None,
    *,
    host: bool = False,
    now: float | None = None,
) -> dict[str, Any]:
    """Everything a report says, as plain JSON values. LabError where no run can be read.

    host: also the names of the machines. now: seconds since 1970, the time of making.
    """
    facts, readable, problems = _read(runs, host)
    if not readable:
        raise LabError("There is no run to report on.", "Name runs, or an experiment with runs.")
    if len(readable) > MOST_RUNS:
        raise LabError(f"{len(readable)} runs are too many for one report.",
                       f"Name at most {MOST_RUNS}.")  # fmt: skip
    every = group_runs(readable)
    groups = report_methods.settled(every)
    methods = [
        report_methods.method(number, group, whole.runs, facts)
        for number, (group, whole) in enumerate(zip(groups, every), 1)
    ]
    found = {
        "schema": SCHEMA,
        "made": time.time() if now is None else now,
        "lab": lab.__version__,
        "title": _title(experiment, methods, facts),
        "experiment": _about(experiment),
        "runs": list(facts.values()),
        "methods": methods,
        "sides": sorted({stage["side_px"] for one in methods for stage in one["schedule"]}),
        "unfinished": [*problems, *_unfinished(facts)],
        "data": _data(facts),
        "differences": report_methods.differences(groups),
        **_evidence(groups),
        "pareto": {key: report_methods.front(methods, key) for key in report_methods.COSTS},
        "environments": _environments(facts),
        "commands": _commands(experiment, readable),
    }
    found["reference"] = reference_of(found)
    return {**found, "answer": answer(found)}


def _read(
    runs: Sequence[RunFolder], host: bool
) -> tuple[Facts, list[RunFolder], list[dict[str, Any]]]:
    """Facts of the runs that can be read, those runs, and words about the others."""
    facts, readable, problems = {}, [], []
    for run in {run.id: run for run in runs}.values():
        try:
            facts[run.id] = run_facts(run, host)
            readable.append(run)
        except (LabError, AttributeError, KeyError, TypeError, ValueError) as error:
            words = str(error) if isinstance(error, LabError) else "Its files cannot be read."
            problems.append({"run": run.id, "name": run.id, "status": "unreadable",
                             "message": words, "epochs_done": 0, "total_epochs": 0})  # fmt: skip
    return facts, readable, problems


def _evidence(groups: Sequence[Group]) -> dict[str, Any]:
    """What the Compare page says of these methods: verdicts, time and error saved, hindsight."""
    whole, unread = report_methods.comparable(groups)
    looked, damaged = _hindsight(whole)
    return {
        "verdicts": [row.as_dict() for row in compare_groups(whole)],
        "saved": [row.as_dict() for row in saved_by(whole)],
        "same_time": [
            {**match.as_dict(), "method": group.name}
            for group in whole
            for match in time_matches(group.runs)
        ],
        "hindsight": looked,
        "unreadable": [*unread, *damaged],
    }


def _hindsight(groups: Sequence[Group]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """A row a finished run that stored its epochs; and words about damaged ones."""
    rows, damaged = [], []
    for run in (run for group in groups for run in group.runs if is_complete(run)):
        try:
            found = hindsight(run)
        except LabError as error:
            damaged.append({"run": run.id, "message": f"{error.what} {error.fix}".strip()})
            continue
        if found is not None:
            rows.append(found.as_dict())
    return rows, damaged


def _unfinished(facts: Facts) -> list[dict[str, Any]]:
    keys = ("run", "name", "status", "message", "epochs_done", "total_epochs")
    return [{key: run[key] for key in keys} for run in facts.values() if not run["scored"]]


def _data(facts: Facts) -> list[dict[str, Any]]:
    """Each data set under each split once, with the runs that used it."""
    found: list[dict[str, Any]] = []
    for run_id, run in facts.items():
        if not run["data"]:
            continue
        same = next((one for one in found if one["data"] == run["data"]), None)
        if same is None:
            found.append(same := {"data": run["data"], "valid_counts": [], "runs": []})
        same["valid_counts"] = same["valid_counts"] or run["valid_counts"]
        same["runs"].append(run_id)
    return found


def _environments(facts: Facts) -> list[dict[str, Any]]:
    """Each environment once, with its runs and the reasons that were given there."""
    found: list[dict[str, Any]] = []
    for run_id, run in facts.items():
        same = next((one for one in found if one["environment"] == run["environment"]), None)
        if same is None:
            found.append(same := {"environment": run["environment"], "runs": [], "reasons": []})
        same["runs"].append(run_id)
        for choice, reason in run["reasons"].items():
            _count(same["reasons"], choice, reason)
    for one in found:
        one["reasons"].sort(key=lambda line: line["choice"].startswith("stages."))
    return found


def _count(lines: list[dict[str, Any]], choice: str, reason: str) -> None:
    """One more run that was given this reason."""
    for line in lines:
        if (line["choice"], line["reason"]) == (choice, reason):
            line["runs"] += 1
            return
    lines.append({"choice": choice, "reason": reason, "runs": 1})


def _about(experiment: Experiment | None) -> dict[str, Any] | None:
    """What is written down of the experiment; who made it stays out."""
    if experiment is None:
        return None
    keys = ("id", "name", "question", "created", "seeds", "arms", "forecast_s")
    values = experiment.as_dict()
    return {key: values[key] for key in keys}


def _title(
    experiment: Experiment | None, methods: Sequence[Mapping[str, Any]], facts: Facts
) -> str:
    if experiment is not None:
        return experiment.name
    if len(methods) == 1:
        return str(methods[0]["name"])
    return f"{len(methods)} methods compared"


def _commands(experiment: Experiment | None, runs: Sequence[RunFolder]) -> list[str]:
    """What gives these numbers again from the same workspace."""
    scored = [run.id for run in runs if is_complete(run)]
    what = experiment.id if experiment else " ".join(run.id for run in runs)
    compare = [f"python -m lab compare {' '.join(scored)} --json"] if len(scored) > 1 else []
    return [*compare, f"python -m lab report {what} --to report.html --numbers report.json"]
