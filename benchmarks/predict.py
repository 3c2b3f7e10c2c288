"""How soon one new picture is answered for through the warm helper process, and what it takes.

    python -m benchmarks.predict [--model resnet18] [--size 224] [--rounds 30]

Every picture is another one: nothing but the loaded stage is remembered. Measured from the call to
the reply (the page's own time comes on top), for a small photo, a 12 megapixel one, and with views.
The networks have random weights: their answers are nonsense, their time is not.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks.figures import load, spread
from benchmarks.record import save
from benchmarks.throughput import shown_arguments
from lab.jobs.helper_client import IDENTITY, call, helper_alive
from lab.runs.folder import RunFolder
from lab.workspace import Workspace, read_json

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from untrained import untrained_run  # noqa: E402

BAR_S = 0.3
PHOTOS = {"photo of 400 x 600": (400, 600), "photo of 3000 x 4000": (3000, 4000)}


def jpeg(height: int, width: int, seed: int) -> bytes:
    """A smooth picture with some grain, different for every seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    grain = rng.integers(-9, 10, (height, width, 1), dtype=np.int16)
    file = io.BytesIO()
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def asked(workspace: Workspace, run: RunFolder, data: bytes, tta: bool) -> float:
    """Seconds from the call to the reply for one upload, its bytes on the disk."""
    name = f"predict-bench/{time.monotonic_ns()}"
    (workspace.uploads / name).write_bytes(data)
    request = {"run": run.id, "stage": 0, "tta": tta, "pictures": [{"name": "x.jpg", "file": name}]}
    since = time.perf_counter()
    values, _ = call(workspace, "predict", request, timeout=120)
    took = time.perf_counter() - since
    assert not values["pictures"][0]["error"], values
    return took


def measured(workspace: Workspace, run: RunFolder, wanted: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the first call and of the warm ones, by kind of picture."""
    (workspace.uploads / "predict-bench").mkdir(exist_ok=True)
    found: dict[str, Any] = {}
    first = asked(workspace, run, jpeg(400, 600, 0), False)
    for name, shape in PHOTOS.items():
        for tta in (False, True):
            pictures = [jpeg(*shape, seed) for seed in range(1 + wanted.rounds)]
            times = [asked(workspace, run, data, tta) for data in pictures][1:]
            found[f"{name}{', with 3 views' if tta else ''}"] = spread(times)
    return {"cold": first, **found}


def helper_mb(workspace: Workspace) -> int:
    """Memory that the helper holds."""
    return psutil.Process(read_json(workspace.locks / IDENTITY)["pid"]).memory_info().rss >> 20


def ended(workspace: Workspace) -> None:
    """End the helper that the calls started."""
    if helper_alive(workspace):
        os.kill(read_json(workspace.locks / IDENTITY)["pid"], signal.SIGTERM)


def rows(found: dict[str, Any]) -> Sequence[str]:
    """Lines for people."""
    kinds = {name: row for name, row in found.items() if isinstance(row, dict)}
    parts = ("median", "min", "max")
    ms = {name: [f"{row[part] * 1000:.0f}" for part in parts] for name, row in kinds.items()}
    return [f"{name}: {middle} ms ({low} to {high})" for name, (middle, low, high) in ms.items()]


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--name", default="predict", help="of the record; empty for none")
    wanted = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))  # the helper outlives us otherwise
    before = load()
    with tempfile.TemporaryDirectory(prefix="lab-bench-") as folder:
        workspace = Workspace(Path(folder)).create()
        run = untrained_run(workspace, model=wanted.model, size=wanted.size, resize="crop")
        try:
            seconds, memory = measured(workspace, run, wanted), helper_mb(workspace)
        finally:
            ended(workspace)
    plain = seconds["photo of 400 x 600"]
    found = {
        "model": wanted.model, "size": wanted.size, "load_before": before, "load_after": load(),
        "seconds": seconds, "helper_mb": memory, "bar_s": BAR_S, "met": plain["median"] <= BAR_S,
    }  # fmt: skip
    print("\n".join(rows(seconds)))
    print(json.dumps({name: found[name] for name in ("model", "size", "helper_mb", "met")}))
    if wanted.name:
        words = " ".join(shown_arguments(sys.argv[1:]))
        print(save(wanted.name, found, f"python -m benchmarks.predict {words}".strip()))


if __name__ == "__main__":
    main()
