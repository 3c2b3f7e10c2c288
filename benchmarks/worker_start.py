"""How soon a launched run makes its first step, and how much memory its worker holds.

    python -m benchmarks.worker_start [--model resnet18] [--size 128] [--rounds 3]

A worker is started cold, and from a spare that has imported its libraries, as the supervisor does;
data and stores are there already. Memory: the worker's against a bare process that imports the same
libraries and trains the same network on one batch in memory.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import load, spread
from benchmarks.record import save
from benchmarks.throughput import shown_arguments
from lab.jobs import workers
from lab.jobs.processes import module_argv
from lab.recipe import Recipe, recipe_from
from lab.runs.events import read_events
from lab.runs.folder import RunFolder, create_run
from lab.workers.allocator import keep_large_blocks
from lab.workspace import Workspace

POLL_S = 0.01
BARE_STEPS = 12
ALLOWED_MB = 500


def recipe_of(model: str, size: int, batch: int, epochs: int) -> Recipe:
    """A few epochs on leaves."""
    return recipe_from(
        {
            "name": "start",
            "dataset": {"source": "leaves", "leaves": {"n": 400, "size_px": 224, "form": "demo"}},
            "model": {"name": model},
            "stages": [{"size": size, "epochs": epochs, "batch_size": batch}],
        }
    )


def arguments_of(workspace: Workspace, run: RunFolder) -> list[str]:
    """What a worker is told to do."""
    return ["--workspace", str(workspace.root), "run", run.id, "--attempt", "0", "--device", "cpu"]


def cold(workspace: Workspace, run: RunFolder, log: Path) -> workers.Worker:
    """A worker from nothing."""
    argv = module_argv("lab.worker", *arguments_of(workspace, run))
    return workers.start(argv, log, polite=False)


def ready_spare(log: Path) -> workers.Spare:
    """A spare that has imported its libraries: it uses no processor any more."""
    spare = workers.Spare(module_argv("lab.worker", "--spare"), log, polite=False)
    spare.keep()
    process, before = psutil.Process(spare._worker.identity["pid"]), -1.0
    while (now := sum(process.cpu_times()[:2])) != before or now < 1.0:
        before = now
        time.sleep(1.0)
    return spare


def first_times(run: RunFolder, since: float, worker: workers.Worker) -> dict[str, float]:
    """Seconds from the launch to run_started and to the first step."""
    found: dict[str, float] = {}
    while "step" not in found:
        if worker.gone():
            raise SystemExit(f"The worker ended: {run.state()}")
        for event in read_events(run):
            if event["kind"] in ("run_started", "step"):
                found.setdefault(event["kind"], time.perf_counter() - since)
        time.sleep(POLL_S)
    return found


def launched(workspace: Workspace, recipe: Recipe, place: Path, how: str) -> dict[str, float]:
    """One launch, timed; the run is stopped after its first step."""
    run, log = create_run(workspace, recipe), place / "worker.log"
    spare = ready_spare(log) if how == "spare" else None
    since = time.perf_counter()
    if spare:
        worker = spare.take()
        workers.hand_over(worker, arguments_of(workspace, run), log)
    else:
        worker = cold(workspace, run, log)
    try:
        return first_times(run, since, worker)
    finally:
        ended(worker)


def ended(worker: workers.Worker) -> None:
    """Ask it to stop; kill it where it does not within a minute."""
    worker.stop()
    until = time.monotonic() + 60
    while not worker.gone():
        if time.monotonic() > until:
            worker.kill()
        time.sleep(POLL_S)


def memory_of(workspace: Workspace, recipe: Recipe, place: Path) -> dict[str, Any]:
    """Most memory of a worker that trains the recipe to its end, and its choices."""
    run = create_run(workspace, recipe)
    worker = cold(workspace, run, place / "worker.log")
    most = {"rss_mb": 0.0, "anonymous_mb": 0.0}
    try:
        while not worker.gone():
            for name, value in held(worker.identity["pid"]).items():
                most[name] = max(most[name], value)
            time.sleep(POLL_S)
    finally:
        ended(worker)
    assert run.state()["status"] == "finished", run.state()
    return {**most, **{k: run.resolved()["resolved"][k] for k in ("precision", "threads")}}


def held(pid: int) -> dict[str, float]:
    """Peak resident memory, and what is not mapped from files, MB. Nothing where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    kilobytes = {key: value.split()[0] for key, _, value in (line.partition(":") for line in lines)
                 if key in ("VmHWM", "RssAnon")}  # fmt: skip
    names = {"rss_mb": "VmHWM", "anonymous_mb": "RssAnon"}
    return {ours: int(kilobytes[theirs]) / 1024 for ours, theirs in names.items()
            if theirs in kilobytes}  # fmt: skip


