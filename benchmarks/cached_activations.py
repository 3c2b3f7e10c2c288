"""Epochs of a head over a frozen body: cached activations against fastai's frozen epoch.

    python -m benchmarks.cached_activations --data PHOTOS --model resnet18 --sizes 64 128 --epochs 5

Arms: cached; cached with views; frozen with norms that train (fastai's); frozen with norms fixed.
The lab's own Trainer runs each; they take turns epoch by epoch in one process. The first pass over
the pictures counts in the first cached epoch. --body leaves: trained on drawn leaves before, 64 px.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import load, rounded, spread
from benchmarks.record import save
from lab.recipe import Recipe, recipe_from
from lab.workers.allocator import keep_large_blocks
from lab.workspace import Workspace

CACHED = "cached"
ARMS: dict[str, tuple[dict[str, Any], bool]] = {  # stage's fields, whether the norms train
    CACHED: ({"cached_activations": True}, True),
    "cached, 3 views": ({"cached_activations": True, "cached_views": 3}, True),
    "frozen, norms train": ({}, True),
    "frozen, norms fixed": ({}, False),
}
LEAVES = {"source": "leaves", "leaves": {"n": 2000, "size_px": 96}}


def recipe_of(wanted: argparse.Namespace, size: int, arm: str) -> Recipe:
    """One stage that trains the head, with the default augmentation where it is not cached."""
    fields, norms = ARMS[arm]
    dataset = {"source": "path", "path": str(wanted.data)} if wanted.data else LEAVES
    weights = "small-body" if wanted.body == "small-body" else "none"
    model = {"name": wanted.model, "groups": 2, "frozen_norms_train": norms, "weights": weights}
    stage = {"size": size, "epochs": wanted.epochs, "lr": wanted.lr, "batch_size": 64}
    stages = [{**stage, "trainable": "head", "resize": "crop", **fields}]
    values = {"name": arm, "seed": wanted.seed, "dataset": dataset, "model": model}
    return recipe_from({**values, "stages": stages})


def trainer_of(recipe: Recipe, workspace: Workspace, precision: str, body: dict | None = None):
    """A trainer on its data, its body's weights replaced where some are given."""
    from lab.recipe.facts import Resolved
    from lab.schedules.plan import make_plan
    from lab.train.model import build
    from lab.train.trainer import Trainer
    from lab.vision.rundata import open_run_data

    data = open_run_data(workspace, recipe)
    groups, size = recipe.model.groups, recipe.stages[0].hw
    network = build(recipe, len(data.parts.classes), groups, size)
    if body is not None:
        network.model.load_state_dict(body, strict=False)
    data.mean, data.interpolation = network.mean, network.interpolation
    data.build()
    resolved = Resolved(precision=precision, threads=recipe.threads, groups=groups)
    return Trainer(recipe, make_plan(recipe, data.n_train, groups), resolved, data, network)


def leaf_body(wanted: argparse.Namespace, workspace: Workspace) -> dict[str, Any]:
    """Weights without the classifier after a few epochs on leaves that the lab draws."""
    from lab.methods.freezing import head_parameters

    stage = {"size": 64, "epochs": wanted.body_epochs, "lr": 4e-3, "batch_size": 64}
    recipe = recipe_from({"dataset": LEAVES, "model": {"name": wanted.model}, "stages": [stage]})
    trainer = trainer_of(recipe, workspace, wanted.precision)
    for row in epochs_of(trainer):
        print("body, on leaves:", row, flush=True)
    head = head_parameters(trainer.model)
    state = trainer.model.state_dict()
    return {name: value.clone() for name, value in state.items() if name not in head}


def epochs_of(trainer) -> Iterator[dict[str, float]]:
    """One row an epoch; the final scores are left out."""
    from lab.train.trainer import EpochDone

    for event in trainer.events():
        if isinstance(event, EpochDone):
            yield {
                "seconds": rounded(event.seconds),
                "train_seconds": rounded(event.train_seconds),
                "accuracy": rounded(event.accuracy),
                "valid_loss": rounded(event.valid_loss),
            }
            if event.row.epoch + 1 == len(trainer.plan.epochs):
                return


