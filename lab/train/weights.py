"""Where a network's first weights come from: another run, a file, the lab's own small body.

start = read_file(Path("body.safetensors"), spec)
words = load_start(model, start)         # body must fit; another classifier stays out, and is named
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from lab.errors import LabError
from lab.methods.freezing import head_parameters
from lab.recipe.model import ModelSpec
from lab.train.architectures import native_px, same_architecture
from lab.train.resample import sized_tensors
from lab.train.sizes import outline_at, size_kind

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class StartWeights:
    """First weights with what belongs to them.

    `mean`, `std` per channel of inputs in 0..1, None where unknown; `size` (height, width) in
    pixels that they were trained at, None where unknown; `classes` in the order of the outputs,
    empty where unknown; `source_words` say where they are from.
    """

    tensors: dict[str, torch.Tensor] = field(repr=False)
    mean: Triple | None
    std: Triple | None
    source_words: str
    architecture: str
    size: tuple[int, int] | None = None
    classes: tuple[str, ...] = ()


def normalisation(
    spec: ModelSpec, model: nn.Module, start: StartWeights | None = None
) -> tuple[Triple, Triple]:
    """Mean and deviation per channel: what the recipe says, else what the weights expect."""
    if spec.normalise == "half":
        return HALF
    if spec.normalise == "imagenet":
        return IMAGENET
    if start is not None and start.mean and start.std:
        return start.mean, start.std
    if spec.weights == "none":
        return IMAGENET
    cfg: dict[str, Any] = model.pretrained_cfg or {}
    return tuple(cfg.get("mean") or IMAGENET[0]), tuple(cfg.get("std") or IMAGENET[1])


def load_start(model: nn.Module, start: StartWeights, classes: Sequence[str] = ()) -> str:
    """Copy the weights into a model of their architecture and size; returns words on what was done.

    The classifier stays as it is where it has another width, or where both class lists are known
    and differ. Raises LabError where the body does not fit.
    """
    own, head = model.state_dict(), _head_tensors(model)
    fits = {k for k, v in start.tensors.items() if k in own and v.shape == own[k].shape}
    same_classes = not (start.classes and classes) or tuple(start.classes) == tuple(classes)
    keeps_head = head <= fits and same_classes
    body = {k for k in own if k not in head and not k.endswith("num_batches_tracked")}
    if missing := sorted(body - fits):
        raise LabError(
            f"{start.source_words}: {len(body) - len(missing)} of the body's {len(body)} tensors "
            f"fit {_shown(model)}; {missing[0]} does not.",
            "They belong to another architecture or version of timm: change model.name.",
            where="model.weights",
        )
    taken = fits if keeps_head else fits - head
    model.load_state_dict({k: start.tensors[k] for k in taken}, strict=False)
    if keeps_head or not head:
        return start.source_words
    brought = any(k in start.tensors for k in head)
    why = "other classes" if head <= fits else "another number of classes"
    left = f"its classifier, for {why}, is left out" if brought else "its classifier is new"
    return f"{start.source_words}; {left}"


def load_weights(model: nn.Module, path: Path) -> None:
    """Weights from a safetensors file, never a pickle; a classifier of another width stays out."""
    tensors, _ = _open(path)
    load_start(model, StartWeights(tensors, None, None, path.name, _shown(model)))


def read_file(path: Path, spec: ModelSpec) -> StartWeights:
    """A safetensors file as first weights; its metadata may name architecture, mean, std, size and
    classes as JSON. Raises LabError for what is no such file and for another architecture."""
    tensors, told = _open(path)
    architecture = str(told.get("architecture") or spec.name)
    demand_architecture(spec, architecture, path.name)
    size = told.get("size")
    return StartWeights(
        tensors=tensors,
        mean=_triple(told.get("mean")),
        std=_triple(told.get("std")),
        source_words=f"the file {path.name}",
        architecture=architecture,
        size=tuple(size) if _pair(size) else guessed_size(spec.name, tensors),
        classes=tuple(told.get("classes") or ()),
    )


def small_body(spec: ModelSpec) -> StartWeights:
    """The lab's own small network. Raises LabError where the recipe names another architecture."""
    from lab.train import small_body as package

    about = package.about()
    demand_architecture(spec, about["architecture"], "the small body")
    return StartWeights(
        tensors=package.body_weights(),
        mean=_triple(about["mean"]),
        std=_triple(about["std"]),
        source_words="the lab's small body",
        architecture=about["architecture"],
    )