def bare(wanted: argparse.Namespace) -> None:
    """The network's own memory: train it on one batch that is there; print the peak as JSON."""
    keep_large_blocks()
    import torch
    import torch.nn.functional as F

    from lab.train.evaluation import autocast
    from lab.train.model import build
    from lab.train.optimizer import make_optimizer

    recipe = recipe_of(wanted.model, wanted.size, wanted.batch, 1)
    network = build(recipe, 10, 1, (wanted.size, wanted.size))
    model = network.model.to(memory_format=torch.channels_last).train()
    names = {name for name, _ in model.named_parameters()}
    optimizer = make_optimizer(network, names, recipe, recipe.stages[0])
    x = torch.randn(wanted.batch, 3, wanted.size, wanted.size)
    x = x.contiguous(memory_format=torch.channels_last)
    y, most = torch.zeros(wanted.batch, dtype=torch.long), {}
    for _ in range(BARE_STEPS):
        with autocast("cpu", wanted.precision):
            loss = F.cross_entropy(model(x).float(), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        now = held(psutil.Process().pid)
        most = {name: max(value, most.get(name, 0.0)) for name, value in now.items()}
    print(json.dumps(most))


def memory(workspace: Workspace, wanted: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Worker against bare process."""
    recipe = recipe_of(wanted.model, wanted.size, wanted.batch, 2)
    worker = memory_of(workspace, recipe, place)
    argv = [sys.executable, "-m", "benchmarks.worker_start", "--bare"]
    argv += ["--model", wanted.model, "--size", str(wanted.size), "--batch", str(wanted.batch)]
    argv += ["--precision", worker["precision"]]
    own = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    batch_mb = wanted.batch * 3 * wanted.size**2 * 4 / 2**20
    above = {name: round(worker[name] - own[name]) for name in ("rss_mb", "anonymous_mb")}
    return {
        "worker": {k: round(v) if isinstance(v, float) else v for k, v in worker.items()},
        "network_alone": {name: round(value) for name, value in own.items()},
        "above": above,
        "allowed_mb": round(ALLOWED_MB + batch_mb),
        "met": above["rss_mb"] <= ALLOWED_MB + batch_mb,
    }


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", default="worker-start", help="of the record")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="fp32", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.bare:
        return bare(wanted)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))  # workers outlive us otherwise
    before = load()
    with tempfile.TemporaryDirectory(prefix="lab-bench-") as folder:
        place = Path(folder)
        workspace = Workspace(place / "workspace").create()
        recipe = recipe_of(wanted.model, wanted.size, wanted.batch, 50)
        launched(workspace, recipe, place, "cold")  # draws the leaves, builds the stores
        times = {"cold": [], "spare": []}
        for _ in range(wanted.rounds):
            for how, found in times.items():
                found.append(launched(workspace, recipe, place, how))
        remembered = memory(workspace, wanted, place)
    found = {
        "model": wanted.model,
        "size": wanted.size,
        "batch": wanted.batch,
        "load_before": before,
        "load_after": load(),
        "seconds_to": {
            how: {kind: spread([row[kind] for row in rows]) for kind in ("run_started", "step")}
            for how, rows in times.items()
        },
        "memory": remembered,
    }
    print(json.dumps({name: found[name] for name in ("seconds_to", "memory")}, indent=1))
    command = "python -m benchmarks.worker_start " + " ".join(shown_arguments(sys.argv[1:]))
    print(save(wanted.name, found, command.strip()), file=sys.stderr)


if __name__ == "__main__":
    main()
