"""Memory that runs out: the same batch again in smaller parts, and estimates before it happens.

    parts_of(64, micro=2)                                  -> [slice(0, 32), slice(32, 64)]
    loss, micro = redo_in_smaller_parts(attempt, micro=1, batch=64, on_shrink=...)
    estimate_mb(network, (224, 224), 64, "fp32")           -> about 1700

`micro` is always a number of parts that a batch is cut into; 1 is the whole batch at once.
"""

from __future__ import annotations

import copy
import math
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import psutil
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from lab.errors import LabError
from lab.methods.freezing import is_norm
from lab.recipe.facts import ModelFacts
from lab.recipe.stage import hw as as_hw
from lab.train.model import Network

T = TypeVar("T")
Size = int | tuple[int, int]
MB = 2**20

# What torch says with a plain RuntimeError. oneDNN's last word is all it says where it gets no
# memory for a convolution (seen under an address limit); an operation that it lacks is called a
# "primitive descriptor" instead.
RAN_OUT = ("can't allocate memory", "CUDA out of memory", "could not create a primitive\n")

HALVED = 0.65  # activations in bf16 or fp16 over fp32: norms, copies and weight casts stay
LARGEST = 3  # beside what is kept, backward holds about three tensors of the largest layer's size
DENSE_MB, DEPTHWISE_MB = 30.0, 66.0  # an image's activations over sqrt(GMACs); see _facts_footprint


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: on a GPU, in torch's CPU allocator, in oneDNN, or in Python."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in f"{error}\n" for words in RAN_OUT)


class NormGuard:
    """Keeps the norm layers' running statistics, so that a batch can be taken a second time.

    `save` before a step, `put_back` where the step did not come to its end. The copies are made
    once: a save is one copy per kind of number (0.06 ms for a resnet18 on a CPU).
    """

    def __init__(self, model: nn.Module):
        self._places = [
            (module, name)
            for module in model.modules()
            if is_norm(module)
            for name, _ in module.named_buffers(recurse=False)
        ]
        self._kept = [torch.empty_like(buffer) for buffer in self._live()]

    def save(self) -> None:
        """Keep the statistics of now."""
        _copy_all(self._kept, self._live())

    def put_back(self) -> None:
        """The statistics as they were at the last `save`, bit for bit."""
        _copy_all(self._live(), self._kept)

    def _live(self) -> list[torch.Tensor]:
        """Looked up anew each time: moving a model to a device replaces its buffers."""
        return [getattr(module, name) for module, name in self._places]


@torch.no_grad()
def _copy_all(into: list[torch.Tensor], source: list[torch.Tensor]) -> None:
    """One call per dtype: mixed lists would fall back to a launch per tensor on a GPU."""
    for dtype in {tensor.dtype for tensor in into}:
        pairs = [(a, b) for a, b in zip(into, source) if a.dtype == dtype]
        torch._foreach_copy_([a for a, _ in pairs], [b for _, b in pairs])