def demand_architecture(spec: ModelSpec, architecture: str, source: str) -> None:
    """Raises LabError where weights of one architecture are asked for another."""
    if not same_architecture(spec.name, architecture):
        raise LabError(
            f"The weights of {source} are {architecture}'s, and the recipe's network is "
            f"{spec.name}.",
            f"Set model.name to {architecture}, or model.weights to none.",
            where="model.name",
        )


def guessed_size(name: str, tensors: dict[str, torch.Tensor]) -> tuple[int, int] | None:
    """The square size whose shapes a file's tensors have; None where size leaves no trace in them.

    Tried: the native side, and what the length of a grid of positions says.
    """
    kind = size_kind(name)
    if kind in ("any", "fixed"):
        return None
    native = native_px(name)
    sides = [native, *(native + 32 * i for i in range(-6, 7)), 64, 96, 128, 160, 192, 256, 384]
    lengths = [
        (tensors[key].shape[axis.axis], axis.prefix, shape[axis.axis])
        for key, axes in (sized_tensors(name) if kind == "build" else {}).items()
        for axis in axes
        if axis.kind == "grid"
        and key in tensors
        and (shape := outline_at(name, native, native, kind).state_dict()[key].shape)
    ]
    if lengths:
        found, prefix, own = lengths[0]
        share = math.sqrt(max(found - prefix, 1) / (own - prefix))
        sides.insert(1, round(native * share))
    for side in dict.fromkeys(side for side in sides if side >= 32):
        if _shapes_fit(name, side, kind, tensors):
            return (side, side)
    return None


def _shapes_fit(name: str, side: int, kind: str, tensors: dict[str, torch.Tensor]) -> bool:
    try:
        model = outline_at(name, side, side, kind)
    except Exception:  # a side that the architecture refuses
        return False
    head = _head_tensors(model)
    shapes = {key: t.shape for key, t in model.state_dict().items() if key not in head}
    return all(key in tensors and tensors[key].shape == shape for key, shape in shapes.items())


def _open(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and metadata of a safetensors file."""
    if path.suffix != ".safetensors":
        raise LabError(
            f"{path.name} is not a safetensors file.",
            "Pickled weights are not opened: they can run code. Save them as safetensors.",
            where="model.file",
        )
    if not path.is_file():
        raise LabError(f"There is no file {path}.", "Check model.file.", where="model.file")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except Exception as error:
        raise LabError(
            f"{path} cannot be read as safetensors ({error}).",
            "It is damaged or of another kind: save it again.",
            where="model.file",
        ) from error
    told = {key: _value(text) for key, text in metadata.items()}
    own = told.pop("lab", {})  # what the lab's own runs write, under one key
    return tensors, {**told, **(own if isinstance(own, dict) else {})}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _triple(values: Any) -> Triple | None:
    good = isinstance(values, list | tuple) and len(values) == 3
    return tuple(float(v) for v in values) if good else None


def _pair(values: Any) -> bool:
    return isinstance(values, list | tuple) and len(values) == 2


def _head_tensors(model: nn.Module) -> set[str]:
    """State of the classifier: its parameters, and the buffers of modules that hold them."""
    parents = {name.rpartition(".")[0] for name in head_parameters(model)}
    return {key for key in model.state_dict() if key.rpartition(".")[0] in parents}


def _shown(model: nn.Module) -> str:
    return str((model.pretrained_cfg or {}).get("architecture") or type(model).__name__)
