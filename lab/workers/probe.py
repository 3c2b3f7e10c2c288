"""Short trials on a copy of a network: how fast it trains, in which precision, with what memory.

    step_speed(network, (128, 128), 32, "bf16", device)       -> training images a second
    probe_precision(recipe, network, device)                  -> ("bf16", the reason with numbers)

The network that is passed in keeps its weights, buffers and device, and torch its random state.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F

from lab.recipe.model import Recipe
from lab.schedules.plan import GUESSED_BATCH, make_plan
from lab.train.memory import redo_in_smaller_parts, size_words
from lab.train.model import Network
from lab.train.precision import autocast

PROBE_BATCH = {"cpu": 16, "cuda": 64}
TURNS = {"cpu": 3, "cuda": 10}  # timed steps of each kind, one after the other
PROBE_S = 4.0  # no further turn begins after this
CLEARLY_FASTER = 1.05
KINDS = ("fp32", "bf16")

Clock = Callable[[], float]


class Trial:
    """A copy of a network with an optimizer and one made-up batch.

    size: (height, width), pixels. `learning`: names of the parameters that learn; None: all.
    """

    def __init__(
        self,
        network: Network,
        size: tuple[int, int],
        batch: int,
        device: str,
        learning: set[str] | None = None,
    ):
        trial = copy.deepcopy(network)
        trial.at_size(*size)
        self.device = device
        self.model = trial.model.to(device, memory_format=torch.channels_last).train()
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(learning is None or name in learning)
        learnt = [p for p in self.model.parameters() if p.requires_grad]
        # The rate is too small to move weights far: a long probe must not run into inf.
        self.optimizer = torch.optim.AdamW(learnt, lr=1e-6, fused=True)  # as the trainer's
        x = torch.randn(batch, 3, *size, device=device)
        self.x = x.contiguous(memory_format=torch.channels_last)
        self.y = torch.zeros(batch, dtype=torch.long, device=device)

    def step(self, precision: str, keep_gradients: bool = False) -> float:
        """One training step on the whole batch; waits until it is done. Returns the loss."""
        if not keep_gradients:
            self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, precision):
            loss = F.cross_entropy(self.model(self.x).float(), self.y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def timed(self, precision: str, clock: Clock) -> float:
        """Seconds of one step."""
        since = clock()
        self.step(precision)
        return clock() - since


@contextmanager
def same_random_state(device: str) -> Iterator[None]:
    """Whatever is drawn inside, torch's random numbers go on as if it had not been."""
    indices = [torch.device(device).index or 0] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=indices):
        yield


def race(
    network: Network,
    size: tuple[int, int],
    batch: int,
    kinds: tuple[str, ...],
    device: str,
    turns: int | None = None,
    clock: Clock = time.perf_counter,
) -> dict[str, float]:
    """Training images a second per precision: the best of several steps each, taken in turns.

    In turns, because a machine's speed drifts (by 2x on a shared one): what happens to one
    precision then happens to the other. A first step of each is not counted.
    """
    turns = turns or TURNS[_kind(device)]
    with same_random_state(device):
        trial = Trial(network, size, batch, device)
        for kind in kinds:
            trial.step(kind)
        times = in_turns(kinds, lambda kind: trial.timed(kind, clock), turns, clock)
    return {kind: batch / min(values) for kind, values in times.items()}


def in_turns(
    names: Iterable[str], timed: Callable[[str], float], turns: int, clock: Clock, fewest: int = 1
) -> dict[str, list[float]]:
    """Seconds of each, one after the other, turn by turn; no turn after `fewest` begins late."""
    times: dict[str, list[float]] = {name: [] for name in names}
    began = clock()
    for turn in range(turns):
        if turn >= fewest and clock() - began > PROBE_S:
            break
        for name, seconds in times.items():
            seconds.append(timed(name))
    return times


def step_speed(
    network: Network,
    size: tuple[int, int],
    batch: int,
    precision: str,
    device: str,
    steps: int = 3,
    clock: Clock = time.perf_counter,
) -> float:
    """Training images a second on a copy; the first of the steps is not counted."""
    return race(network, size, batch, (precision,), device, max(1, steps - 1), clock)[precision]


def forward_speed(
    network: Network,
    size: tuple[int, int],
    batch: int,
    precision: str,
    device: str,
    clock: Clock = time.perf_counter,
) -> float:
    """Validation images a second, on a copy."""
    trial = copy.deepcopy(network)
    trial.at_size(*size)
    model = trial.model.to(device, memory_format=torch.channels_last).eval()
    x = torch.zeros(batch, 3, *size, device=device).to(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode(), autocast(device, precision):
        for _ in range(3):
            since = clock()
            model(x).float().sum().item()
            times.append(clock() - since)
    return batch / min(times[1:])


def heaviest_stage(recipe: Recipe) -> int:
    """The stage with the most pixels to train on over its epochs: there a faster step pays most.

    Epochs on cached activations do not count: the body is not in their steps.
    """
    rows = make_plan(recipe, n_train=1000, groups=1).epochs
    work = [0] * len(recipe.stages)
    for row in rows:
        work[row.stage] += 0 if row.cached else row.pixels
    return work.index(max(work))


def probe_precision(
    recipe: Recipe,
    network: Network,
    device: str,
    racing: Callable[..., dict[str, float]] = race,
) -> tuple[str, str]:
    """(fp32 or bf16, the reason with the numbers), by timed steps at the heaviest stage.

    Raises LabError where memory does not take one image of it.
    """
    stage = recipe.stages[heaviest_stage(recipe)]
    wanted = GUESSED_BATCH if stage.batch_size == "auto" else stage.batch_size
    batch = min(wanted, PROBE_BATCH[_kind(device)])

    def attempt(micro: int) -> tuple[int, dict[str, float]]:
        images = max(2, math.ceil(batch / micro))  # norm layers cannot learn from one
        return images, racing(network, stage.hw, images, KINDS, device)

    at = size_words(stage.size)
    try:
        (images, speeds), _ = redo_in_smaller_parts(
            attempt, 1, batch, lambda micro: release(device), at
        )
    except RuntimeError as error:
        # An operation that has no bf16 here. Were it more, the first step in fp32 would say so.
        return "fp32", f"bf16 does not work here: {str(error).strip().splitlines()[0][:120]}"
    precision, words = faster_of(speeds)
    return precision, f"{words}; images/s in a timed probe at {at}, {images} at a time"


def faster_of(speeds: dict[str, float]) -> tuple[str, str]:
    """(precision, words) from images a second: bf16 where it is more than 5 % faster."""
    fp32, bf16 = speeds["fp32"], speeds["bf16"]
    words = f"fp32 {_rate(fp32)}, bf16 {_rate(bf16)}"
    if bf16 > CLEARLY_FASTER * fp32:
        return "bf16", words
    tie = fp32 <= CLEARLY_FASTER * bf16
    return "fp32", f"{words} (a tie within 5 % goes to fp32)" if tie else words


def _rate(speed: float) -> str:
    return f"{speed:.{2 - min(2, int(math.log10(max(1, speed))))}f}"  # three digits


def release(device: str) -> None:
    """Give back what torch keeps for later on a GPU."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def _kind(device: str) -> str:
    return "cuda" if device.startswith("cuda") else "cpu"