def parts_of(n: int, micro: int, batch: int = 0) -> list[slice]:
    """n images as parts in order, sizes as even as possible.

    `batch`: the full batch that `micro` was found for (0: n itself); a shorter last batch comes in
    parts no larger than that batch's, so mostly in fewer. A part of one image, from which a norm
    layer cannot learn, only where every part of the full batch is one image.
    """
    largest = math.ceil(max(n, batch) / max(1, micro))
    parts = math.ceil(n / largest)
    if largest > 1:
        parts = min(parts, max(1, n // 2))
    small, longer = divmod(n, parts)
    starts = [part * small + min(part, longer) for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(starts)]


def redo_in_smaller_parts(
    attempt: Callable[[int], T],
    micro: int,
    batch: int,
    on_shrink: Callable[[int], None],
    at: str = "",
) -> tuple[T, int]:
    """`attempt(micro)`, again with twice the parts each time memory runs out.

    `on_shrink(micro)`, before each new attempt, makes good what the last one left behind:
    gradients, norm buffers, random state, the allocator's cache. Returns what the attempt gave, and
    the parts it took. Raises LabError where parts of one image are too large as well; any other
    error as it is. `at`: a size for the words, such as "224 px".
    """
    while True:
        try:
            return attempt(micro), micro
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # The failed attempt's frames hold its tensors: they must go before the next one.
            traceback.clear_frames(error.__traceback__)
        if micro >= batch:
            raise out_of_memory(at)
        micro = min(2 * micro, batch)
        on_shrink(micro)


def out_of_memory(at: str = "") -> LabError:
    """The sentence for memory that does not take a single image."""
    where = f" at {at}" if at else ""
    return LabError(
        f"Memory ran out{where} even with one image at a time.",
        "Lower the size of the stage, choose a smaller network, or free memory on the device.",
        where="stages",
    )


def shrink_words(size: Size | str, batch: int, micro: int, has_batch_norm: bool) -> str:
    """The warning when a batch is cut: what stays as it was, and what does not."""
    largest = max(part.stop - part.start for part in parts_of(batch, micro))
    parts = len(parts_of(batch, micro))
    even = batch % parts == 0
    effect = (
        f"Gradients keep the effective batch; norm layers see {'' if even else 'at most '}"
        f"{largest} image{'s' if largest > 1 else ''} at a time."
        if has_batch_norm
        else "Gradients keep the effective batch, and no layer of this network looks across images."
    )
    return (
        f"Memory ran out at {size_words(size)}: the batch of {batch} is now taken in {parts} "
        f"parts. {effect}"
    )


def size_words(size: Size | str) -> str:
    """`224 px` or `256×192 px`."""
    if isinstance(size, str):
        return f"{size} px"
    height, width = as_hw(size)
    return f"{height} px" if height == width else f"{height}×{width} px"


def has_batch_norm(model: nn.Module) -> bool:
    """Whether any layer's output depends on the other images of the batch."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())


@dataclass(frozen=True)
class Footprint:
    """Memory of training in MiB: what is there whatever the batch, and what each image adds."""

    fixed_mb: float
    image_mb: float

    def mb(self, batch: int) -> float:
        """At a peak of the step, for so many images at once."""
        return self.fixed_mb + self.image_mb * batch

    def most(self, free_mb: float) -> int:
        """The most images at once that this much memory takes; 0 where it takes none."""
        return max(0, math.floor((free_mb - self.fixed_mb) / self.image_mb))


def estimate_mb(what: Network | ModelFacts, hw: Size, batch: int, precision: str) -> float:
    """MiB that a training step with AdamW needs at its peak, beyond the program itself.

    A network is asked by a forward pass without memory (the meta device, about 0.1 s): weights,
    gradients and AdamW's two moments (16 bytes a parameter), every tensor that autograd keeps for
    backward, and three times the largest of them for the gradients in flight. bf16 and fp16 count
    0.65 of the activations. On a CPU 0.75 to 0.97 of the measured peak (resnet18 and test_convnext
    at two sizes each, fp32 and bf16). From facts alone, rougher: see _facts_footprint.
    """
    return footprint(what, hw, precision).mb(batch)


def footprint(
    what: Network | ModelFacts, hw: Size, precision: str, learning: set[str] | None = None
) -> Footprint:
    """What estimate_mb is made of. `learning`: the parameters that learn; None: all."""
    height, width = as_hw(hw)
    if isinstance(what, ModelFacts):
        return _facts_footprint(what, height, width, precision)
    model = _weightless(what, height, width, learning)
    image_mb = kept_mb(model, height, width)
    params = list(model.parameters())
    learnt = sum(p.numel() for p in params if p.requires_grad)
    fixed = 4 * sum(p.numel() for p in params) + 12 * learnt
    return Footprint(fixed / MB, image_mb * (HALVED if precision != "fp32" else 1.0))


def kept_mb(model: nn.Module, height: int, width: int) -> float:
    """MiB per image of what autograd keeps of a forward pass in training mode, each storage once,
    and three times its largest part. The model is on the meta device."""
    own = {p.untyped_storage()._cdata for p in (*model.parameters(), *model.buffers())}
    found: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        found[tensor.untyped_storage()._cdata] = tensor  # held, or its number would be used again
        return tensor

    x = torch.empty(2, 3, height, width, device="meta")
    with saved_tensors_hooks(keep, lambda tensor: tensor), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model(x)
    sizes = [t.untyped_storage().nbytes() for key, t in found.items() if key not in own]
    return (sum(sizes) + LARGEST * max(sizes, default=0)) / len(x) / MB


def _weightless(network: Network, height: int, width: int, learning: set[str] | None) -> nn.Module:
    """A copy at this size on the meta device, in training mode."""
    trial = copy.deepcopy(network)
    trial.at_size(height, width)
    model = trial.model.to("meta").train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(learning is None or name in learning)
    return model


def _facts_footprint(facts: ModelFacts, height: int, width: int, precision: str) -> Footprint:
    """From multiply-adds and parameters, no torch needed.

    Activations of one image at the native size are about 30 MiB * sqrt(GMACs), 66 where there are
    depthwise convolutions: a fit to the 27 shipped architectures, right within a factor of 2.4 (at
    worst 2.4 too low for efficientnet_b0, 1.8 too high for test_convnext).
    """
    scale = DEPTHWISE_MB if facts.depthwise else DENSE_MB
    share = height * width / facts.native_px**2
    image = scale * math.sqrt(facts.gmacs_at_native) * share
    return Footprint(16 * facts.params / MB, image * (HALVED if precision != "fp32" else 1.0))


def free_mb(device: str) -> float:
    """MiB that this process may still take on a device, under a container's limit too."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (free + held) / MB
    return min(psutil.virtual_memory().available / MB, container_free_mb())


def container_free_mb(groups: Path = Path("/sys/fs/cgroup")) -> float:
    """MiB below the control group's limit (version 2, then 1); infinite where there is none."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most, now = (int((groups / name).read_text()) for name in (limit, used))
        except (OSError, ValueError):  # not there, or "max"
            continue
        # The page cache counts as used and would be given up, stores being memory-mapped files.
        return max(0.0, (most - now + _cached_bytes((groups / limit).parent)) / MB)
    return math.inf


def _cached_bytes(group: Path) -> int:
    """Bytes of files in memory that the kernel can drop."""
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    values = dict(line.split() for line in lines)
    return int(values.get("inactive_file", 0)) + int(values.get("active_file", 0))
