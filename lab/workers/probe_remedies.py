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
from lab.workers.probe import CLEARLY_FASTER, TURNS, Trial, in_turns, same_random_state

PLAIN, ALL = "plain", "all"
Clock = Callable[[], float]


def probe_remedies(
    network: Network,
    size: tuple[int, int],
    batch: int,
    precision: str,
    device: str,
    clock: Clock = time.perf_counter,
) -> tuple[list[str], str]:
    """(names of those worth at least 5 % of the whole step's speed, the reason with the numbers).

    size: (height, width), pixels. What one is worth is what its absence costs the others: beside a
    slow layer that another one mends it would look small (small-maps in mobilenetv4_conv_small,
    bf16, 64 px: 275 -> 279 alone, 660 -> 758 images/s on top of depthwise).
    """
    candidates = [r.name for r in remedies_for(network.model, device, precision)]
    if not candidates:
        return [], "none is known for this network on this device"
    speeds = race_setups(
        network, size, batch, setups_of(candidates, precision), device, clock=clock
    )
    at = f"{size[0]}×{size[1]} px, {batch} at a time"
    if ALL not in speeds:
        return [], f"a step with {', '.join(candidates)} does not work here, at {at}"
    kept = worth_it(speeds, candidates)
    words = ", ".join(f"{name} {speed:.1f}" for name, speed in speeds.items())
    return kept, f"{words}; images/s in a timed probe at {at}"


def setups_of(candidates: list[str], precision: str) -> dict[str, tuple[str, list[str]]]:
    """What to race: plain, all, and all without each where there are several."""
    setups = {PLAIN: (precision, []), ALL: (precision, candidates)}
    if len(candidates) > 1:
        for name in candidates:
            setups[without(name)] = (precision, [other for other in candidates if other != name])
    return setups


def without(name: str) -> str:
    """The name of the setup that lacks one remedy."""
    return f"without {name}"


def worth_it(speeds: dict[str, float], candidates: list[str]) -> list[str]:
    """Those without which the step is slower by 5 % or more; the only one against plain."""
    return [
        name
        for name in candidates
        if speeds[ALL] >= CLEARLY_FASTER * speeds.get(without(name), speeds[PLAIN])
    ]


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

        def timed(name: str) -> float:
            precision, remedies = able[name]
            apply(trial.model, remedies)
            return trial.timed(precision, clock)

        times = in_turns(able, timed, turns, clock, fewest=2)
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
