"""How accuracy grows with size on the embedded set, in both forms: one network from scratch a size.

    python -m benchmarks.leaves_by_size [--workspace DIR] [--n 1500] [--epochs 8]

Coarse classes are to be told apart at small sizes, the fine ones only at large ones: from about
96-128 px in the demo's form, from about 160-224 px in the harder one. One seed a cell: differences
of a few points mean nothing; the slope does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import save
from lab.recipe import Recipe, recipe_from
from lab.runs.events import read_events
from lab.runs.folder import RunFolder, create_run
from lab.workers.allocator import keep_large_blocks
from lab.workspace import Workspace

SIZES = (32, 48, 64, 96, 128, 160, 224)


def recipe(form: str, size: int, n: int, epochs: int) -> Recipe:
    """Fixed size, squish, flips and turns, one cycle."""
    augment = {"flip": "dihedral", "warp": 0.0}
    stage = {"size": size, "epochs": epochs, "lr": 4e-3, "batch_size": 32, "resize": "squish"}
    return recipe_from(
        {
            "name": f"{form} {size}",
            "dataset": {
                "source": "leaves",
                "leaves": {"n": n, "size_px": 256, "form": form},
                "split": {"method": "random", "valid_fraction": 0.3, "test_fraction": 0.0},
            },
            "model": {"name": "resnet10t"},
            "precision": "auto",
            "stages": [{**stage, "augment": augment}],
        }
    )


def accuracies(run: RunFolder, size: int) -> dict[str, Any]:
    """Accuracy overall and per class, from the stored predictions."""
    found = np.load(run.predictions / f"s0-{size}x{size}.npz")
    classes = run.scores(0)["model"]["classes"]
    right, target = found["probs"].argmax(1) == found["target"], found["target"]
    per_class = {name: float(right[target == k].mean()) for k, name in enumerate(classes)}
    seconds = sum(e["seconds"] for e in read_events(run) if e["kind"] == "epoch")
    return {"accuracy": float(right.mean()), "classes": per_class, "seconds": round(seconds, 1)}


def main() -> None:
    """Measure, print a table, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", default="")
    parser.add_argument("--n", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    wanted = parser.parse_args()
    keep_large_blocks()
    from lab.workers.runner import execute

    place = wanted.workspace or tempfile.mkdtemp(prefix="lab-bench-")
    workspace = Workspace(Path(place)).create()
    rows = []
    for form in ("demo", "hard"):
        for size in wanted.sizes:
            run = create_run(workspace, recipe(form, size, wanted.n, wanted.epochs))
            code = execute(workspace, run, 0, "cpu")
            assert code == 0, run.state()
            rows.append({"form": form, "size": size, **accuracies(run, size)})
            print(form, size, f"{rows[-1]['accuracy']:.3f}", f"{rows[-1]['seconds']} s", flush=True)
    command = f"python -m benchmarks.leaves_by_size --n {wanted.n} --epochs {wanted.epochs}"
    found = {"n": wanted.n, "epochs": wanted.epochs, "network": "resnet10t", "rows": rows}
    print(save("leaves-by-size", found, command), file=sys.stderr)


if __name__ == "__main__":
    main()
