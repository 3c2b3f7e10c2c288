"""Networks: timm architectures with their classes, groups, sizes and normalisation.

network = build(recipe, n_classes=10, groups=1, size=(64, 64))
network.at_size(128, 128); network.group_names()
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import nn

from lab.errors import LabError
from lab.methods.freezing import head_parameters
from lab.recipe.model import ModelSpec, Recipe

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass
class Network:
    """A timm model with what training needs to know of it."""

    model: nn.Module
    spec: ModelSpec
    n_classes: int
    groups: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"

    def at_size(self, height: int, width: int) -> None:
        """Take inputs of this size from now on. Raises LabError where the architecture refuses."""
        if not hasattr(self.model, "set_input_size"):
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.model.set_input_size(img_size=(height, width))
        except Exception as error:
            raise size_refused(self.spec.name, height, width, error) from error

    def group_names(self) -> list[list[str]]:
        """Names of the parameters of each group, body first, head last."""
        head = head_parameters(self.model)
        every = [name for name, _ in self.model.named_parameters()]
        if self.groups == 1:
            return [every]
        body = [name for name in every if name not in head]
        if self.groups == 2:
            return [body, [name for name in every if name in head]]
        early = set(_early_half(self.model))
        return [
            [name for name in body if name in early],
            [name for name in body if name not in early],
            [name for name in every if name in head],
        ]


def build(recipe: Recipe, n_classes: int, groups: int, size: tuple[int, int]) -> Network:
    """The recipe's network for so many classes, first weights from its seed.

    Raises LabError for an unknown name, weights that cannot be had, a size that is refused.
    """
    spec = recipe.model
    torch.manual_seed(recipe.seed)
    model = create(spec, n_classes, pretrained=spec.weights == "hub")
    if spec.weights == "file":
        load_weights(model, Path(spec.file))
    mean, std = normalisation(spec, model)
    cfg = model.pretrained_cfg or {}
    network = Network(
        model=model,
        spec=spec,
        n_classes=n_classes,
        groups=groups,
        mean=mean,
        std=std,
        interpolation=cfg.get("interpolation") or "bicubic",
    )
    network.at_size(*size)
    return network


def create(spec: ModelSpec, n_classes: int, pretrained: bool = False) -> nn.Module:
    """timm.create_model with errors in words."""
    known(spec.name)
    options = {"num_classes": n_classes, "drop_rate": spec.drop_rate}
    if spec.drop_path_rate:
        options["drop_path_rate"] = spec.drop_path_rate
    try:
        return timm.create_model(spec.name, pretrained=pretrained, **options)
    except TypeError as error:
        raise LabError(
            f"{spec.name} cannot be made with these options ({error}).",
            "Set model.drop_path_rate to 0.",
            where="model.drop_path_rate",
        ) from error
    except Exception as error:
        if not pretrained:
            raise
        raise LabError(
            f"The pretrained weights of {spec.name} could not be had ({type(error).__name__}).",
            "They come over the network from a hub: connect once, or set model.weights to none.",
            where="model.weights",
        ) from error


def known(name: str) -> None:
    """Raises LabError with near names where timm has no such architecture."""
    base = name.split(".")[0]
    if name.startswith(("hf-hub:", "hf_hub:", "local-dir:")) or not timm.is_model(base):
        import difflib

        near = difflib.get_close_matches(base, timm.list_models(), n=3)
        fix = f"Did you mean {', '.join(near)}?" if near else "See timm.list_models()."
        raise LabError(f"timm knows no architecture {name!r}.", fix, where="model.name")


def load_weights(model: nn.Module, path: Path) -> None:
    """Weights from a safetensors file, never a pickle; a classifier of another width stays out."""
    if path.suffix != ".safetensors":
        raise LabError(f"{path.name} is not a safetensors file.", "Pickled weights are not opened.")
    try:
        weights = load_file(path)
    except Exception as error:
        raise LabError(f"{path} cannot be read as safetensors ({error}).", "Check it.") from error
    own = model.state_dict()
    fitting = {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}
    if len(fitting) < len(own) * 0.5:
        raise LabError(
            f"{path.name} fits only {len(fitting)} of {len(own)} tensors.",
            "It belongs to another architecture: change model.name.",
            where="model.file",
        )
    model.load_state_dict(fitting, strict=False)


def normalisation(spec: ModelSpec, model: nn.Module) -> tuple[tuple, tuple]:
    """Mean and deviation per channel: what the weights expect, or what the recipe says."""
    if spec.normalise == "half":
        return HALF
    if spec.normalise == "imagenet" or spec.weights == "none":
        return IMAGENET
    cfg: dict[str, Any] = model.pretrained_cfg or {}
    return tuple(cfg.get("mean", IMAGENET[0])), tuple(cfg.get("std", IMAGENET[1]))


def check_size(model: nn.Module, name: str, height: int, width: int) -> None:
    """One forward pass on the meta device: free, and tells what the architecture refuses."""
    probe = copy.deepcopy(model).to("meta").eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            if hasattr(probe, "set_input_size"):
                probe = copy.deepcopy(model).eval()
                probe.set_input_size(img_size=(height, width))
                probe = probe.to("meta")
            probe(torch.empty(2, 3, height, width, device="meta"))
    except Exception as error:
        raise size_refused(name, height, width, error) from error


def size_refused(name: str, height: int, width: int, error: Exception) -> LabError:
    """The sentence for a size that an architecture does not take."""
    reason = (
        str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
    )
    return LabError(
        f"{name} refuses pictures of {height}×{width} px ({reason}).",
        "Choose another size, or a network that takes any size, such as resnet18.",
        where="stages",
    )


def _early_half(model: nn.Module) -> list[str]:
    """Parameters of the first half of the body's layers, by timm's own grouping."""
    matcher = model.group_matcher(coarse=True)
    layers = timm.models.group_parameters(model, group_matcher=matcher)
    head = head_parameters(model)
    body = [number for number, names in sorted(layers.items()) if not set(names) <= head]
    return [name for number in body[: max(1, len(body) // 2)] for name in layers[number]]
