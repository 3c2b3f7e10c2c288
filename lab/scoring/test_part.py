"""What a finished stage says of the locked test part, stored on demand for ensembles.

    score_test(workspace, run)       # writes predictions/s<n>-<h>x<w>-test.npz; shows no score

The file holds item, target, probs float32, and: `weights` (digest of the network), `touched` (items
held out by this run that it has seen after all), `unsure` (whether that could not be found out).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lab.data.catalog import materialise
from lab.data.split import parts
from lab.errors import LabError
from lab.recipe.model import Recipe
from lab.runs.folder import RunFolder, find_run
from lab.scoring.predictions import name_of, plain_size, read_predictions, write_predictions
from lab.scoring.stages import load_stage, never, open_run
from lab.scoring.test_sizes import predicted
from lab.vision.rundata import Progress, RunData, quiet
from lab.workspace import Workspace

MOST_ANCESTORS = 32  # of a run that began with another's weights, which began with ...


def score_test(
    workspace: Workspace,
    run: RunFolder,
    stage: int | None = None,
    *,
    device: str = "cpu",
    progress: Progress = quiet,
    stop: Callable[[], bool] = never,
) -> dict[str, Any]:
    """Predict the locked part at the final size, unless that is there already.

    Shows no score, so it is no look at the locked part yet. Raises LabError where there is none,
    where the pictures have changed and where weights are damaged; Stopped on request.
    """
    loaded = load_stage(run, stage, device)
    opened = open_run(workspace, loaded)
    if not len(opened.parts.test):
        raise LabError(
            f"Run {run.id} has no locked test part.",
            "Train with dataset.split.test_fraction above 0, or with data that bring a test part.",
            where="dataset.split.test_fraction",
        )
    transform = loaded.transform()
    name = name_of(loaded.number, (transform.height, transform.width), "test")
    known = {"run": run.id, "stage": loaded.number}
    known["size"] = plain_size((transform.height, transform.width))
    if (n := _stored(run, name, loaded.info["sha256"])) is not None:
        return {**known, "n": n}
    pictures = opened.test_pictures(transform, "test", progress)
    if not len(pictures):
        raise LabError("No picture of the test part can be read.", "Check the files.")
    probs = predicted(loaded, pictures, "Scoring the locked test part", progress, stop)
    touched, unsure = touched_items(workspace, opened)
    facts = {"weights": np.array(loaded.info["sha256"]), "touched": touched}
    write_predictions(run, name, pictures, probs=probs, **facts, unsure=np.array(unsure))
    return {**known, "n": len(pictures)}


def _stored(run: RunFolder, name: str, digest: str) -> int | None:
    """How many predictions of just these weights are there; None where there are none."""
    stored = read_predictions(run, name)
    if stored is None or str(stored.get("weights", "")) != digest:
        return None
    return len(stored["item"])


def touched_items(workspace: Workspace, opened: RunData) -> tuple[np.ndarray, bool]:
    """(item numbers of validation and test pictures that the weights have met, unsure).

    Met: a picture with the same bytes was trained on here, or trained or validated on by a run
    whose weights this one began with; for test pictures also: validated on here. Unsure: such a
    run, or its data, is gone; or the weights came out of a file.
    """
    divided, content = opened.parts, opened.dataset.items["sha1"].to_numpy()
    earlier, unsure = _met_by_ancestors(workspace, opened.recipe)
    met = earlier | set(content[divided.train])
    held = np.concatenate([divided.valid, divided.test])
    copies = divided.test[np.isin(content[divided.test], content[divided.valid])]
    found = np.concatenate([held[np.isin(content[held], list(met))], copies])
    return np.unique(found).astype(np.int32), unsure


def _met_by_ancestors(workspace: Workspace, recipe: Recipe) -> tuple[set[str], bool]:
    """(sha1 of every picture that runs it began with trained or validated on, unsure)."""
    met: set[str] = set()
    for _ in range(MOST_ANCESTORS):
        if recipe.model.weights != "run":
            return met, recipe.model.weights == "file"
        try:
            run = find_run(workspace, recipe.model.run)
            recipe = run.recipe()
            dataset = materialise(workspace, recipe.dataset)
            if run.resolved().get("data", dataset.fingerprint) != dataset.fingerprint:
                return met, True
            divided = parts(dataset, recipe.dataset.split, recipe.dataset.target)
        except LabError:
            return met, True
        content = dataset.items["sha1"].to_numpy()
        met |= set(content[divided.train]) | set(content[divided.valid])
    return met, True
