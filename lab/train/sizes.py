"""Which input sizes an architecture takes, and how: found by forward passes on the meta device.

size_kind("resnet18")                    # any | set (set_input_size) | build (img_size) | fixed
check_size(network, "resnet18", 128, 96) # LabError in words where it is refused
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from itertools import islice
from typing import Any

import torch
from torch import nn

from lab.errors import LabError
from lab.recipe.models import shipped_model_facts
from lab.train.architectures import native_px, outline, outline_set_to
from lab.train.resample import carried

PROBES = (16, 24, 32, 48, 64, 96, 128)  # px
USUAL = (128, 96, 64, 160, 192, 256, 384)
BATCH = 2


def size_kind(name: str) -> str:
    """How an architecture takes sizes: from the shipped table, else by a probe (0.1 to 1 s)."""
    facts = shipped_model_facts(name)
    return facts.sizes if facts else probe_kind(name)


@lru_cache(maxsize=256)
def probe_kind(name: str) -> str:
    """`set`: by set_input_size; `any`: as it is; `build`: by `img_size`; `fixed`: its own only.

    In this order: timm refuses to export a network that has set_input_size at a size never set.

    `fixed_input_size` in timm's configuration is over-cautious, so nothing but a pass counts; two
    passes, for one map of 1×1 broadcasts over any position embedding (pit, volo at 16 px).
    """
    can_set = hasattr(outline(name), "set_input_size")
    for kind in ("set", "any", "build") if can_set else ("any", "build"):
        others = (side for side in USUAL if side != native_px(name))
        passed = (side for side in others if refusal(name, side, side, kind) is None)
        if len(list(islice(passed, 2))) == 2:
            return kind
    return "fixed"


@lru_cache(maxsize=1024)
def refusal(name: str, height: int, width: int, kind: str) -> str | None:
    """Why an architecture refuses a size, in timm's words; None where a forward pass goes through.

    Any failure is a refusal: timm raises everything from AssertionError to IndexError.
    """
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            model = outline_at(name, height, width, kind)
            model(torch.empty(BATCH, 3, height, width, device="meta"))
    except LabError:
        raise
    except Exception as error:
        said = str(error).strip()
        return said.splitlines()[0][:160] if said else type(error).__name__
    return None


def outline_at(name: str, height: int, width: int, kind: str) -> nn.Module:
    """The outline at a size, taken the way that `kind` says."""
    if kind == "set":
        return outline_set_to(name, height, width)
    own = (native_px(name),) * 2
    return outline(name, (height, width) if kind == "build" and (height, width) != own else None)


def check_size(network: Any, name: str, height: int, width: int) -> None:
    """Raises LabError where an architecture refuses a size. Costs no memory; a second look is free.

    `network`: a Network or its model. A Network built for one size is also asked whether its
    weights can be carried to the other.
    """
    kind = size_kind(name)
    if reason := refusal(name, height, width, kind):
        raise size_refused(name, height, width, reason)
    size = getattr(network, "size", None)
    if kind == "build" and isinstance(size, tuple) and size != (height, width):
        target = outline_at(name, height, width, kind)
        carried(name, outline_at(name, *size, kind).state_dict(), size, target, (height, width))


def size_refused(name: str, height: int, width: int, reason: str) -> LabError:
    """The sentence for a size that an architecture does not take."""
    if size_kind(name) == "fixed":
        side = native_px(name)
        return LabError(
            f"{name} is made for {side}×{side} px and refuses {height}×{width} px ({reason}).",
            f"Set every size to {side}, or choose a network that takes any, such as resnet18.",
            where="stages",
        )
    return LabError(
        f"{name} refuses pictures of {height}×{width} px ({reason}).",
        "Choose another size, or a network that takes any size, such as resnet18.",
        where="stages",
    )
