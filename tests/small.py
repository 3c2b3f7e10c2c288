"""What many tests need: a recipe that trains in seconds on few leaves."""

from __future__ import annotations

from typing import Any

from lab.recipe import Recipe, recipe_from

LEAVES = {"n": 120, "size_px": 64, "form": "demo", "seed": 3}


def small_recipe(stages: list[dict[str, Any]] | None = None, **changes: Any) -> Recipe:
    """Two short stages of a tiny network on 120 leaves, fp32, two threads."""
    augment = {"flip": "dihedral", "warp": 0.1}
    usual = [
        {"size": 32, "epochs": 2, "lr": 3e-3, "batch_size": 16, "augment": augment},
        {"size": 48, "epochs": 1, "frozen_epochs": 1, "lr": 2e-3, "batch_size": 16},
    ]
    split = {"method": "random", "valid_fraction": 0.25, "test_fraction": 0.1}
    values = {
        "name": "small",
        "dataset": {"source": "leaves", "leaves": LEAVES, "split": split},
        "model": {"name": "test_resnet", "groups": 2, "drop_rate": 0.1},
        "precision": "fp32",
        "threads": 1,
        "stages": stages or usual,
    }
    return recipe_from({**values, **changes})
