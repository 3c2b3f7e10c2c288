"""A run with a finished stage whose network has learnt nothing: there in a second, for predictions.

    run = untrained_run(workspace, model="test_resnet", size=48)

The head's weights are enlarged, so that different pictures get clearly different answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from safetensors.torch import save_file

from lab.analysis.metrics import scores
from lab.recipe import recipe_from
from lab.runs.folder import RunFolder, create_run
from lab.train.checkpoint import sha256
from lab.train.model import build
from lab.vision.transforms import final_transform
from lab.workspace import Workspace, write_json

CLASSES = ("blight", "healthy", "rust")
KINDS = ("oak", "elm")


def untrained_run(
    workspace: Workspace,
    *,
    model: str = "test_resnet",
    size: int = 48,
    classes: Sequence[str] = CLASSES,
    second: Sequence[str] = (),
    resize: str = "squish",
    **changes: Any,
) -> RunFolder:
    """A finished run of one stage. `second`: classes of a second target, `kind`."""
    data = {"target": "disease", "second_target": "kind" if second else ""}
    recipe = recipe_from(
        {
            "name": "untrained",
            "dataset": {"source": "leaves", **data},
            "model": {"name": model},
            "stages": [{"size": size, "epochs": 1, "resize": resize, "augment": {"warp": 0.2}}],
            "evaluation": {"tta_views": 3, "tta_beta": 0.25},
            **changes,
        }
    )
    run = create_run(workspace, recipe, {"preset": "test"})
    network = build(recipe, len(classes) + len(second), 1, (size, size))
    weights = {name: value.clone() for name, value in network.model.state_dict().items()}
    head = [name for name, value in weights.items() if value.shape[:1] == (network.n_classes,)]
    for name in head:
        weights[name] = weights[name] * 40
    folder = run.stage(0)
    folder.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in weights.items()},
              folder / "model.safetensors")  # fmt: skip
    transform = final_transform(recipe, network.mean, network.interpolation).as_dict()
    target = np.arange(12) % len(classes)
    score = scores(np.full((12, len(classes)), 1 / len(classes), np.float32), target)
    write_json(folder / "scores.json", {
        "stage": 0, "weights": "raw", "size": [size, size], "final_size": [size, size],
        "own": score, "final": score, "transform": transform, "final_transform": transform,
        "sha256": sha256(folder / "model.safetensors"),
        "model": {
            "name": model, "num_classes": network.n_classes, "classes": list(classes),
            "target": "disease", "second_target": data["second_target"],
            "second_classes": list(second), "mean": list(network.mean), "std": list(network.std),
            "interpolation": network.interpolation,
        },
    })  # fmt: skip
    write_json(run.state_file, {"status": "finished", "attempt": 0, "device": "cpu"})
    return run
