"""Networks: timm architectures with their classes, groups, sizes and normalisation.

network = build(recipe, n_classes=10, groups=3, size=(64, 64))
network.at_size(128, 128); network.group_names(); network.copy_at(224, 224)
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from lab.errors import LabError
from lab.methods.dropout import classifier_dropout, set_dropout
from lab.recipe.model import ModelSpec, Recipe
from lab.train.architectures import create, known
from lab.train.groups import parameter_groups
from lab.train.resample import carried
from lab.train.sizes import check_size, refusal, size_kind, size_refused
from lab.train.weights import (
    HALF,
    IMAGENET,
    StartWeights,
    demand_architecture,
    load_start,
    load_weights,
    normalisation,
    read_file,
    small_body,
)

__all__ = [
    "HALF",
    "IMAGENET",
    "Network",
    "StartWeights",
    "build",
    "check_size",
    "create",
    "known",
    "load_weights",
    "normalisation",
    "size_refused",
]


@dataclass
class Network:
    """A timm model with what training needs to know of it."""

    model: nn.Module
    spec: ModelSpec
    n_classes: int  # outputs, those of a second target among them
    groups: int  # parameter groups that it really has
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"
    second_classes: int = 0  # of the outputs, the last so many are a second target's
    size: tuple[int, int] | None = None  # (height, width) px that it takes now; None: as made
    source: str = ""  # where its first weights are from, in words

    def __post_init__(self) -> None:
        if not self.size_is_built_in:
            _say_any_size(self.model)

    @property
    def size_is_built_in(self) -> bool:
        """Whether another size needs another model or may need other parameters."""
        return size_kind(self.spec.name) != "any"

    def at_size(self, height: int, width: int) -> bool:
        """Take inputs of this size from now on. True where parameters were replaced: then an
        optimizer, and whoever else holds on to them or to `model`, must look again.

        What learns, training mode, dropout, device and memory format stay as they are. Raises
        LabError where the architecture refuses; the network is then as it was.
        """
        size, kind = (height, width), size_kind(self.spec.name)
        if size == self.size:
            return False
        if kind == "any":
            replaced = False
        elif reason := refusal(self.spec.name, height, width, kind):
            raise size_refused(self.spec.name, height, width, reason)
        elif kind == "build":
            replaced = self._rebuild(size)
        else:
            replaced = kind == "set" and self._set(size)
        self.size = size
        return replaced

    def copy_at(self, height: int, width: int) -> Network:
        """A network of its own at this size, its weights carried over; this one stays."""
        if size_kind(self.spec.name) == "build" and (height, width) != self._present_size():
            other = replace(self)  # a rebuild leaves the shared model as it is
        else:
            other = replace(self, model=copy.deepcopy(self.model))
        other.at_size(height, width)
        return other

    def group_names(self) -> list[list[str]]:
        """Names of the parameters of each group, body first, head last."""
        return parameter_groups(self.model, self.groups)

    def _set(self, size: tuple[int, int]) -> bool:
        """timm's set_input_size; parameters that it replaces keep whether they learn."""
        before = dict(self.model.named_parameters())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model.set_input_size(img_size=size)
        replaced = False
        for name, parameter in self.model.named_parameters():
            if parameter is not before.get(name):
                replaced = True
                if name in before:
                    parameter.requires_grad_(before[name].requires_grad)
        return replaced

    def _rebuild(self, size: tuple[int, int]) -> bool:
        """A new model for this size with the old one's weights. Random state is left alone."""
        old, present = self.model, self._present_size()
        if size == present:
            return False
        with torch.random.fork_rng(devices=[]):
            model = create(self.spec, self.n_classes, size=size)
        device = next(old.parameters()).device
        model.to(device, memory_format=_memory_format(old))
        with torch.no_grad():
            state = carried(self.spec.name, old.state_dict(), present, model, size)
            model.load_state_dict(state)
        _behave_alike(old, model)
        self.model = model
        return True

    def _present_size(self) -> tuple[int, int]:
        return self.size or tuple(self.model.pretrained_cfg["input_size"][-2:])


