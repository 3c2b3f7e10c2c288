"""Training images a second, per network and size, as a share of what the network alone allows.

    python -m benchmarks.throughput [--data photos] [--models resnet18 ...] [--device cuda]

The limit is forward, backward and optimizer step on one batch that lies in memory, in the run's
precision and memory format, timed in turn with the Trainer in the same process. What is missing
from 1 is the lab's: gathering, warping, light, rates, bookkeeping. Where the machine is busy,
`--cpu-seconds` counts one thread's processor time instead of the clock's.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import beside, load
from benchmarks.record import save
from lab.workers.allocator import keep_large_blocks
from lab.workspace import Workspace

MODELS = (
    "resnet18",
    "resnet10t",
    "mobilenetv4_conv_small",
    "lcnet_100",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "test_convnext",
)
SIZES = (64, 128)
MORE = {"resnet18": (224,)}
BAR = 0.90


def measured(model: str, size: int, wanted: argparse.Namespace, workspace: Workspace) -> dict:
    """One network at one size: the Trainer and the limit in turn."""
    from benchmarks.lab_side import LabSide, Limit, steps_for

    clock = time.process_time if wanted.cpu_seconds else time.perf_counter
    threads = 1 if wanted.cpu_seconds else wanted.threads
    side = LabSide(
        wanted.data, workspace, model, size, wanted.batch, wanted.device, wanted.precision,
        threads=threads, clock=clock,
    )  # fmt: skip
    steps = steps_for(side.train, wanted.seconds)
    limit = Limit(side)
    limit.train(2)
    ours, theirs = [], []
    for _ in range(wanted.rounds):
        ours.append(side.train(steps).speed)
        theirs.append(limit.train(steps).speed)
    found = beside(ours, theirs)
    row = {
        "model": model,
        "size": size,
        "lab": found["ours"],
        "limit": found["theirs"],
        "share": found["ratio"],
        "met": found["ratio"]["median"] >= BAR,
        "precision": side.precision,
        "remedies": side.remedies,
        "why": side.why,
        "steps": steps,
    }
    show(row)
    return row


def show(row: dict[str, Any]) -> None:
    """One line for people."""
    share = row["share"]
    print(
        f"{row['model']:24} {row['size']:4} {row['precision']} lab {row['lab']['median']:7.1f} "
        f"limit {row['limit']['median']:7.1f} images/s: share {share['median']:.2f} "
        f"({share['min']:.2f}-{share['max']:.2f})",
        flush=True,
    )


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="class folders; without, leaves are drawn")
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--sizes", type=int, nargs="*", help="instead of 64, 128 (resnet18: 224)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each turn, about")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--cpu-seconds", action="store_true", help="one thread, processor time")
    parser.add_argument("--name", default="throughput", help="of the record")
    wanted = parser.parse_args()
    keep_large_blocks()
    about = {
        "batch": wanted.batch,
        "device": wanted.device,
        "clock": "one thread's processor time" if wanted.cpu_seconds else "wall",
        "bar": BAR,
        "load_before": load(),
    }
    command = "python -m benchmarks.throughput " + " ".join(shown_arguments(sys.argv[1:]))
    rows = []
    with tempfile.TemporaryDirectory(prefix="lab-bench-") as place:
        workspace = Workspace(Path(place)).create()
        for model in wanted.models:
            for size in wanted.sizes or (*SIZES, *MORE.get(model, ())):
                rows.append(measured(model, size, wanted, workspace))
                found = {**about, "load_after": load(), "rows": rows}
                path = save(wanted.name, found, command.strip())  # as it grows
                gc.collect()
    print(path, file=sys.stderr)


def shown_arguments(arguments: list[str]) -> list[str]:
    """As typed, folders by their last name: a record is no place for paths."""
    return [Path(part).name if "/" in part else part for part in arguments]


if __name__ == "__main__":
    main()
