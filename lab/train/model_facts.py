"""Facts of a timm architecture, found by probing it on the meta device: no memory, no time.

python -m lab.train.model_facts            # writes lab/recipe/models.json, the shipped table
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lab.methods.fixres import last_norm
from lab.recipe.facts import ModelFacts
from lab.train.model import known

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
    "efficientnet_b0",
    "mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "lcnet_050",
    "lcnet_100",
    "regnety_004",
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "test_convnext",
    "test_resnet",
    "test_vit",
]
PROBES = (16, 24, 32, 48, 64, 96, 128)


def model_facts(name: str) -> ModelFacts:
    """Raises LabError for a name that timm does not know."""
    known(name)
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = timm.create_model(name, num_classes=10).eval()
    cfg = model.pretrained_cfg or {}
    native = int((cfg.get("input_size") or (3, 224, 224))[-1])
    smallest = smallest_size(model)
    kind = _kind_of_sizes(model, native, smallest)
    return ModelFacts(
        name=name,
        params=sum(p.numel() for p in model.parameters()),
        sizes=kind,
        step_px=_step(model, native, kind),
        min_px=smallest if kind == "any" else min(native, 64),
        native_px=native,
        gmacs_at_native=round(gmacs(model, native), 4),
        groups=3,
        hub=bool(cfg.get("hf_hub_id") or cfg.get("url")),
        has_norm_before_pool=last_norm(model) is not None,
        depthwise=any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in model.modules()),
    )


def gmacs(model: nn.Module, side: int) -> float:
    """Multiply-adds of one image, in 1e9."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, 3, side, side, device="meta"))
    return counter.get_total_flops() / 2e9


def takes(model: nn.Module, side: int) -> bool:
    """Whether a forward pass at this size goes through, training included (two images)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model(torch.empty(2, 3, side, side, device="meta"))
    except Exception:
        return False
    return True


def smallest_size(model: nn.Module) -> int:
    """The smallest probed size that goes through; 0 where none does."""
    return next((side for side in PROBES if takes(model, side)), 0)


def _kind_of_sizes(model: nn.Module, native: int, smallest: int) -> str:
    """any, set (set_input_size), build (img_size at construction) or fixed."""
    if smallest and smallest < native:
        return "any"
    if hasattr(model, "set_input_size"):
        return "set"
    return "fixed"


def _step(model: nn.Module, native: int, kind: str) -> int:
    """Sizes that are no multiple lose edge pixels: the patch of a transformer."""
    if kind == "any":
        return 1
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", 1)
    return int(patch[0] if isinstance(patch, tuple) else patch)


def main() -> None:
    """Write the shipped table."""
    table = {name: model_facts(name).as_dict() for name in SHIPPED}
    path = Path(__file__).parent.parent / "recipe" / "models.json"
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"{len(table)} architectures written", file=sys.stderr)


if __name__ == "__main__":
    main()
