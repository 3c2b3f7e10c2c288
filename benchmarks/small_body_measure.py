"""What the small body is worth on pictures it was not drawn for, against random weights.

transfer: fine-tuning everything for few epochs; a linear head on the frozen body. sizes: growing
against a fixed size at equal pixels, from the body.
Started by `python -m benchmarks.small_body measure`; both arms of a pair share recipe and seeds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from benchmarks.record import save
from benchmarks.small_body import predicted
from lab.analysis.significance import error_difference, seed_difference
from lab.recipe import Recipe, recipe_from
from lab.recipe.facts import Facts, Resolved
from lab.schedules.plan import plan
from lab.train.model import Network, build
from lab.train.small_body import about
from lab.train.trainer import EpochDone, Trainer
from lab.vision.rundata import RunData, open_run_data
from lab.workspace import Workspace, read_json

LEAVES = {
    "source": "leaves",
    "leaves": {"n": 1200, "size_px": 160, "form": "demo"},
    "split": {"method": "random", "valid_fraction": 0.3, "test_fraction": 0.0},
}
FINE_TUNING = {"leaves": (96, 4), "photos": (64, 4)}  # size, epochs
# Equal pixels: an epoch at 64 px costs a quarter of one at 128 px.
SCHEDULES = {"growing": ((64, 4), (128, 1)), "fixed": ((128, 2),)}
ARMS = ("body", "random")
LR, BATCH = 4e-3, 32


@dataclass
class Bench:
    """What all measurements share."""

    workspace: Workspace
    photos: str
    seeds: int
    architecture: str
    body: dict[str, torch.Tensor]
    threads: int
    precision: str
    only: str

    def sets(self) -> dict[str, dict]:
        """Data specs by name; photos only where a zip was given."""
        path = {"source": "path", "path": self.photos, "split": {"method": "auto"}}
        every = {"leaves": LEAVES} | ({"photos": path} if self.photos else {})
        return {name: spec for name, spec in every.items() if self.only in ("all", name)}

    def recipe(self, data: str, stages: tuple, seed: int) -> Recipe:
        """squish and any symmetry for leaves, crops for photos, as in the project's examples."""
        shape: dict[str, Any] = {"lr": LR, "batch_size": BATCH}
        if data == "leaves":
            shape |= {"resize": "squish", "augment": {"flip": "dihedral", "warp": 0.0}}
        else:
            shape |= {"resize": "crop", "min_scale": 0.5}
        return recipe_from(
            {
                "name": f"{data} {stages}",
                "seed": seed,
                "dataset": self.sets()[data],
                "model": {"name": self.architecture},
                "stages": [{**shape, "size": size, "epochs": epochs} for size, epochs in stages],
            }
        )

    def network(self, recipe: Recipe, data: RunData, arm: str) -> Network:
        """Random weights from the recipe's seed; in the arm "body" all but the head replaced."""
        network = build(recipe, len(data.parts.classes), 1, recipe.stages[0].hw)
        if arm == "body":
            missing, unexpected = network.model.load_state_dict(self.body, strict=False)
            assert not unexpected, unexpected
            assert len(missing) == 2, missing
        return network


def trained(bench: Bench, recipe: Recipe, arm: str) -> dict[str, Any]:
    """Accuracy at the final size (fp32), seconds with validation, and which answers were right."""
    data = open_run_data(bench.workspace, recipe)
    network = bench.network(recipe, data, arm)
    data.mean, data.interpolation = network.mean, network.interpolation
    data.build()
    resolved = Resolved(precision=bench.precision, threads=bench.threads)
    the_plan = plan(recipe, Facts(data=data.facts()), resolved)
    trainer = Trainer(recipe, the_plan, resolved, data, network)
    curve, seconds = [], 0.0
    for event in trainer.events():
        if isinstance(event, EpochDone):
            curve.append(round(event.accuracy, 4))
            seconds += event.seconds
    right = predicted(network, data.final()) == data.final().labels
    return {
        "accuracy": float(right.mean()),
        "by_epoch": curve,
        "seconds": round(seconds, 1),
        "pixels": the_plan.total_pixels,
        "n_train": data.n_train,
        "n_valid": len(right),
        "right": right,
    }


def linear_head(bench: Bench, recipe: Recipe, arm: str) -> dict[str, Any]:
    """Logistic regression on what the frozen body says of the plain pictures, read once.

    The random body's norm layers first take their statistics from the training pictures, or its
    activations would all but vanish: that is its best chance.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    data = open_run_data(bench.workspace, recipe)
    network = bench.network(recipe, data, arm)
    data.mean, data.interpolation = network.mean, network.interpolation
    data.build()
    since = time.perf_counter()
    parts = [data.test_pictures(data.last(), part) for part in ("train", "valid")]
    model = network.model.to(memory_format=torch.channels_last)
    if arm == "random":
        settle(model, parts[0], network)
    train, valid = (features(model, part, network) for part in parts)
    scaler = StandardScaler().fit(train)
    head = LogisticRegression(C=0.1, max_iter=1000).fit(scaler.transform(train), parts[0].labels)
    right = head.predict(scaler.transform(valid)) == parts[1].labels
    seconds = round(time.perf_counter() - since, 1)
    found = {"accuracy": float(right.mean()), "seconds": seconds, "right": right}
    return {**found, "n_train": len(train), "n_valid": len(valid)}


def batches(pictures, network: Network):
    from lab.vision.loader import Normalisation

    return pictures.batches(64, Normalisation(network.mean, network.std))


@torch.no_grad()
def settle(model: torch.nn.Module, pictures, network: Network) -> None:
    """One pass in training mode: norm layers take the pictures' mean statistics, no more."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over batches, not a running one
    model.train()
    for x, _ in batches(pictures, network):
        model(x)


