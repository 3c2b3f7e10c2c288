"""First weights from a stage of another run, verified before they are used.

start = start_weights(workspace, recipe.model)          # None unless model.weights is run
network = build(recipe, n_classes, groups, size, start, classes)
"""

from __future__ import annotations

from lab.errors import LabError
from lab.recipe.model import ModelSpec
from lab.runs.folder import find_run
from lab.scoring.stages import load_stage
from lab.train.weights import StartWeights, demand_architecture
from lab.workspace import Workspace


def start_weights(workspace: Workspace, spec: ModelSpec) -> StartWeights | None:
    """The weights that model.run and model.run_stage name, with their normalisation and classes.

    Raises LabError for a run that is not there, a stage that is not finished, weights whose
    checksum is another than was written down, and for another architecture.
    """
    if spec.weights != "run":
        return None
    if not spec.run:
        raise LabError("No run is named.", "Choose one in model.run.", where="model.run")
    try:
        run = find_run(workspace, spec.run)
    except LabError as error:
        raise LabError(error.what, error.fix, where="model.run") from error
    demand_architecture(spec, run.recipe().model.name, f"run {run.id}")
    loaded = load_stage(run, spec.run_stage)
    height, width = loaded.info["size"]
    model = loaded.info["model"]
    return StartWeights(
        tensors=loaded.weights,
        mean=tuple(model["mean"]),
        std=tuple(model["std"]),
        source_words=f"stage {loaded.number} (from 0) of run {run.id} ({height}×{width} px)",
        architecture=model["name"],
        size=(height, width),
        classes=(*model["classes"], *model.get("second_classes", ())),
    )
