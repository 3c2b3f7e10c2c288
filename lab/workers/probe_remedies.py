"""Which remedies for slow layers a run gets: those that the clock says pay, on a copy.

    names, reason = probe_remedies(network, (64, 64), 32, "bf16", "cpu")
    precision, reason = probe_precision(recipe, network, device, racing=race_with_remedies)

The network that is passed in keeps its weights, buffers and layers, and torch its random state.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lab.train.model import Network
from lab.train.remedies import apply, remedies_for
from lab.workers.probe import CLEARLY_FASTER, PROBE_S, TURNS, Trial, same_random_state

PLAIN = "plain"
Clock = Callable[[], float]


def probe_remedies(
    network: Network,
    size: tuple[int, int],
    batch: int,
    precision: str,
    device: str,
    clock: Clock = time.perf_counter,
) -> tuple[list[str], str]:
    """(names of those that make the whole step at least 5 % faster, the reason with the numbers).

    size: (height, width), pixels. One remedy that pays at one size and does nothing at another
    can stay in for both: each looks at its map at every call.
    """
    candidates = [r.name for r in remedies_for(network.model, device, precision)]
    if not candidates:
        return [], "none is known for this network on this device"
    setups = {PLAIN: (precision, []), **{name: (precision, [name]) for name in candidates}}
    speeds = race_setups(network, size, batch, setups, device, clock=clock)
    kept = worth_it(speeds)
    words = [f"{PLAIN} {speeds[PLAIN]:.1f}"]
    for name in candidates:
        found = f"{speeds[name]:.1f}" if name in speeds else "does not work here"
        words.append(f"{name} {found}{'' if name in kept else ' (left out)'}")
    at = f"{size[0]}×{size[1]} px, {batch} at a time"
    return kept, f"{', '.join(words)}; images/s in a timed probe at {at}"


def worth_it(speeds: dict[str, float]) -> list[str]:
    """Names whose images a second are at least 5 % above "plain", in their order."""
    floor = CLEARLY_FASTER * speeds[PLAIN]
    return [name for name, speed in speeds.items() if name != PLAIN and speed >= floor]


def race_with_remedies(
    network: Network,
    size: tuple[int, int],
    batch: int,
    kinds: tuple[str, ...],
    device: str,
    turns: int | None = None,
    clock: Clock = time.perf_counter,
) -> dict[str, float]:
    """Images a second per precision, each with the remedies there are for it: what a run would get.

    Without them bf16 looks slow where only one of its kernels is (mobilenetv4_conv_small at 64 px,
    one core of a Zen 5: fp32 505, bf16 281; with remedies 615 and 722).
    """
    setups = {k: (k, [r.name for r in remedies_for(network.model, device, k)]) for k in kinds}
    speeds = race_setups(network, size, batch, setups, device, turns, clock)
    missing = [kind for kind in kinds if kind not in speeds]
    if missing:
        raise RuntimeError(f"{missing[0]} steps fail")
    return speeds


def race_setups(
    network: Network,
    size: tuple[int, int],
    batch: int,
    setups: dict[str, tuple[str, list[str]]],
    device: str,
    turns: int | None = None,
    clock: Clock = time.perf_counter,
) -> dict[str, float]:
    """Training images a second of each (precision, remedies), the best of steps taken in turns.

    A setup with remedies that fails is left out; any other failure is raised.
    """
    turns = turns or TURNS[device.split(":")[0]]
    with same_random_state(device):
        trial = Trial(network, size, batch, device)
        able = {name: setup for name, setup in setups.items() if _works(trial, *setup)}
        times: dict[str, list[float]] = {name: [] for name in able}
        began = clock()
        for turn in range(turns):
            if turn >= 2 and clock() - began > PROBE_S:
                break
            for name, (precision, remedies) in able.items():
                apply(trial.model, remedies)
                times[name].append(trial.timed(precision, clock))
    return {name: batch / min(values) for name, values in times.items()}


def _works(trial: Trial, precision: str, remedies: list[str]) -> bool:
    """A first step, not counted."""
    apply(trial.model, remedies)
    try:
        trial.step(precision)
    except (RuntimeError, TypeError, AttributeError):
        if not remedies:
            raise
        return False
    return True
