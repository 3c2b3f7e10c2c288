"""Any preset in a form that trains in seconds on two slow cores and is still that preset.

shortened(preset_recipe("fastbook-7"))     a quarter of every side, 1-2 epochs a stage, few leaves

A schedule that begins below 128 px keeps half of every side, or its sizes would fall together.

Kept: stages and their order, what learns, rates, schedules, rectangles, ramps, ways of resizing,
augmentation, optimizer, fp16. Changed: lengths, sizes, batch, network, pictures.
"""

from __future__ import annotations

from typing import Any

from small import LEAVES

from lab.recipe import Recipe, recipe_from

BATCH, MOST_EPOCHS, LEAST_PX = 16, 2, 32
NETWORKS = {"convnext": "test_convnext", "tf_efficientnet": "test_efficientnet"}


def shortened(recipe: Recipe) -> Recipe:
    """The recipe with sizes and lengths cut down, on 120 leaves, with one thread."""
    values = recipe.dump()
    values["dataset"]["leaves"] = LEAVES
    values["threads"] = 1
    values["precision"] = "fp16" if recipe.precision == "fp16" else "fp32"
    if recipe.model.weights != "small-body":  # that one is small already
        values["model"] |= {"name": network_of(recipe.model.name), "weights": "none"}
    part = 4 if min(min(stage.hw) for stage in recipe.stages) >= 128 else 2
    if recipe.evaluation.size is not None:
        values["evaluation"]["size"] = smaller(recipe.evaluation.size, part)
    values["stages"] = [_stage(stage, part) for stage in values["stages"]]
    return recipe_from(values)


def network_of(name: str) -> str:
    """timm's tiny network of the same family."""
    return next((tiny for start, tiny in NETWORKS.items() if name.startswith(start)), "test_resnet")


def smaller(size: Any, part: int) -> Any:
    """A half or a quarter of a size, to the nearest multiple of 8: 160 and 192 px stay apart."""
    if isinstance(size, list | tuple):
        return [smaller(side, part) for side in size]
    return max(LEAST_PX, (size // part + 4) // 8 * 8)


def _stage(stage: dict[str, Any], part: int) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "size": smaller(stage["size"], part),
        "epochs": min(stage["epochs"], MOST_EPOCHS),
        "frozen_epochs": min(stage["frozen_epochs"], 1),
        "cycle_len": 1,
        "max_cycles": min(stage["max_cycles"], 2),
        "batch_size": BATCH,
    }
    if stage["presize_px"]:
        changes["presize_px"] = stage["presize_px"] // part
    if stage["ramp_from"]:
        changes |= {
            "ramp_from": smaller(stage["ramp_from"], part),
            "ramp_multiple": max(4, stage["ramp_multiple"] // part),
        }
    return stage | changes
