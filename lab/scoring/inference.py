"""What a trained run says of pictures: scores on its data or on others, predictions on new files.

    evaluate_run(workspace, run, size=(160, 160))          -> {"size", "n", "accuracy", ...}
    predict_images(run, [Path("leaf.jpg")])                -> [{"image", "label", "probabilities"}]
    tta_run(...), tta_image(...), tta_picture(...)         test-time augmentation: see views.py

Always fp32 through the exact test transform: what is scored here is what an export gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lab.analysis.metrics import scores
from lab.data.catalog import materialise
from lab.data.dataset import Dataset
from lab.data.split import Parts
from lab.errors import LabError
from lab.recipe.dataset import DataSpec
from lab.recipe.stage import Size, hw
from lab.runs.folder import RunFolder
from lab.runs.locked import note_look
from lab.scoring.new_pictures import about, answers, as_dict
from lab.scoring.predictions import name_of, plain_size, read_predictions, write_predictions
from lab.scoring.stages import LoadedStage, Progress, load_stage, never, open_run, quiet
from lab.scoring.views import tta_image, tta_picture, tta_run
from lab.vision.rundata import RunData
from lab.workspace import Workspace

__all__ = [
    "LoadedStage", "evaluate_run", "load_stage", "predict_images", "tta_image", "tta_picture",
    "tta_run",
]  # fmt: skip

SEEN = "These pictures hold those that the run was trained on: the scores flatter it."


def evaluate_run(
    workspace: Workspace,
    run: RunFolder,
    stage: int | None = None,
    size: Size | None = None,
    data: Path | None = None,
    part: str = "valid",
    *,
    device: str = "cpu",
    progress: Progress = quiet,
    stop: Callable[[], bool] = never,
) -> dict[str, Any]:
    """Scores of a stage (the last) at a size (the final one), on a part of its data or on others.

    `data`: a folder, zip or CSV whose classes the run knows by name; all its pictures are scored.
    Raises LabError for classes it does not know, Stopped on request.
    """
    loaded = load_stage(run, stage, device)
    transform = loaded.transform(hw(size) if size else None)
    if data is None:
        opened = open_run(workspace, loaded)
        if part == "test" and not len(opened.parts.test):
            raise LabError(
                "This run has no locked test part.", "Score its valid part.", where="part"
            )
    else:
        opened = other_data(workspace, loaded, data, progress)
    what = part if data is None else "valid"
    pictures = opened.test_pictures(transform, what, lambda _, *counts: progress(*counts))
    if not len(pictures):
        raise LabError("None of the pictures could be read.", "Check the files.", where="data")
    probs = loaded.predict(pictures, stop)
    if data is None and part == "test":
        note_look(run, f"scores of stage {loaded.number} at {pictures.hw[0]}x{pictures.hw[1]} px")
    if data is None and part == "valid":
        name = name_of(loaded.number, pictures.hw)
        if read_predictions(run, name) is None:
            write_predictions(run, name, pictures, probs=probs)
    return {
        "run": run.id,
        "stage": loaded.number,
        "size": plain_size(pictures.hw),
        "part": part if data is None else "other data",
        **scores(probs, pictures.labels),
        "note": SEEN if data and _same_pictures(run, opened) else "",
    }


def _same_pictures(run: RunFolder, opened: RunData) -> bool:
    return run.resolved().get("data") == opened.dataset.fingerprint


def other_data(
    workspace: Workspace, loaded: LoadedStage, path: Path, progress: Progress = quiet
) -> RunData:
    """Other pictures as the validation part of this run, classes mapped by name."""
    spec = DataSpec(source="path", path=str(path))
    dataset = materialise(workspace, spec, progress)
    labels = mapped_labels(dataset, loaded.info["model"]["target"], loaded.classes)
    items = np.flatnonzero(labels >= 0).astype(np.int32)
    nothing = np.empty(0, np.int32)
    target = loaded.info["model"]["target"]
    parts = Parts(nothing, items, nothing, labels, tuple(loaded.classes), target)
    model = loaded.info["model"]
    return RunData(
        workspace, loaded.run.recipe(), dataset, parts, loaded.network.mean, model["interpolation"]
    )


def mapped_labels(dataset: Dataset, target: str, classes: list[str]) -> np.ndarray:
    """int64 (n,): the run's class number of each item, -1 where unlabelled. LabError for others."""
    own = target if target in dataset.targets else dataset.target()
    names = dataset.targets[own]
    unknown = [name for name in names if name not in classes]
    if unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise LabError(
            f"{dataset.name} has classes that this run does not know: "
            f"{', '.join(unknown[:5])}{more}.",
            f"It knows {', '.join(classes[:12])}{' ...' if len(classes) > 12 else ''}.",
            where="data",
        )
    numbers = np.array([classes.index(name) for name in names] + [-1])
    return numbers[dataset.labels(own)]


def predict_images(
    run: RunFolder,
    images: Iterable[Path | tuple[str, bytes]],
    stage: int | None = None,
    tta: bool = False,
    *,
    views: int | None = None,
    beta: float | None = None,
    device: str = "cpu",
    loaded: LoadedStage | None = None,
) -> list[dict[str, Any]]:
    """Per image `image`, `label`, `probabilities` {class: p}; or `image`, `error`, `fix`.

    With views, `plain` says label and probabilities without them. Where a second target was learnt,
    `second` says target, label and probabilities of that (always without views). `notes`: what is
    remarkable about the file, where something is.

    Images are files or (name, bytes). A bad one does not keep the others from being answered.
    """
    loaded = loaded or load_stage(run, stage, device)
    found = about(loaded, tta, views, beta)
    return [as_dict(found, one) for one in answers(loaded, images, tta, views=views, beta=beta)]
