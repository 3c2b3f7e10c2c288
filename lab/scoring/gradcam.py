"""Where in a picture the evidence for a class lies: Grad-CAM (Selvaraju et al. 2017) by `grad-cam`.

    place = map_layer(network.model, x)              # the last map of places; LabError without one
    evidence_map(network.model, x, place, target=3)  # float32 (h, w), 0 to 1
    spotlight(pixels, evidence)                      # the map over the picture, uint8

The library is imported only when it is needed: it takes a second, and may be missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from lab.errors import LabError

LIBRARY, PACKAGE = "pytorch_grad_cam", "grad-cam"
Pair = tuple[int, int]


@dataclass(frozen=True)
class MapLayer:
    """The module whose output is read, as channels x rows x columns, and its cells."""

    module: nn.Module
    cells: Pair  # rows, columns
    reshape: Callable[[torch.Tensor], torch.Tensor] | None = None


def demand_library() -> None:
    """LabError where the library is missing."""
    _library()


def evidence_map(model: nn.Module, x: torch.Tensor, place: MapLayer, target: int) -> np.ndarray:
    """What speaks for output `target` of one picture (1, 3, h, w): float32 (h, w), at most 1.

    Each map is scaled to its own largest value; all zero where nothing speaks for it. The model is
    in eval mode afterwards; nothing else of it changes.
    """
    library, targets = _library(), _library(".utils.model_targets")
    with _still(model), torch.enable_grad():
        seen = x.detach().clone(memory_format=torch.preserve_format).requires_grad_(True)
        with library.GradCAM(model, [place.module], reshape_transform=place.reshape) as cam:
            found = cam(seen, targets=[targets.ClassifierOutputTarget(target)])
    return np.nan_to_num(np.asarray(found[0], np.float32))


def map_layer(model: nn.Module, x: torch.Tensor) -> MapLayer:
    """Where the network last knows places, for pictures of the size of x (1, 3, h, w).

    Convolutional networks (and those with maps, such as Swin): the last map before pooling. ViTs:
    the tokens that enter the last attention block, for afterwards only the class token may count.
    LabError where there is none, or where it has a single cell.
    """
    with torch.no_grad():
        features, outputs = _features(model, x)
        if features is not None and features.ndim == 4:
            place = _of_maps(model, features, outputs)
        else:
            place = _of_tokens(model, x)
    if place is None:
        raise LabError(
            "This network keeps no map of places that Grad-CAM can read.",
            "ResNets, ConvNeXts, EfficientNets, Swins and plain ViTs do.",
        )
    if place.cells == (1, 1):
        raise LabError(
            f"At {x.shape[-2]}×{x.shape[-1]} px the last map of the network is a single cell: it "
            "has nowhere to point.",
            "Look at a larger size.",
        )
    return place


def _features(
    model: nn.Module, x: torch.Tensor
) -> tuple[torch.Tensor | None, list[tuple[nn.Module, torch.Tensor]]]:
    """What leaves the body, and every module's output on the way, in order of completion."""
    if not hasattr(model, "forward_features"):
        return None, []
    seen: list[tuple[nn.Module, torch.Tensor]] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor):
            seen.append((module, output))

    handles = [module.register_forward_hook(note) for module in model.modules()]
    try:
        features = model.forward_features(x)
    finally:
        for handle in handles:
            handle.remove()
    return (features if isinstance(features, torch.Tensor) else None), seen


def _of_maps(
    model: nn.Module, features: torch.Tensor, outputs: list[tuple[nn.Module, torch.Tensor]]
) -> MapLayer | None:
    """The last module whose output is the map: an activation in place shares its input's memory."""
    same = [module for module, output in outputs if output is features]
    alike = [module for module, output in outputs if output.shape == features.shape]
    if not same and not alike:
        return None
    module = (same or alike)[-1]
    if _channels_last(model, features):
        return MapLayer(module, (features.shape[1], features.shape[2]), _to_front)
    return MapLayer(module, (features.shape[2], features.shape[3]))


def _channels_last(model: nn.Module, features: torch.Tensor) -> bool:
    wide = getattr(model, "num_features", None)
    if wide in features.shape[1:] and features.shape[1] != features.shape[3]:
        return features.shape[3] == wide
    return str(getattr(model, "output_fmt", "NCHW")).endswith("NHWC")


def _to_front(maps: torch.Tensor) -> torch.Tensor:
    return maps.permute(0, 3, 1, 2)


def _of_tokens(model: nn.Module, x: torch.Tensor) -> MapLayer | None:
    """Tokens of a ViT: those before the patches (class token, registers) are left out."""
    blocks = getattr(model, "blocks", None)
    embed = getattr(model, "patch_embed", None) or getattr(model, "stem", None)  # stem: mixers
    patch = getattr(embed, "patch_size", None)
    if not isinstance(blocks, nn.Sequential | nn.ModuleList) or not len(blocks) or not patch:
        return None
    module = getattr(blocks[-1], "norm1", None)
    if not isinstance(module, nn.Module):
        return None
    tokens = _output_of(model, module, x)
    rows, columns = x.shape[-2] // patch[0], x.shape[-1] // patch[1]
    before = -1 if tokens is None or tokens.ndim != 3 else tokens.shape[1] - rows * columns
    if not 0 <= before <= getattr(model, "num_prefix_tokens", 0):
        return None

    def on_grid(tokens: torch.Tensor) -> torch.Tensor:
        maps = tokens[:, before:].reshape(len(tokens), rows, columns, -1)
        return maps.permute(0, 3, 1, 2)

    return MapLayer(module, (rows, columns), on_grid)


def _output_of(model: nn.Module, module: nn.Module, x: torch.Tensor) -> torch.Tensor | None:
    found: list[Any] = []
    handle = module.register_forward_hook(lambda _, __, output: found.append(output))
    try:
        model(x)
    finally:
        handle.remove()
    return found[-1] if found and isinstance(found[-1], torch.Tensor) else None


def spotlight(pixels: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Evidence over its picture: uint8 (h, w, 3); bright is much, dark is none."""
    show, cv2 = _library(".utils.image").show_cam_on_image, importlib.import_module("cv2")
    over = np.clip(evidence, 0, 1)
    return show(pixels / np.float32(255), over, True, cv2.COLORMAP_INFERNO, 0.5)


@contextmanager
def _still(model: nn.Module) -> Iterator[None]:
    """No gradients of weights: half the work, and none is left on them."""
    model.eval()
    learns = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learns:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learns:
            parameter.requires_grad_(True)


def _library(part: str = "") -> ModuleType:
    try:
        return importlib.import_module(LIBRARY + part)
    except ImportError as error:
        raise LabError(
            f"Grad-CAM needs the library {PACKAGE}, which is not installed here.",
            f"Install it: pip install {PACKAGE}",
        ) from error
