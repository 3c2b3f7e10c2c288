"""Training, validation and test-time augmentation beside fastai 2.8, on a folder of photos.

    make bench-fastai DATA=photos
    .venv-bench/bin/python -m benchmarks.against_fastai --data photos [--sizes 64 128 224]

Each side lives in its own process, which sleeps while the other is measured; rounds alternate, and
the ratio is the median of the rounds' ratios. fastai runs with 0 and with 2 loader workers first;
what is quicker, measure by measure, is what the lab is compared with. Where the machine is busy,
`--cpu-seconds` gives both one thread and counts processor time (fastai then without workers).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.figures import beside, load, rounded
from benchmarks.record import save
from benchmarks.throughput import shown_arguments
from lab.workers.allocator import keep_large_blocks

MODEL = "resnet18"
BARS = {
    "train": {64: 3.0, 128: 4.0, 224: 5.0},
    "validate": dict.fromkeys((64, 128, 224), 6.0),
    "score_fp32": dict.fromkeys((64, 128, 224), 3.0),
    "tta": dict.fromkeys((64, 128, 224), 6.0),
}
MEASURES = ("train", "validate", "score_fp32", "tta", "tta_fp32")
STEPS = {64: 8, 128: 4, 224: 2}  # of a round: a few seconds on two cores
VIEWS = 4


class Side:
    """One side's process. `ask` returns images a second, or what was asked for."""

    def __init__(self, name: str, wanted: argparse.Namespace, place: str):
        argv = [sys.executable, "-m", "benchmarks.against_fastai", "--side", name]
        argv += ["--data", str(wanted.data), "--batch", str(wanted.batch), "--place", place]
        argv += ["--item-px", str(wanted.item_px)]
        argv += ["--cpu-seconds"] if wanted.cpu_seconds else []
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, what: str, size: int, **options: Any) -> Any:
        """Send an order, wait for the answer."""
        self.process.stdin.write(json.dumps({"what": what, "size": size, **options}) + "\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"The other process ended while it was asked to {what}.")
        return json.loads(answer)

    def close(self) -> None:
        """Let it end."""
        self.process.stdin.close()
        self.process.wait()


def serve(wanted: argparse.Namespace) -> None:
    """A side's process: orders on standard input, answers on standard output, one JSON each."""
    answers, sys.stdout = sys.stdout, sys.stderr
    act = lab_acts(wanted) if wanted.side == "lab" else fastai_acts(wanted)
    for line in sys.stdin:
        answers.write(json.dumps(act(**json.loads(line))) + "\n")
        answers.flush()


def lab_acts(wanted: argparse.Namespace) -> Any:
    """What the lab's process does with an order."""
    keep_large_blocks()  # as lab.worker does, before torch is imported
    from benchmarks.lab_side import LabSide
    from lab.workspace import Workspace

    workspace, sides = Workspace(Path(wanted.place)).create(), {}

    def act(what: str, size: int, n: int = 0) -> Any:
        if size not in sides:
            sides.clear()
            sides[size] = LabSide(
                wanted.data, workspace, MODEL, size, wanted.batch, **counted(wanted)
            )
        side = sides[size]
        match what:
            case "about":
                return {"precision": side.precision, "why": side.why}
            case "train":
                return side.train(n).speed
            case "validate":
                return side.validate(n, side.precision).speed
            case "score_fp32":
                return side.validate(n, "fp32").speed
            case "tta":
                return side.tta(n, VIEWS, side.precision).speed
            case "tta_fp32":
                return side.tta(n, VIEWS, "fp32").speed
        raise ValueError(what)

    return act


def fastai_acts(wanted: argparse.Namespace) -> Any:
    """What fastai's process does with an order."""
    from benchmarks.fastai_side import FastaiSide

    sides = {}

    def act(what: str, size: int, n: int = 0, workers: int = 0) -> Any:
        if (size, workers) not in sides:
            options = (wanted.batch, workers, wanted.item_px)
            sides[size, workers] = FastaiSide(wanted.data, MODEL, size, *options, **counted(wanted))
        side = sides[size, workers]
        match what:
            case "train":
                return side.train(n).speed
            case "validate" | "score_fp32":
                return side.validate(n).speed
            case "tta" | "tta_fp32":
                return side.tta(n, VIEWS).speed
        raise ValueError(what)

    return act


def counted(wanted: argparse.Namespace) -> dict[str, Any]:
    """How both sides are timed: by the clock on all cores, or one thread's processor time."""
    return {"threads": 1, "clock": time.process_time} if wanted.cpu_seconds else {}


def quicker_workers(
    fastai: Side, what: str, size: int, n: int, choices: tuple[int, ...]
) -> tuple[int, dict[str, float]]:
    """With how many loader workers fastai is quicker at this, and every speed that was tried."""
    tried = {workers: fastai.ask(what, size, n=n, workers=workers) for workers in choices}
    return max(tried, key=tried.get), {str(w): rounded(speed) for w, speed in tried.items()}


def measured(
    lab: Side, fastai: Side, size: int, wanted: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Every measure at one size, rounds in turn."""
    steps = max(1, round(STEPS.get(size, 4) * wanted.effort))
    about, workers = lab.ask("about", size), {}
    choices = (0,) if wanted.cpu_seconds else (0, 2)
    lab.ask("train", size, n=3)
    for what in wanted.measures:
        n = steps if what == "train" else wanted.images
        kind = {"score_fp32": "validate", "tta_fp32": "tta"}.get(what, what)
        if kind not in workers:
            workers[kind] = quicker_workers(fastai, kind, size, n, choices)
        ours, theirs = [], []
        for _ in range(wanted.rounds):
            ours.append(lab.ask(what, size, n=n))
            theirs.append(fastai.ask(what, size, n=n, workers=workers[kind][0]))
        bar = BARS.get(what, {}).get(size)
        row = {"what": what, "size": size, **beside(ours, theirs), "bar": bar}
        row["met"] = None if bar is None else row["ratio"]["median"] >= bar
        row |= {"lab_precision": "fp32" if what.endswith("fp32") else about["precision"]}
        row |= {"fastai_workers": workers[kind][0], "fastai_by_workers": workers[kind][1]}
        show(row)
        yield {**row, "lab_why": about["why"]}


def show(row: dict[str, Any]) -> None:
    """One line for people."""
    bar = f"(bar {row['bar']})" if row["bar"] else ""
    speeds = f"lab {row['ours']['median']:.0f}, fastai {row['theirs']['median']:.1f}"
    spread = f"{row['ratio']['min']:.2f}-{row['ratio']['max']:.2f}"
    ratio = f"{row['ratio']['median']:.2f}x {spread}"
    print(f"{row['size']:4} {row['what']:11} {speeds} images/s: {ratio} {bar}", flush=True)


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of class folders")
    parser.add_argument("--sizes", type=int, nargs="*", default=(64, 128, 224))
    parser.add_argument("--measures", nargs="*", default=MEASURES, choices=MEASURES)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=192, help="validated and augmented")
    parser.add_argument("--effort", type=float, default=1.0, help="longer or shorter rounds")
    parser.add_argument("--item-px", type=int, default=460, help="fastai's item_tfms=Resize(...)")
    parser.add_argument("--cpu-seconds", action="store_true", help="one thread, processor time")
    parser.add_argument("--name", default="against-fastai", help="of the record")
    parser.add_argument("--side", choices=("lab", "fastai"), help=argparse.SUPPRESS)
    parser.add_argument("--place", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    wanted.data = wanted.data.resolve()
    if wanted.side:
        return serve(wanted)
    about = {
        "model": MODEL,
        "batch": wanted.batch,
        "images": wanted.images,
        "views": VIEWS,
        "fastai": version("fastai"),
        "fastai_item_px": wanted.item_px,
        "clock": "one thread's processor time" if wanted.cpu_seconds else "wall",
        "load_before": load(),
    }
    command = "python -m benchmarks.against_fastai " + " ".join(shown_arguments(sys.argv[1:]))
    rows = []
    with tempfile.TemporaryDirectory(prefix="lab-bench-") as place:
        lab, fastai = Side("lab", wanted, place), Side("fastai", wanted, place)
        try:
            for size in wanted.sizes:
                for row in measured(lab, fastai, size, wanted):
                    rows.append(row)  # saved as it grows: a long measurement may be cut off
                    path = save(wanted.name, {**about, "load_after": load(), "rows": rows}, command)
        finally:
            lab.close()
            fastai.close()
    print(path, file=sys.stderr)


if __name__ == "__main__":
    main()
