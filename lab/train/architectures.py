"""timm architectures by name: made for so many classes, or as an outline without memory.

model = create(recipe.model, n_classes=10)
outline("cait_xxs24_224", (128, 128)).state_dict()      # shapes only, on the meta device
"""

from __future__ import annotations

import copy
import difflib
import warnings
from functools import lru_cache

import timm
import torch
from torch import nn

from lab.errors import LabError
from lab.recipe.model import ModelSpec

OUTLINE_CLASSES = 10


def create(
    spec: ModelSpec,
    n_classes: int,
    pretrained: bool = False,
    size: tuple[int, int] | None = None,
) -> nn.Module:
    """timm.create_model with errors in words.

    `size`: (height, width) in pixels for architectures that are built for one (`img_size`); None:
    the architecture's own.
    """
    known(spec.name)
    options = {"num_classes": n_classes, "drop_rate": spec.drop_rate}
    if spec.drop_path_rate:
        options["drop_path_rate"] = spec.drop_path_rate
    if size is not None:
        options["img_size"] = size
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
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
        raise _no_hub_weights(spec.name, error) from error


def _no_hub_weights(name: str, error: Exception) -> LabError:
    """Weights that timm does not have, or that did not come over the network."""
    if "No pretrained weights exist" in str(error):
        return LabError(
            f"timm has no pretrained weights for {name}.",
            "Set model.weights to none, or choose another architecture or tag.",
            where="model.weights",
        )
    return LabError(
        f"The pretrained weights of {name} could not be had ({type(error).__name__}).",
        "They come over the network from the Hugging Face hub and are kept in its cache: connect "
        "once (HF_HUB_OFFLINE unset), or set model.weights to none or small-body.",
        where="model.weights",
    )


def known(name: str) -> None:
    """Raises LabError with near names where timm has no such architecture or tag."""
    base = name.split(".")[0]
    if name.startswith(("hf-hub:", "hf_hub:", "local-dir:")) or not timm.is_model(base):
        near = difflib.get_close_matches(base, timm.list_models(), n=3)
        fix = f"Did you mean {', '.join(near)}?" if near else "See timm.list_models()."
        raise LabError(f"timm knows no architecture {name!r}.", fix, where="model.name")
    if name != base and name not in (tagged := timm.list_pretrained(f"{base}.*")):
        fix = f"It has {', '.join(tagged[:4])}." if tagged else f"Say {base}: it has no weights."
        raise LabError(f"timm has no {name!r}.", fix, where="model.name")


@lru_cache(maxsize=24)
def outline(name: str, size: tuple[int, int] | None = None) -> nn.Module:
    """The architecture on the meta device in eval mode: shapes, no memory, about 0.2 s.

    `size`: built for it by `img_size`. It is shared: deepcopy before changing it. Raises LabError
    for a name that timm does not know, and whatever timm raises for a size that it refuses.
    """
    known(name)
    options = {} if size is None else {"img_size": size}
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = timm.create_model(name, num_classes=OUTLINE_CLASSES, **options).eval()
    return model.requires_grad_(False)


def outline_set_to(name: str, height: int, width: int) -> nn.Module:
    """The outline after timm's own set_input_size."""
    model = copy.deepcopy(outline(name))
    model.set_input_size(img_size=(height, width))
    return model


def native_px(name: str) -> int:
    """The side that the architecture's own configuration names, in pixels."""
    cfg = outline(name).pretrained_cfg or {}
    return int((cfg.get("input_size") or (3, 224, 224))[-1])


def same_architecture(one: str, other: str) -> bool:
    """Whether two timm names differ by no more than their pretrained tag."""
    return one.split(".")[0] == other.split(".")[0]