def at_size(wanted: argparse.Namespace, size: int, workspace: Workspace, body) -> dict[str, Any]:
    """Every arm's epochs at one size, in turn, with the ratios against plain `cached`."""
    trainers = {
        arm: trainer_of(recipe_of(wanted, size, arm), workspace, wanted.precision, body)
        for arm in wanted.arms
    }
    sources = {arm: epochs_of(trainer) for arm, trainer in trainers.items()}
    rows: dict[str, list] = {arm: [] for arm in sources}
    for epoch in range(wanted.epochs):
        for arm, source in sources.items():
            rows[arm].append(next(source))
            print(size, "px", epoch + 1, arm, rows[arm][-1], flush=True)
    data = next(iter(trainers.values())).data
    counts = {"n_train": data.n_train, "n_valid": len(data.valid(0))}
    return {"size": size, **counts, "arms": {arm: summed(rows, arm) for arm in rows}}


def summed(rows: dict[str, list], arm: str) -> dict[str, Any]:
    """An arm's figures. Ratios say how many times as long as the plain cached arm it took:

    `per_epoch` from the second epoch on, pair by pair; `over_all` with the first pass included.
    """
    mine, cached = rows[arm], rows[CACHED]
    pairs = [a["seconds"] / b["seconds"] for a, b in zip(mine[1:], cached[1:])]
    whole = [sum(row["seconds"] for row in part) for part in (mine, cached)]
    later = statistics.median(row["seconds"] for row in mine[1:])
    return {
        "seconds": rounded(whole[0]),
        "first_pass_s": rounded(mine[0]["seconds"] - later) if arm.startswith(CACHED) else None,
        "accuracy": mine[-1]["accuracy"],
        "times_cached_per_epoch": spread(pairs),
        "times_cached_over_all": rounded(whole[0] / whole[1]),
        "epochs": mine,
    }


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="class folders or a zip; without: drawn leaves")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--body", default="leaves", choices=("random", "leaves", "small-body"))
    parser.add_argument("--body-epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--workspace", default="")
    wanted = parser.parse_args()
    if CACHED not in wanted.arms or wanted.epochs < 2:
        parser.error("ratios need the cached arm and two epochs")
    return wanted


def main() -> None:
    """Measure, print, write the record."""
    wanted = parsed()
    keep_large_blocks()
    import torch

    from lab.workers.resolve import cores

    torch.set_num_threads(wanted.threads or cores())
    workspace = Workspace(Path(wanted.workspace or tempfile.mkdtemp(prefix="lab-bench-"))).create()
    busy = load()
    body = leaf_body(wanted, workspace) if wanted.body == "leaves" else None
    for size in wanted.sizes:
        measured = at_size(wanted, size, workspace, body)
        print(save(*record(wanted, busy, measured)), file=sys.stderr)


def record(
    wanted: argparse.Namespace, busy: dict[str, float], measured: dict[str, Any]
) -> tuple[str, dict[str, Any], str]:
    """Name, figures and command of the record of one size."""
    import torch

    told = ("model", "body", "epochs", "lr", "seed", "precision")
    found = {name: getattr(wanted, name) for name in told}
    found |= {"batch": 64, "threads": torch.get_num_threads(), "load_before": busy}
    found["data"] = wanted.data.name if wanted.data else "leaves"
    flags = " ".join(f"--{name} {found[name]}" for name in (*told, "threads"))
    size = measured["size"]
    command = f"python -m benchmarks.cached_activations --data PHOTOS {flags} --sizes {size}"
    if len(wanted.arms) < len(ARMS):
        command += " --arms " + " ".join(f"'{arm}'" for arm in wanted.arms)
    return f"cached-activations-{size}px", found | measured, command


if __name__ == "__main__":
    main()
