"""What a report says of the methods: means over seeds, curves, fronts, where recipes differ.

    groups = settled(group_runs(runs))
    method(1, groups[0], runs, facts), differences(groups), front(methods, "seconds")

Means, intervals, groups and fronts are those of the Compare page; `facts` are report_numbers' own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.analysis import pareto
from lab.analysis.compare import final_predictions, recipe_differences
from lab.analysis.groups import Group
from lab.analysis.methods import is_complete, method_summary
from lab.analysis.report_curves import method_curves
from lab.analysis.report_words import NAME_LENGTH, named
from lab.errors import LabError
from lab.recipe.model import Recipe
from lab.runs.folder import RunFolder

COSTS = ("seconds", "pixels", "flops", "energy_j")
MEANS = ("error_rate", "low", "high", "sd", "seconds", "pixels")
SCORES = ("error_rate", "low", "high", "balanced_error", "log_loss", "brier", "ece", "n")
Facts = Mapping[str, Mapping[str, Any]]  # by run id


def settled(groups: Sequence[Group]) -> list[Group]:
    """The groups with one run a seed, the newest finished one where there is one, and with names
    that fit into a sentence and stay apart."""
    return [
        Group(group.key, name, tuple(found.values()), tuple(found))
        for group, name in zip(groups, _short([group.name for group in groups]))
        if (found := _one_a_seed(group))
    ]


def _one_a_seed(group: Group) -> dict[int, RunFolder]:
    found: dict[int, RunFolder] = {}
    for seed, run in zip(group.seeds, group.runs):  # of one seed the newest comes last
        if seed not in found or is_complete(run) or not is_complete(found[seed]):
            found[seed] = run
    return found


def _short(names: Sequence[str]) -> list[str]:
    short = [named(name, NAME_LENGTH) or "no name" for name in names]
    return [
        name if short.count(name) == 1 else f"{name} ({number})"
        for number, name in enumerate(short, 1)
    ]


def method(number: int, group: Group, runs: Sequence[RunFolder], facts: Facts) -> dict[str, Any]:
    """A method: its number in the figures, its means over finished seeds, its stages and curves.

    `group` is settled; `runs` are all of the method, repeats of a seed too.
    """
    mine = [facts[run.id] for run in runs]
    scored = [_scores(facts[run.id]) for run in group.runs if is_complete(run)]
    stages = _stages(mine)
    return {
        "number": number,
        "style": number - 1,
        "name": group.name,
        "key": group.key[:12],
        "runs": [run.id for run in runs],
        "seeds": list(group.seeds),
        "model": mine[0]["model"],
        "weights": mine[0]["weights"],
        "scored": scored,
        **_means(group, scored),
        "schedule": stages,
        "sizes": [stage["size"] for stage in stages],
        "side_px": stages[-1]["side_px"],
        "grows": len({stage["size"] for stage in stages}) > 1 or bool(stages[0]["from_size"]),
        "final_size": next((run["final_size"] for run in mine if run["final_size"]), ""),
        "baseline_of": sorted({run["baseline_of"] for run in mine} - {""}),
        "curves": method_curves(group.runs),
    }


def _scores(run: Mapping[str, Any]) -> dict[str, Any]:
    scores = {name: run["scores"].get(name) for name in SCORES}
    return {"run": run["run"], "seed": run["seed"], **scores, "seconds": run["seconds"],
            **run["cost"]}  # fmt: skip


def _means(group: Group, scored: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over seeds, with the t interval; of a single run its own numbers, with Wilson's interval."""
    summary = method_summary(group)
    means = {key: summary[key] for key in MEANS}
    over = "seeds" if len(scored) > 1 else "images"
    if len(scored) == 1:
        means |= {key: scored[0][key] for key in ("low", "high")}
    costs = {key: _mean(scored, key) for key in ("flops", "energy_j")}
    return {"means": means | costs, "interval_over": over if scored else ""}


def _mean(lines: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """Only where every run has it: a mean over some would be of other runs than the error's."""
    values = [line[key] for line in lines]
    return sum(values) / len(values) if values and None not in values else None


def _stages(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The stages as the seeds ran them: a choice that differs between seeds is a list."""
    merged = [dict(stage) for stage in runs[0]["schedule"]]
    for number, stage in enumerate(merged):
        for key in ("epochs", "steps", "lr", "batch"):
            values = [run["schedule"][number][key] for run in runs]
            known = list(dict.fromkeys(value for value in values if value is not None))
            stage[key] = known[0] if len(known) == 1 else (known or None)
    return merged


def front(methods: Sequence[Mapping[str, Any]], key: str) -> list[int]:
    """Numbers of the methods that none beats in both error and this cost."""
    means, nan = [one["means"] for one in methods], float("nan")
    costs, errors = (
        [nan if one.get(name) is None else one[name] for one in means]
        for name in (key, "error_rate")
    )
    return [methods[at]["number"] for at in pareto.front(costs, errors)]


def comparable(groups: Sequence[Group]) -> tuple[list[Group], list[dict[str, str]]]:
    """The methods without runs whose predictions cannot be read; and words about those."""
    broken: dict[str, str] = {}
    for run in (run for group in groups for run in group.runs if is_complete(run)):
        try:
            final_predictions(run)
        except LabError as error:
            broken[run.id] = f"{error.what} {error.fix}".strip()
    kept = [_without(group, broken) for group in groups]
    words = [{"run": run_id, "message": message} for run_id, message in broken.items()]
    return [group for group in kept if group.runs], words


def _without(group: Group, broken: Mapping[str, str]) -> Group:
    pairs = [(run, seed) for run, seed in zip(group.runs, group.seeds) if run.id not in broken]
    runs, seeds = zip(*pairs) if pairs else ((), ())
    return replace(group, runs=tuple(runs), seeds=tuple(seeds))


def differences(groups: Sequence[Group]) -> dict[str, Any]:
    """Where the methods' recipes differ, less what makes no method: the seed, the reference."""
    recipes = {str(number): _of_method(group) for number, group in enumerate(groups, 1)}
    table = recipe_differences(recipes)
    rows = [
        {"where": str(path), "values": [_plain(value) for value in row]}
        for path, row in zip(table.index, table.to_numpy().tolist())
        if _tells(str(path), list(recipes.values()))
    ]
    return {"methods": [int(name) for name in recipes], "rows": rows}


def _of_method(group: Group) -> Recipe:
    recipe = group.runs[0].recipe()
    evaluation = recipe.evaluation.but(test_every_epoch=False).model_dump()
    return recipe.but(seed=0, same_time_as="", evaluation=evaluation)


def _tells(path: str, recipes: Sequence[Recipe]) -> bool:
    """Of a stage that some method lacks: its size, its length, what it does not share with its
    own first stage. As on the Compare page."""
    parts = path.split(".")
    if parts[0] != "stages" or parts[-1] in ("size", "epochs"):
        return True
    number = int(parts[1])
    having = [recipe for recipe in recipes if len(recipe.stages) > number]
    if len(having) == len(recipes):
        return True
    return any(_at(r.stages[number], parts[2:]) != _at(r.stages[0], parts[2:]) for r in having)


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = getattr(value, name)
    return value


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
