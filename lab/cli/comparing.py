"""What `compare` prints: pairs of runs, methods over seeds, saved time and error, costs, hindsight.

    show(out, chosen_runs(setting, ["demo-1"]))

As JSON every line says its `kind`; the pairs come first. In words: the verdicts, and what follows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lab.analysis.compare import Comparison, compare_runs, final_table, recipe_differences
from lab.analysis.curves import epochs_frame
from lab.analysis.groups import Group, group_runs
from lab.analysis.hindsight import Hindsight, hindsight, words
from lab.analysis.matched import time_matches
from lab.analysis.methods import compare_groups, is_complete, method_summary
from lab.analysis.pareto import front
from lab.analysis.saved import Saved, saved_by
from lab.cli.setting import Setting, run_of
from lab.cli.terminal import Terminal
from lab.errors import LabError
from lab.runs.events import read_events
from lab.runs.experiments import list_experiments, members
from lab.runs.folder import RunFolder
from lab.runs.locked import note_look

COSTS = ("seconds", "pixels", "flops", "energy_j")
STAGE = ("stage", "size", "final_size", "own", "final")


def chosen_runs(setting: Setting, names: Sequence[str]) -> list[RunFolder]:
    """Runs by their names; the id of an experiment stands for all its finished runs."""
    workspace, found = setting.workspace, []
    experiments = {one.id: one for one in list_experiments(workspace)}
    for name in names:
        known = experiments.get(name)
        mine = [one.run for one in members(workspace, known)] if known else []
        found += _finished(setting.out, name, mine) if mine else [run_of(workspace, name)]
    return list({run.id: run for run in found}.values())


def _finished(out: Terminal, experiment: str, runs: Sequence[RunFolder]) -> list[RunFolder]:
    done = [run for run in runs if is_complete(run)]
    if len(done) < 2:
        raise LabError(
            f"Experiment {experiment} has {len(done)} finished of {len(runs)} runs: no two to "
            "compare.",
            "Wait for them, or resume them.",
        )
    if len(done) < len(runs):
        out.note(f"{len(runs) - len(done)} of {len(runs)} runs are not finished and left out.")
    return done


def show(out: Terminal, runs: Sequence[RunFolder]) -> bool:
    """Print all there is to say. False where no two of them can be compared."""
    pairs, groups = compare_runs(runs), group_runs(runs)
    over_seeds = [row for row in compare_groups(groups) if row.kind == "method"]
    gains = saved_by(groups)
    looked = [found for run in runs if (found := _hindsight(out, run))]
    timed = time_matches(runs)
    for row in (*pairs, *over_seeds, *gains, *timed):
        out.line(row.as_dict())
    for group in groups:
        out.line({"kind": "group", **method_summary(group)})
    for found in looked:
        out.line(found.as_dict())
    if out.as_json:
        _numbers(out, runs)
    if not out.as_json:
        _say(out, pairs, over_seeds, gains, looked, groups)
        for match in timed:
            out.say(f"{match.run}, made to take as long as {match.reference}: {match.words}")
    return any(row.n for row in pairs)


def _hindsight(out: Terminal, run: RunFolder) -> Hindsight | None:
    """A damaged file of one epoch is no reason to say nothing else."""
    try:
        found = hindsight(run)
        if found and found.tested:
            note_look(run, "epochs in hindsight")
        return found
    except LabError as error:
        out.note(f"{run.id}: {error.what} {error.fix}")
        return None


def _numbers(out: Terminal, runs: Sequence[RunFolder]) -> None:
    """The tables behind the curves and the plots: runs, fronts, stages, epochs, recipes."""
    table = final_table(runs)
    for row in table.to_dict("records"):
        out.line({"kind": "run", **_plain(row)})
    for cost in COSTS:
        best = front(table[cost].to_list(), table["error_rate"].to_list())
        out.line({"kind": "front", "cost": cost, "runs": [str(table["run"][at]) for at in best]})
    for run in runs:
        for number in run.finished_stages():
            found = {key: run.scores(number).get(key) for key in STAGE}
            out.line({"kind": "stage", "run": run.id, **found})
        for row in epochs_frame(read_events(run)).to_dict("records"):
            out.line({"kind": "epoch", "run": run.id, **_plain(row)})
    recipes = recipe_differences({run.id: run.recipe() for run in runs})
    for field, values in recipes.to_dict("index").items():
        out.line({"kind": "recipe", "field": field, "values": values})


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN: a missing number is null."""
    missing = {key for key, value in row.items() if isinstance(value, float) and math.isnan(value)}
    return {key: None if key in missing else value for key, value in row.items()}


def _say(
    out: Terminal,
    pairs: Sequence[Comparison],
    over_seeds: Sequence[Comparison],
    gains: Sequence[Saved],
    looked: Sequence[Hindsight],
    groups: Sequence[Group],
) -> None:
    """Methods where there are several seeds, else the pairs; then costs, then hindsight."""
    for row in over_seeds or pairs:
        out.say(f"{row.metric}: {row.verdict}")
    if over_seeds:
        out.say(f"Methods: {', '.join(f'{one.name} ({len(one.runs)} runs)' for one in groups)}.")
        out.say(f"{len(pairs)} comparisons of single runs: --json prints them too.")
    for gain in gains:
        out.say(f"{gain.metric}: {gain.verdict}")
    for found in looked:
        out.say(f"Would another epoch have been better? {found.name}: {words(found)}")
