"""False verdicts on real runs: one recipe, many seeds, and every two of them compared.

    python -m benchmarks.null_pairs --workspace DIR                   the runs that are there
    python -m benchmarks.null_pairs --workspace DIR --train 20        train as many seeds first
    python -m benchmarks.null_pairs --workspace DIR --recipe FILE --train 20

No recipe is better than itself: of one recipe's runs, whatever a test finds is luck of the seed. In
words the lab gives no verdict on such a pair; here its tests are counted as if it did not know. p
values below 5 % of each score: of every pair of runs (these two models), uncorrected and
corrected by Holm; and of methods made of them, three seeds against three others, paired and not.
Pairs share runs, so the counts hang together: the interval of n independent trials is too narrow
for them, and stands there as a yardstick only. Disjoint pairs, each run used once, are independent
given the images, and are counted apart.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from benchmarks.record import save
from lab.analysis.compare import Predictions, compare_pair, final_predictions
from lab.analysis.groups import Group, group_runs
from lab.analysis.methods import METRICS, compare_seeds, is_complete
from lab.analysis.verdict import LEVEL, Comparison, corrected
from lab.recipe import Recipe, load_recipe
from lab.recipe.presets import preset_recipe
from lab.runs.folder import RunFolder, all_runs, create_run
from lab.workspace import Workspace

SPLITS = 500  # random choices of three seeds against three others


def null_pairs(runs: Sequence[Predictions]) -> dict[str, Any]:
    """Counts for the runs of one recipe."""
    runs = [replace(run, method="") for run in runs]  # as if they were of different recipes
    rows = [row for a, b in combinations(runs, 2) for row in compare_pair(a, b)]
    apart = [row for a, b in list(pairwise(runs))[::2] for row in compare_pair(a, b)]
    return {
        "runs": len(runs),
        "images": len(runs[0].item),
        "errors": _spread([float((r.probs.argmax(1) != r.target).mean()) for r in runs]),
        "pairs": _counted(rows),
        "disjoint_pairs": _counted(apart),
        "pairs_corrected": _counted(corrected(rows)),
        **_methods(runs),
    }


def _counted(rows: Sequence[Comparison]) -> dict[str, dict[str, float]]:
    """By score: how many, how many false, and the most that 5 % leave room for (97.5 %)."""
    found = {}
    for metric in METRICS:
        mine = [row for row in rows if row.metric == metric and row.p is not None]
        false = sum(row.clear for row in mine)
        room = int(binom.ppf(0.975, len(mine), LEVEL))
        found[metric] = {"n": len(mine), "false": false, "room": room}
    return found


def _methods(runs: Sequence[Predictions]) -> dict[str, Any]:
    """Three seeds against three others, drawn again and again; pairing is by draw, as by seed."""
    if len(runs) < 6:
        return {}
    rng, paired, unpaired = np.random.default_rng(0), [], []
    for _ in range(SPLITS):
        drawn = [runs[at] for at in rng.permutation(len(runs))[:6]]
        a = dict(enumerate(drawn[:3]))
        paired += compare_seeds("a", "b", a, dict(enumerate(drawn[3:])))
        unpaired += compare_seeds("a", "b", a, dict(enumerate(drawn[3:], start=3)))
    return {"methods_paired": _counted(paired), "methods_unpaired": _counted(unpaired)}


def _spread(values: Sequence[float]) -> dict[str, float]:
    found = {"mean": np.mean(values), "sd": np.std(values, ddof=1)}
    found |= {"min": np.min(values), "max": np.max(values)}
    return {name: round(float(value), 5) for name, value in found.items()}


def largest(runs: Sequence[RunFolder]) -> Group:
    """The method with the most finished seeds."""
    groups = group_runs([run for run in runs if is_complete(run)])
    found = max(groups, key=lambda group: len(group.by_seed), default=None)
    if found is None or len(found.by_seed) < 2:
        raise SystemExit("Two finished seeds of one recipe are the least; --train N makes them.")
    return found


def train(workspace: Workspace, recipe: Recipe, seeds: int) -> list[RunFolder]:
    """Seeds 0 to N-1, one after the other, on this machine's CPU."""
    from lab.workers.allocator import keep_large_blocks
    from lab.workers.runner import execute

    keep_large_blocks()
    runs = []
    for seed in range(seeds):
        run = create_run(workspace, recipe.but(seed=seed))
        assert execute(workspace, run, 0, "cpu") == 0, run.state()
        runs.append(run)
        print(f"seed {seed}: {run.id}", file=sys.stderr, flush=True)
    return runs


def main() -> None:
    """Train if asked, count, print, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--recipe", type=Path, help="else the preset `quick`")
    parser.add_argument("--train", type=int, default=0, metavar="N")
    parser.add_argument("--no-record", action="store_true")
    wanted = parser.parse_args()
    workspace = Workspace(Path(wanted.workspace)).create()
    if wanted.train:
        recipe = load_recipe(wanted.recipe) if wanted.recipe else preset_recipe("quick")
        runs = train(workspace, recipe, wanted.train)
    else:
        runs = all_runs(workspace)
    group = largest(runs)
    found = null_pairs([final_predictions(run) for run in group.by_seed.values()])
    print(json.dumps(found, indent=1))
    if not wanted.no_record:
        command = f"python -m benchmarks.null_pairs --recipe FILE --train {len(group.by_seed)}"
        recipe = group.runs[0].recipe().model_dump(mode="json", exclude_defaults=True)
        print(save("null-pairs", {"recipe": recipe, **found}, command), file=sys.stderr)


if __name__ == "__main__":
    main()