@torch.no_grad()
def features(model: torch.nn.Module, pictures, network: Network) -> np.ndarray:
    """What the classifier would get: (n, features)."""
    model.eval()
    found = [
        model.forward_head(model.forward_features(x), pre_logits=True)
        for x, _ in batches(pictures, network)
    ]
    return torch.cat(found).numpy()


def transfer(bench: Bench) -> list[dict[str, Any]]:
    """Two ways to use a body, with it and without."""
    rows = []
    for data, seed, arm in product(bench.sets(), range(bench.seeds), ARMS):
        size, epochs = FINE_TUNING[data]
        ways = {
            "fine-tuning": lambda r, a: trained(bench, r, a),
            "linear head, frozen": lambda r, a: linear_head(bench, r, a),
        }
        for way, work in ways.items():
            if way == "linear head, frozen" and arm == "body" and seed:
                continue  # nothing random in it
            recipe = bench.recipe(data, ((size, epochs),), seed)
            row = {"data": data, "way": way, "arm": arm, "seed": seed, "size_px": size}
            rows.append(told({**row, "epochs": epochs, **work(recipe, arm)}))
    return rows


def sizes(bench: Bench) -> list[dict[str, Any]]:
    """Growing and fixed at equal pixels, all from the body."""
    rows = []
    for data, seed, way in product(bench.sets(), range(bench.seeds), SCHEDULES):
        recipe = bench.recipe(data, SCHEDULES[way], seed)
        row = {"data": data, "way": "from the body", "arm": way, "seed": seed}
        found = trained(bench, recipe, "body")
        rows.append(told({**row, "stages": SCHEDULES[way], **found}))
    return rows


def told(row: dict[str, Any]) -> dict[str, Any]:
    """The row, after printing what is read first."""
    print(
        f"{row['data']:7} {row['way']:20} {row['arm']:8} seed {row['seed']}"
        f" {row['accuracy']:.3f} {row['seconds']} s",
        flush=True,
    )
    return row


def compared(rows: list[dict[str, Any]], arms: tuple[str, ...]) -> list[dict[str, Any]]:
    """First arm against second by data and way: means, the paired difference, McNemar by seed."""
    found = []
    for data, way in dict.fromkeys((row["data"], row["way"]) for row in rows):
        of = {
            arm: [r for r in rows if (r["data"], r["way"], r["arm"]) == (data, way, arm)]
            for arm in arms
        }
        one, other = of[arms[0]], of[arms[1]]
        one = one * len(other) if len(one) == 1 else one  # what no seed changes counts for all
        gains = seed_difference([r["accuracy"] for r in one], [r["accuracy"] for r in other])
        tests = [error_difference(b["right"], a["right"]).p for a, b in zip(one, other)]
        words = {f"{arm} (mean of {len(of[arm])})": mean_accuracy(of[arm]) for arm in arms}
        gain = {"difference": gains.difference, "low": gains.low, "high": gains.high}
        found.append({"data": data, "way": way, **words, **gain, "mcnemar_p": tests})
    return found


def mean_accuracy(rows: list[dict[str, Any]]) -> float:
    return float(np.mean([row["accuracy"] for row in rows]))


def measure(wanted: argparse.Namespace) -> None:
    """Measure, print, write the record."""
    torch.set_num_threads(wanted.threads)
    folder = Path(wanted.body)
    facts = read_json(folder / "about.json") or about()
    weights = load_file(folder / "body.safetensors")
    body = {name: t.float() if t.is_floating_point() else t for name, t in weights.items()}
    with tempfile.TemporaryDirectory(prefix="small-body-") as place:
        bench = Bench(
            Workspace(Path(place)).create(),
            wanted.photos,
            wanted.seeds,
            facts["architecture"],
            body,
            wanted.threads,
            wanted.precision,
            wanted.data,
        )
        rows = (transfer if wanted.what == "transfer" else sizes)(bench)
    summary = compared(rows, ARMS if wanted.what == "transfer" else tuple(SCHEDULES))
    for line in summary:
        print(line)
    found = {
        "body_sha256": facts["sha256"],
        "architecture": facts["architecture"],
        "lr": LR,
        "batch": BATCH,
        "seeds": wanted.seeds,
        "threads": wanted.threads,
        "precision": wanted.precision,
        "note": "Times were taken while other work shared the 2 cores: they do not compare.",
        "summary": summary,
        "rows": [{k: v for k, v in row.items() if k != "right"} for row in rows],
    }
    photos = " --photos clothing-dataset-small.zip" if wanted.photos else ""
    command = (
        f"python -m benchmarks.small_body measure {wanted.what}{photos} --seeds {wanted.seeds} "
        f"--threads {wanted.threads} --precision {wanted.precision} --data {wanted.data}"
    )
    name = wanted.what if wanted.data == "all" else f"{wanted.what}-{wanted.data}"
    print(save(f"small-body-{name}", found, command))
