"""What the decode cache costs: stores built from photos, and smaller ones derived from larger.

    python -m benchmarks.stores --data photos [--images 1000]

Every picture is decoded once in full by one thread, which is the yardstick: a set's first epoch may
cost that, divided by the cores, and a tenth more. A second yardstick is what a loader without a
store does each epoch: decode and resize to 128 px. Then the stores of a 64-96-128 px run and of one
at 224 px are built by all cores, and a smaller train store is derived. Speeds per core count
processor seconds, so that other work on the machine does not spoil them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import load, rounded, spread
from benchmarks.record import save
from benchmarks.throughput import shown_arguments
from lab.data.catalog import import_path
from lab.data.dataset import Dataset
from lab.data.images import open_rgb
from lab.data.parallel import cores
from lab.data.store_build import StoreRequest
from lab.data.stores import build_stores, train_requests
from lab.data.transform import TestTransform
from lab.workspace import Workspace

BAR = 1.10
DECODE, RESIZE = "decode, one thread", "decode and resize, one"


def timed(act: Callable[[], Any]) -> dict[str, float]:
    """Seconds by the clock, and of processor time in all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def decode(dataset: Dataset, items: np.ndarray) -> None:
    """Every picture in full, upright and RGB, by this thread alone."""
    for item in items.tolist():
        open_rgb(dataset.path(item)).load()


def decode_and_resize(dataset: Dataset, items: np.ndarray) -> None:
    """What a loader that keeps nothing does in every epoch, before any augmentation."""
    transform = TestTransform(128, 128)
    for item in items.tolist():
        transform.apply(open_rgb(dataset.path(item)))


def requests_of(train: np.ndarray, valid: np.ndarray, sizes: tuple[int, ...]) -> list[StoreRequest]:
    """The stores of a run at these sizes: presized by a quarter, one test store a size."""
    tests = [StoreRequest(valid, transform=TestTransform(size, size)) for size in sizes]
    return [*train_requests(train, [size * 5 // 4 for size in sizes]), *tests]


def measured(dataset: Dataset, n: int, place: Path) -> dict[str, dict[str, float]]:
    """One round: decode, both builds, one derived store."""
    items = np.linspace(0, len(dataset) - 1, min(n, len(dataset))).astype(np.int32)
    valid, train = items[::10], np.delete(items, np.s_[::10])
    grown, large = (Workspace(place / name).create() for name in ("grown", "large"))
    small = StoreRequest(train, presize_px=160, derive_from_px=280)
    found = {
        DECODE: timed(lambda: decode(dataset, items)),
        RESIZE: timed(lambda: decode_and_resize(dataset, items)),
    }
    for workspace, sizes in ((grown, (64, 96, 128)), (large, (224,))):
        requests = requests_of(train, valid, sizes)
        title = "stores of " + "-".join(map(str, sizes)) + " px"
        found[title] = timed(lambda w=workspace, r=requests: build_stores(w, dataset, r))
    found["160 px derived from 280"] = timed(lambda: build_stores(large, dataset, [small]))
    counts = {"160 px derived from 280": len(train)}
    return {name: {**row, "images": counts.get(name, len(items))} for name, row in found.items()}


def summary(rounds: list[dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """Per kind of work: speeds, and the cost against decoding once on all cores."""
    rows = []
    for name in rounds[0]:
        mine = [found[name] for found in rounds]
        cpu, whole = (
            [row["cpu"] / found[base]["cpu"] for row, found in zip(mine, rounds)]
            for base in (DECODE, RESIZE)
        )
        wall = [row["wall"] * cores() / found[DECODE]["wall"] for row, found in zip(mine, rounds)]
        row = {
            "what": name,
            "images": mine[0]["images"],
            "images_per_s": spread([row["images"] / row["wall"] for row in mine]),
            "images_per_core_s": spread([row["images"] / row["cpu"] for row in mine]),
        }
        if name.startswith("stores"):
            row |= {"over_decoding": spread(cpu), "over_decode_and_resize": spread(whole)}
            row |= {"over_decoding_by_the_clock": spread(wall)}
            row["met"] = row["over_decoding"]["median"] <= BAR
        rows.append(row)
    return rows


def show(row: dict[str, Any]) -> None:
    """One line for people."""
    line = f"{row['what']:26} {row['images_per_s']['median']:7.0f} images/s, "
    line += f"{row['images_per_core_s']['median']:7.0f} per core"
    if "met" in row:
        line += f"; {row['over_decoding']['median']:.2f} times decoding in full"
        line += f", {row['over_decode_and_resize']['median']:.2f} times with a resize"
    print(line, flush=True)


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of class folders")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", default="stores", help="of the record")
    wanted = parser.parse_args()
    before = load()
    with tempfile.TemporaryDirectory(prefix="lab-bench-") as folder:
        place = Path(folder)
        workspace = Workspace(place / "import").create()
        kept: list[Dataset] = []
        reading = timed(lambda: kept.append(import_path(workspace, wanted.data)))
        (dataset,) = kept
        rounds = [
            measured(dataset, wanted.images, place / str(number)) for number in range(wanted.rounds)
        ]
    rows = summary(rounds)
    for row in rows:
        show(row)
    found = {
        "cores": cores(),
        "pictures": len(dataset),
        "import": {
            "seconds": rounded(reading["wall"]),
            "images_per_core_s": rounded(len(dataset) / reading["cpu"]),
        },
        "bar": BAR,
        "load_before": before,
        "load_after": load(),
        "rows": rows,
    }
    command = "python -m benchmarks.stores " + " ".join(shown_arguments(sys.argv[1:]))
    print(save(wanted.name, found, command), file=sys.stderr)


if __name__ == "__main__":
    main()
