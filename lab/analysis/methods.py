"""Methods against each other, over their seeds: what several runs of each recipe say.

    for row in compare_groups(group_runs(runs)): print(row.verdict)
    method_summary(group)               # mean error over seeds with its t interval, cost

Seeds on one split speak about the method on this data, and about no other data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from lab.analysis.compare import Predictions, compare_pair, final_predictions, why_not
from lab.analysis.curves import epochs_frame
from lab.analysis.groups import Group, described
from lab.analysis.metrics import scores
from lab.analysis.significance import mean_interval, seed_difference, welch_difference
from lab.analysis.verdict import Comparison, corrected, judged
from lab.runs.events import read_events
from lab.runs.folder import RunFolder

METRICS = ("error_rate", "log_loss", "balanced_error")
Seeds = dict[int, Predictions]


def compare_groups(groups: Sequence[Group], seed: int = 0) -> list[Comparison]:
    """Every two methods, corrected for their number: over seeds (kind "method") where both have
    two finished runs or more, else by one pair of models (kind "models").

    A method without a finished run is left out. LabError where predictions cannot be read.
    """
    found = [(group.name, finished_seeds(group)) for group in groups]
    ready = [(name, seeds) for name, seeds in found if seeds]
    return corrected(
        row
        for (a, seeds_a), (b, seeds_b) in combinations(ready, 2)
        for row in compare_seeds(a, b, seeds_a, seeds_b, seed)
    )


def finished_seeds(group: Group) -> Seeds:
    """The predictions of a method's finished runs, one a seed."""
    return {seed: final_predictions(run) for seed, run in complete_by_seed(group).items()}


def complete_by_seed(group: Group) -> dict[int, RunFolder]:
    """One complete run a seed: of repeats the newest, which says the same again."""
    return {seed: run for seed, run in zip(group.seeds, group.runs) if is_complete(run)}


def is_complete(run: RunFolder) -> bool:
    """Whether the last stage of the recipe is finished and scored."""
    stages = run.finished_stages()
    return bool(stages) and stages[-1] == len(run.recipe().stages) - 1


def compare_seeds(
    a: str, b: str, seeds_a: Seeds, seeds_b: Seeds, seed: int = 0
) -> list[Comparison]:
    """Two methods by name, not corrected. Seeds that both have are paired; where fewer than two
    are, all runs count, unpaired."""
    common = sorted(set(seeds_a) & set(seeds_b))
    paired = len(common) >= 2
    if paired:
        seeds_a, seeds_b = ({k: found[k] for k in common} for found in (seeds_a, seeds_b))
    elif min(len(seeds_a), len(seeds_b)) < 2:
        return _one_pair(a, b, seeds_a, seeds_b, seed)
    refusal = next(filter(None, (why_not(x, y) for x, y in _all_pairs(seeds_a, seeds_b))), "")
    if refusal:
        nothing = Comparison(a, b, "error_rate", None, None, None, None, 0, refusal, "method")
        return [replace(nothing, name_a=a, name_b=b)]
    return [_over_seeds(a, b, metric, seeds_a, seeds_b, paired) for metric in METRICS]


def _one_pair(a: str, b: str, seeds_a: Seeds, seeds_b: Seeds, seed: int) -> list[Comparison]:
    """One run of each: of the same seed where there is one."""
    common = sorted(set(seeds_a) & set(seeds_b))
    first, second = (common[0], common[0]) if common else (min(seeds_a), min(seeds_b))
    pair = (replace(seeds_a[first], name=a), replace(seeds_b[second], name=b))
    return compare_pair(*pair, seed)


def _all_pairs(seeds_a: Seeds, seeds_b: Seeds) -> list[tuple[Predictions, Predictions]]:
    """Enough pairs to see whether all of them are comparable: each with the first."""
    everyone = [*seeds_a.values(), *seeds_b.values()]
    return [(everyone[0], other) for other in everyone[1:]]


def _over_seeds(
    a: str, b: str, metric: str, seeds_a: Seeds, seeds_b: Seeds, paired: bool
) -> Comparison:
    values = [_values(found, metric) for found in (seeds_a, seeds_b)]
    found = (seed_difference if paired else welch_difference)(*values)
    flat = found.low == found.high  # the same at every seed: no spread, no interval
    row = Comparison(
        a, b, metric, found.difference, None if flat else found.low, None if flat else found.high,
        found.p, len(next(iter(seeds_a.values())).item), "", "method", name_a=a, name_b=b,
        value_a=float(values[0].mean()), value_b=float(values[1].mean()),
        seeds=min(len(seeds_a), len(seeds_b)), paired=paired,
        sd=None if flat else _spread(*values, paired), apart=_apart(seeds_a, seeds_b),
    )  # fmt: skip
    return judged(row, found.p, 1)


def _values(seeds: Seeds, metric: str) -> np.ndarray:
    return np.array([scores(one.probs, one.target)[metric] for one in seeds.values()])


def _spread(a: np.ndarray, b: np.ndarray, paired: bool) -> float:
    """Of the differences; of one method's runs (pooled) where seeds are not paired."""
    if paired:
        return float((a - b).std(ddof=1))
    return float(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))


def _apart(seeds_a: Seeds, seeds_b: Seeds) -> float:
    """Mean share of images of which just one of two models is right."""
    right_a, right_b = (
        np.array([one.probs.argmax(axis=1) == one.target for one in found.values()])
        for found in (seeds_a, seeds_b)
    )
    if len(right_a) == len(right_b):
        return float((right_a != right_b).mean())
    return float((right_a[:, None] != right_b[None]).mean())


def method_summary(group: Group) -> dict[str, Any]:
    """Plain JSON values: mean error over the finished runs, its 95 % t interval over seeds, the
    standard deviation, mean seconds and pixels."""
    runs = list(complete_by_seed(group).values())
    errors = np.array(
        [run.scores(run.finished_stages()[-1])["final"]["error_rate"] for run in runs]
    )
    tables = [epochs_frame(read_events(run)) for run in runs]
    low, high = mean_interval(errors) or (None, None)
    return {
        **described(group),
        "finished": len(runs),
        "error_rate": float(errors.mean()) if len(errors) else None,
        "low": low,
        "high": high,
        "sd": float(errors.std(ddof=1)) if len(errors) > 1 else None,
        "seconds": _mean([float(table["seconds"].sum()) for table in tables]),
        "pixels": _mean([float(table["pixels"].max()) for table in tables]),
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
