"""Facts of a timm architecture, found by probing it on the meta device: no memory, little time.

python -m lab.train.model_facts            # writes lab/recipe/models.json, the shipped table
python -m lab.train.model_facts --table    # writes docs/architectures.md, fifty-odd families
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lab.methods.fixres import adapts_nothing, last_norm
from lab.recipe.facts import ModelFacts
from lab.train.architectures import native_px, outline
from lab.train.groups import most_groups
from lab.train.sizes import PROBES, USUAL, outline_at, probe_kind, refusal

SHIPPED = [
    "resnet10t",
    "resnet14t",
    "resnet18",
    "resnet18d",
    "resnet26d",
    "resnet34",
    "resnet50",
    "resnet50d",
    "resnetv2_18",
    "resnetv2_34",
    "resnetv2_50",
    "convnext_atto",
    "convnext_nano",
    "convnext_tiny",
    "convnext_small",
    "convnextv2_atto",
    "efficientnet_b0",
    "tf_efficientnetv2_b0",
    "mobilenetv3_small_100",
    "mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "lcnet_050",
    "lcnet_100",
    "regnetx_002",
    "regnety_004",
    "densenet121",
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "cait_xxs24_224",
    "mixer_s32_224",
    "test_convnext",
    "test_resnet",
    "test_vit",
]
FACTORS = (1, 2, 4, 8, 16, 32)  # of the patch
INSIDE = 0.9  # share of the larger size's cost that a smaller one still pays


@dataclass(frozen=True)
class Probe:
    """ModelFacts and what the table of architectures says besides."""

    facts: ModelFacts
    squares_only: bool  # rectangles are refused
    resizes_inside: bool  # any size is brought to one inside: no time is saved
    adapts_nothing: bool  # no running statistics before the classifier (FixRes)


def model_facts(name: str) -> ModelFacts:
    """Raises LabError for a name that timm does not know."""
    return probe(name).facts


def probe(name: str) -> Probe:
    """Everything about an architecture that passes on the meta device tell."""
    model, native, kind = outline(name), native_px(name), probe_kind(name)
    inside = kind == "any" and _resizes_inside(name, native)
    step = 1 if inside else step_px(name, kind, native)
    cfg = model.pretrained_cfg or {}
    facts = ModelFacts(
        name=name,
        params=sum(p.numel() for p in model.parameters()),
        sizes=kind,
        step_px=step,
        min_px=native if kind == "fixed" else smallest_px(name, kind, step),
        native_px=native,
        gmacs_at_native=round(gmacs(model, native), 4),
        groups=most_groups(model),
        hub=bool(cfg.get("hf_hub_id") or cfg.get("url")),
        has_norm_before_pool=last_norm(model) is not None,
        depthwise=any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in model.modules()),
    )
    square = kind == "fixed" or squares_only(name, kind, step)
    return Probe(facts, square, inside, adapts_nothing(model))


def gmacs(model: nn.Module, side: int) -> float:
    """Multiply-adds of one image, in 1e9."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, 3, side, side, device="meta"))
    return counter.get_total_flops() / 2e9


def smallest_px(name: str, kind: str, step: int) -> int:
    """The smallest probed side that goes through and holds a patch; the native one where none."""
    sides = (side for side in PROBES if side >= step)
    return next((s for s in sides if refusal(name, s, s, kind) is None), native_px(name))


def step_px(name: str, kind: str, native: int) -> int:
    """Sides that are no multiple of this lose edge pixels or are refused; 1: any side is whole.

    Edge pixels are lost, without a word, where the picture is cut into patches. Others are refused
    where maps of two branches, or windows, must meet.
    """
    patch = patch_px(outline_at(name, native, native, kind), native)
    if kind == "fixed":
        return patch
    for step in (patch * factor for factor in FACTORS):
        sides = (native + step * i for i in (1, 2, 3))
        if all(refusal(name, side, side, kind) is None for side in sides):
            return step
    return patch


def patch_px(model: nn.Module, side: int) -> int:
    """The side of the patches that the picture is cut into, without padding; 1 where it is not.

    Read off the layers that run first: a convolution whose kernel is a multiple of its stride
    (convnext, vit; pit's patches overlap), or an unfolding right after the first one (tnt).
    """
    seen: list[nn.Module] = []
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Unfold)]
    hooks = [layer.register_forward_pre_hook(lambda m, _: seen.append(m)) for layer in layers]
    try:
        with torch.no_grad():
            model(torch.empty(1, 3, side, side, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    if seen and (stride := _tile(seen[0])) > 1:
        return stride
    if len(seen) > 1 and isinstance(seen[1], nn.Unfold) and (stride := _tile(seen[1])) > 1:
        return stride * seen[0].stride[0]
    return 1


def _tile(layer: nn.Module) -> int:
    """The stride of a layer that drops what fills no patch; else 1."""
    kernel, stride, padding = (
        value[0] if isinstance(value, tuple | list) else value
        for value in (layer.kernel_size, layer.stride, layer.padding)
    )
    return stride if padding in (0, "valid") and kernel % stride == 0 else 1


def squares_only(name: str, kind: str, step: int) -> bool:
    """Whether rectangles are refused, of sides that each would do as a square."""
    unit = max(32, step) if 32 % step == 0 or step % 32 == 0 else 4 * step
    long, short = 6 * unit, 4 * unit
    squares = all(refusal(name, side, side, kind) is None for side in (long, short))
    return squares and refusal(name, short, long, kind) is not None


def _resizes_inside(name: str, native: int) -> bool:
    side = next(s for s in USUAL if s != native and refusal(name, s, s, "any") is None)
    few, many = sorted((side, native))
    return gmacs(outline(name), few) > INSIDE * gmacs(outline(name), many)


def main(arguments: list[str]) -> None:
    """Write the shipped table, or the table of families."""
    here = Path(__file__).parent.parent
    if "--table" in arguments:
        from lab.train.architecture_table import table

        path = here.parent / "docs" / "architectures.md"
        path.write_text(table(), encoding="utf-8")
    else:
        path = here / "recipe" / "models.json"
        found = {name: model_facts(name).as_dict() for name in SHIPPED}
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{path.name} written", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
