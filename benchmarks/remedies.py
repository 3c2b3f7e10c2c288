"""What the remedies for slow CPU layers are worth on whole training steps, taken in turns.

    python -m benchmarks.remedies [--networks resnet18,...] [--sizes 64,128] [--batch 32] [--wall]

Time is the processor time of one thread, the least of several turns: on a machine that others use
too it repeats within about 3 %, where wall time varies by a factor. With --wall: wall time of all
cores, for a machine that is free.

Negative results, kept with the wins in the record ("ideas"): what else was tried on whole steps and
did not pay, or pays already by the way the trainer does things (channels-last, a fused optimizer).
Tried by kernel only: all depthwise convolutions in fp32 (only three of their gradients are slow);
a Gram matrix of pixel pairs for them (loses to plain sums over pairs below 16 pixels and to oneDNN
above); products only for the weights' gradient of 4x4 maps (within 5 % of all three passes); 3x3
products above 4x4 (128 channels on 6x6: 4.3 -> 6.5 ms); fp32 products as 1x1 convolutions (MKL
again for one thread, 3x slower weights' gradients).
Tried around the step: large pages (THP_MEM_ALLOC_ENABLE), in processes of their own, four turns:
-3 to +6 %, within the noise, for 40 MB more. A thread that makes the next batch (2 threads, 2
cores, a busy machine, best of 7): mobilenetv4_conv_small at 64 px 326 -> 230, lcnet_100 at 128 px
398 -> 323 images/s: no sign that it pays; it takes cores from the step.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from benchmarks.record import save

NETWORKS = "resnet18,resnet10t,vit_tiny_patch16_224,convnext_atto,mobilenetv4_conv_small,lcnet_100"
TURNS = 4
IDEAS = ("plain", "contiguous weights", "flush denormals", "optimizer foreach", "optimizer loop",
         "zeroed gradients")  # fmt: skip


def network(name: str, size: int) -> Any:
    """A network for ten classes at a size, as the trainer has it on the CPU."""
    from lab.recipe import recipe_from
    from lab.train.model import build

    recipe = recipe_from({"name": name, "model": {"name": name}, "stages": [{"size": size}]})
    return build(recipe, n_classes=10, groups=1, size=(size, size))


def in_turns(steps: dict[str, Callable[[], None]], clock: Callable[[], float]) -> dict[str, float]:
    """Least seconds of each; the first of each is not counted."""
    for step in steps.values():
        step()
    least = dict.fromkeys(steps, float("inf"))
    for _ in range(TURNS):
        for name, step in steps.items():
            since = clock()
            step()
            least[name] = min(least[name], clock() - since)
    return least


def remedies(name: str, size: int, precision: str, batch: int, clock: Any) -> dict[str, float]:
    """Images a second: plain, with each remedy alone, with all."""
    from lab.train.remedies import apply, remedies_for
    from lab.workers.probe import Trial

    trial = Trial(network(name, size), (size, size), batch, "cpu")
    names = [remedy.name for remedy in remedies_for(trial.model, "cpu", precision)]
    setups = {"plain": [], **{one: [one] for one in names}}
    if len(names) > 1:
        setups["all"] = names

    def stepping(chosen: list[str]) -> Callable[[], None]:
        def step() -> None:
            apply(trial.model, chosen)
            trial.step(precision)

        return step

    least = in_turns({key: stepping(chosen) for key, chosen in setups.items()}, clock)
    return {key: round(batch / seconds, 1) for key, seconds in least.items()}


def ideas(name: str, size: int, precision: str, batch: int, clock: Any) -> dict[str, float]:
    """Images a second with other settings of torch, each against plain."""
    import torch

    from lab.workers.probe import Trial

    base = network(name, size)
    trials = {idea: Trial(base, (size, size), batch, "cpu") for idea in IDEAS}
    trials["contiguous weights"].model.to(memory_format=torch.contiguous_format)
    for idea, trial in trials.items():
        kind = {"optimizer foreach": {"foreach": True}, "optimizer loop": {"foreach": False}}
        options = kind.get(idea, {"fused": True})
        trial.optimizer = torch.optim.AdamW(trial.model.parameters(), lr=1e-6, **options)

    def stepping(idea: str) -> Callable[[], None]:
        def step() -> None:
            with _setting(idea):
                if idea == "zeroed gradients":
                    trials[idea].optimizer.zero_grad(set_to_none=False)
                trials[idea].step(precision, keep_gradients=idea == "zeroed gradients")

        return step

    least = in_turns({idea: stepping(idea) for idea in IDEAS}, clock)
    return {idea: round(batch / seconds, 1) for idea, seconds in least.items()}


@contextmanager
def _setting(idea: str):
    import torch

    torch.set_flush_denormal(idea == "flush denormals")
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=NETWORKS)
    parser.add_argument("--sizes", default="64,128")
    parser.add_argument("--precisions", default="fp32,bf16")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--ideas", default="resnet18,mobilenetv4_conv_small,vit_tiny_patch16_224")
    parser.add_argument("--ideas-at", type=int, default=64)
    wanted = parser.parse_args()
    from lab.workers.allocator import keep_large_blocks

    keep_large_blocks()
    import torch

    if not wanted.wall:
        torch.set_num_threads(1)
    clock = time.perf_counter if wanted.wall else time.process_time
    rows, tried = [], []
    for name in wanted.networks.split(","):
        for precision in wanted.precisions.split(","):
            for size in map(int, wanted.sizes.split(",")):
                speeds = remedies(name, size, precision, wanted.batch, clock)
                rows.append({"network": name, "size": size, "precision": precision, **speeds})
                print(name, size, precision, speeds, flush=True)
            if name in wanted.ideas.split(","):
                found = ideas(name, wanted.ideas_at, precision, wanted.batch, clock)
                tried.append({"network": name, "precision": precision, **found})
                print(name, "ideas", precision, found, flush=True)
    about = {
        "unit": "training images a second",
        "clock": "wall" if wanted.wall else "processor time of one thread",
        "threads": torch.get_num_threads(),
        "batch": wanted.batch,
        "turns": TURNS,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "ideas_size_px": wanted.ideas_at,
    }
    command = f"python -m benchmarks.remedies{' --wall' if wanted.wall else ''}"
    print(save("remedies", {**about, "rows": rows, "ideas": tried}, command))


if __name__ == "__main__":
    main()
