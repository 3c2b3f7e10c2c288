"""The helper's share in "What resolution does": one picture of a run, its stages, sizes, evidence.

Each op(arguments, workspace, ...) -> (JSON values, PNGs). `kept`: gives a loaded stage.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image

from lab.data.catalog import materialise
from lab.data.images import open_rgb
from lab.errors import LabError
from lab.recipe.stage import hw
from lab.runs.folder import RunFolder, find_run
from lab.scoring.gradcam import demand_library, evidence_map, map_layer, spotlight
from lab.scoring.resolution import answer_at, shown_at, stages_seen
from lab.scoring.stages import LoadedStage
from lab.vision.loader import to_input
from lab.workspace import Workspace

Reply = tuple[dict[str, Any], list[bytes]]
Kept = Callable[[RunFolder, int | None], LoadedStage]
SHOWN_PX, MAX_DRAWS = 560, 4


def stages_of(arguments: dict[str, Any], workspace: Workspace) -> Reply:
    """Arguments run, item, draws, roll. PNGs: the picture, then of each stage test and draws."""
    run = find_run(workspace, str(arguments["run"]))
    image = picture_of(run, int(arguments["item"]), workspace)
    draws = min(int(arguments.get("draws", 2)), MAX_DRAWS)
    described, pngs = [], [_packed(shown_at(image, SHOWN_PX), "JPEG")]
    for seen in stages_seen(run, image, draws, int(arguments.get("roll", 0))):
        pngs += [_png(pixels) for pixels in (seen.test, *seen.train)]
        described.append(
            {
                "stage": seen.stage, "size": seen.size, "final_size": seen.final_size,
                "test_quad": seen.test_quad.tolist(), "final_quad": seen.final_quad.tolist(),
                "quads": seen.quads.round(4).tolist(), "larger": seen.larger.round(4).tolist(),
                "own": asdict(seen.own), "final": asdict(seen.final),
                "formula_px": seen.formula_px, "formula_final_px": seen.formula_final_px,
            }
        )  # fmt: skip
    return {"height": image.height, "width": image.width, "stages": described}, pngs


def answer_of(arguments: dict[str, Any], workspace: Workspace, kept: Kept) -> Reply:
    """Arguments run, stage, item, size. Values: `probs`, or `refused` and `fix`."""
    loaded, image, size = _asked(arguments, workspace, kept)
    found = answer_at(loaded, image, size)
    if "refused" in found:
        return found, []
    return {"probs": found["probs"].tolist()}, [_png(found["pixels"])]


def evidence_of(arguments: dict[str, Any], workspace: Workspace, kept: Kept) -> Reply:
    """Arguments as `answer_of`, and target: a class number, -1 for what the network answers.

    Values: `target`, `cells` (rows, columns of the map), `empty` where nothing speaks for it; the
    map over the picture as JPEG. Or `none`: why this network has no such map at this size.
    """
    demand_library()
    loaded, image, size = _asked(arguments, workspace, kept)
    found = answer_at(loaded, image, size)
    if "refused" in found:
        return {"none": found["refused"]}, []
    target = int(arguments.get("target", -1))
    target = int(found["probs"].argmax()) if target < 0 else target
    if target >= len(loaded.classes):
        raise LabError(f"There is no class {target}.", "Reload the page.")
    x = to_input(found["pixels"][None], loaded.norm)
    model = loaded.network.model
    try:
        place = map_layer(model, x)
    except LabError as error:
        return {"none": error.what}, []
    seen = evidence_map(model, x, place, target)
    values = {"target": target, "cells": place.cells, "empty": bool(seen.max() <= 0)}
    shown = Image.fromarray(spotlight(found["pixels"], seen))
    return values, [_packed(shown, "JPEG", quality=90)]


def picture_of(run: RunFolder, item: int, workspace: Workspace) -> Image.Image:
    """A picture of the run's data. LabError where there is none, or where the data have changed."""
    dataset = materialise(workspace, run.recipe().dataset)
    trained_on = run.resolved().get("data")
    if trained_on and trained_on != dataset.fingerprint:
        raise LabError(
            f"The pictures have changed since run {run.id} was trained.", "Bring them back."
        )
    if not 0 <= item < len(dataset):
        raise LabError(f"There is no picture {item} in {dataset.name}.", "Reload the page.")
    return open_rgb(dataset.path(item))


def _asked(
    arguments: dict[str, Any], workspace: Workspace, kept: Kept
) -> tuple[LoadedStage, Image.Image, tuple[int, int]]:
    run = find_run(workspace, str(arguments["run"]))
    image = picture_of(run, int(arguments["item"]), workspace)
    size = arguments["size"]
    return kept(run, int(arguments["stage"])), image, hw(size)


def _png(pixels: np.ndarray) -> bytes:
    return _packed(Image.fromarray(pixels), "PNG", compress_level=1)


def _packed(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()
