"""keras-fixres and fastbook-7 on real photos, beside their baselines: error and time per stage.

    python -m benchmarks.presets_on_photos --data PHOTOS.zip [--workspace DIR] [--full]

Without --full, for a machine without a GPU: the 18-layer forms of the networks and a third of the
epochs. Each run is `python -m lab train` in a process of its own, one after the other.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.record import save
from lab.recipe.model import Recipe, recipe_from
from lab.recipe.presets import preset_recipe

SMALLER = {"keras-fixres": "resnetv2_18", "fastbook-7": "resnet18"}


def main() -> None:
    """Train the pairs, print their rows, keep the record."""
    options = _options()
    workspace = Path(options.workspace)
    results: dict[str, Any] = {}
    for name in ("keras-fixres", "fastbook-7"):
        recipe = preset_recipe(name) if options.full else third_of(preset_recipe(name))
        for label, made in {name: recipe, f"{name}, 224 px alone": at_224_alone(recipe)}.items():
            results[label] = trained(workspace, made, options)
            print(label, json.dumps(results[label]["stages"]), flush=True)
        runs = [results[label]["run"] for label in (name, f"{name}, 224 px alone")]
        results[f"{name}, verdict"] = lab(workspace, "compare", *runs)[0]
    command = f"python -m benchmarks.presets_on_photos{' --full' if options.full else ''}"
    print(save("presets-on-photos", {"full": options.full, "results": results}, command))


def third_of(recipe: Recipe) -> Recipe:
    """A third of the epochs (frozen ones stay), and the 18-layer form of the network."""
    stages = [stage.but(epochs=max(1, round(stage.epochs / 3))) for stage in recipe.stages]
    return recipe.but(
        model=recipe.model.but(name=SMALLER[recipe.preset]).model_dump(),
        stages=[stage.model_dump() for stage in stages],
        name=f"{recipe.preset}, a third of the epochs",
    )


def at_224_alone(recipe: Recipe) -> Recipe:
    """The source's own baseline: the first stage's ways at 224 px, scored by its own transform. The
    book gives it 5 epochs against 4 + 1 + 5, Keras 30 against 30 + 10."""
    first, last = recipe.stages
    epochs = last.epochs if recipe.preset == "fastbook-7" else first.epochs
    changes = {"size": 224, "epochs": epochs, "batch_size": last.batch_size}
    if recipe.preset == "fastbook-7":
        changes["presize_px"] = last.presize_px
    stages = [first.but(**changes).model_dump()]
    return recipe.but(stages=stages, name=f"{recipe.preset}: 224 px alone")


def trained(workspace: Path, recipe: Recipe, options: argparse.Namespace) -> dict[str, Any]:
    """Train by the command line; epochs, scores per stage, seconds."""
    file = workspace / "recipe.json"
    workspace.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(recipe_from(recipe.dump()).dump()), encoding="utf-8")
    since = time.perf_counter()
    wanted = ("--recipe", str(file), "--data", options.data, "--device", options.device)
    events = lab(workspace, "train", *wanted)
    started = next(event for event in events if event["kind"] == "run_started")
    keys = ("stage", "epoch", "size", "train_loss", "valid_loss", "accuracy", "seconds")
    return {
        "run": events[-1]["run"],
        "network": recipe.model.name,
        "precision": started["precision"],
        "remedies": started.get("remedies"),
        "n_train": started["data"]["n_train"],
        "n_valid": started["data"]["n_valid"],
        "seconds": round(time.perf_counter() - since, 1),
        "epochs": [{k: e[k] for k in keys} for e in events if e["kind"] == "epoch"],
        "stages": [
            {
                "size": event["size"],
                "own_error": event["own"]["error_rate"],
                "final_size": event["final_size"],
                "final_error": event["final"]["error_rate"],
            }
            for event in events
            if event["kind"] == "stage_finished"
        ],
    }


def lab(workspace: Path, *words: str) -> list[dict[str, Any]]:
    """What a command of the lab says, line by line."""
    command = [sys.executable, "-m", "lab", words[0], *words[1:], "--workspace", str(workspace)]
    done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="a zip or folder of class folders")
    parser.add_argument("--workspace", default="workspace-presets")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--full", action="store_true", help="networks and epochs of the presets")
    return parser.parse_args()


if __name__ == "__main__":
    main()