def _say_any_size(model: nn.Module) -> None:
    """Drop timm's `fixed_input_size` from a network that takes any size (xcit, twins, mvitv2 ...).

    With it timm refuses to export the network at another size, and would build it for that size on
    loading. It stands in the configuration and among the traits of the model.
    """
    for name in ("pretrained_cfg", "_traits"):
        said = getattr(model, name, None) or {}
        if said.get("fixed_input_size"):
            setattr(model, name, {**said, "fixed_input_size": False})


def _memory_format(model: nn.Module) -> torch.memory_format:
    kernels = [p for p in model.parameters() if p.ndim == 4 and min(p.shape[1], p.shape[2]) > 1]
    last = any(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    return torch.channels_last if last else torch.contiguous_format


def _behave_alike(old: nn.Module, new: nn.Module) -> None:
    """What learns, training mode module by module, and dropout, as in the old model."""
    learns = {name: p.requires_grad for name, p in old.named_parameters()}
    for name, parameter in new.named_parameters():
        parameter.requires_grad_(learns.get(name, True))
    trains = {name: module.training for name, module in old.named_modules()}
    for name, module in new.named_modules():
        module.training = trains.get(name, old.training)
    set_dropout(new, classifier_dropout(old))


def build(
    recipe: Recipe,
    n_classes: int,
    groups: int,
    size: tuple[int, int],
    start: StartWeights | None = None,
    classes: Sequence[str] = (),
) -> Network:
    """The recipe's network for so many classes at a size, with its first weights.

    groups: wanted; `Network.groups` says how many there are. start: for weights = run, what
    lab.scoring.start gives. classes: names in the order of the outputs; another run's classifier
    is taken only where they are the same. The random part comes from the recipe's seed.

    Raises LabError for an unknown name, weights that cannot be had, a size that is refused.
    """
    spec = recipe.model
    known(spec.name)
    start = _start(spec, start)
    torch.manual_seed(recipe.seed)
    first = _first_size(spec, start, size)
    model = create(spec, n_classes, pretrained=spec.weights == "hub", size=first)
    source = f"random, from the seed {recipe.seed}"
    if spec.weights == "hub":
        source = f"timm's pretrained weights of {_tagged(model)}"
    network = Network(
        model=model,
        spec=spec,
        n_classes=n_classes,
        groups=len(parameter_groups(model, groups)),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        interpolation=(model.pretrained_cfg or {}).get("interpolation") or "bicubic",
        size=first,
        source=source,
    )
    network.mean, network.std = normalisation(spec, model, start)
    if start is not None:
        if start.size and first is None:
            network.at_size(*start.size)
        network.source = load_start(network.model, start, classes)
    network.at_size(*size)
    return network


def _start(spec: ModelSpec, start: StartWeights | None) -> StartWeights | None:
    """The weights to begin with, or None for random and pretrained ones."""
    if spec.weights == "file":
        return read_file(Path(spec.file), spec)
    if spec.weights == "small-body":
        return small_body(spec)
    if spec.weights != "run":
        return None
    if start is None:
        raise LabError(
            f"The weights of run {spec.run or '(none named)'} are not at hand.",
            "Name a run with a finished stage in model.run.",
            where="model.run",
        )
    demand_architecture(spec, start.architecture, start.source_words)
    return start


def _first_size(
    spec: ModelSpec, start: StartWeights | None, size: tuple[int, int]
) -> tuple[int, int] | None:
    """The size to build for, where that must be said: that of the weights, or the wanted one."""
    if size_kind(spec.name) != "build" or spec.weights == "hub":
        return None
    if start is not None:
        return start.size
    if reason := refusal(spec.name, *size, "build"):
        raise size_refused(spec.name, *size, reason)
    return size


def _tagged(model: nn.Module) -> str:
    cfg = model.pretrained_cfg or {}
    return ".".join(part for part in (cfg.get("architecture"), cfg.get("tag")) if part)
