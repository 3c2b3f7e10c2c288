"""A stage as a directory that plain timm loads, and the proof that it says the same there.

write_timm(loaded, folder, transform)
# anywhere: timm.create_model("local-dir:FOLDER", pretrained=True)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from timm.data import create_transform, resolve_model_data_config

from lab.data.images import open_rgb
from lab.data.transform import TestTransform
from lab.errors import LabError
from lab.scoring.predictions import name_of, read_predictions
from lab.scoring.stages import LoadedStage, open_run
from lab.workspace import Workspace, read_json, write_json

IMAGES = 16  # compared after each export
TOLERANCE = 1e-4
CLAIMS = ("tag", "license", "paper_ids", "paper_name", "origin_url", "notes", "hf_hub_id", "url")


def write_timm(loaded: LoadedStage, folder: Path, transform: TestTransform) -> None:
    """config.json and model.safetensors, sizes in the data config.

    input_size and test_input_size are both the scored size: timm's default ignores the second, and
    ViT and Swin raise where the first is not the size they were built for.
    """
    loaded.at((transform.height, transform.width))
    size = (3, transform.height, transform.width)
    data_config = {
        **transform.timm(),
        "test_input_size": size,
        "test_crop_pct": transform.crop_pct,
        "mean": loaded.network.mean,
        "std": loaded.network.std,
    }
    model = loaded.network.model.to("cpu", memory_format=torch.contiguous_format)
    timm.models.save_for_hf(
        model,
        str(folder),
        model_config=outputs(loaded),
        data_config=data_config,
        safe_serialization=True,
    )
    _drop_claims(folder / "config.json")
    _check_config(folder, data_config)
    loaded.network.model.to(loaded.device, memory_format=torch.channels_last)


def outputs(loaded: LoadedStage) -> dict[str, Any]:
    """What the outputs mean: label_names in their order and, for two targets, how many each has."""
    names = [*loaded.classes, *loaded.second_classes]
    if not loaded.second_classes:
        return {"label_names": names}
    model = loaded.info["model"]
    sizes = {model["target"]: len(loaded.classes), model["second_target"]: len(names)}
    sizes[model["second_target"]] -= len(loaded.classes)
    return {"label_names": names, "targets": sizes}


def _drop_claims(file: Path) -> None:
    """timm copies tag and licence of its own weights, even for a model that never had them."""
    config = read_json(file)
    for key in CLAIMS:
        config["pretrained_cfg"].pop(key, None)
    write_json(file, config)


def _check_config(folder: Path, wanted: dict[str, Any]) -> None:
    """What another timm might drop silently must be in the file."""
    written = read_json(folder / "config.json")["pretrained_cfg"]
    for key in ("input_size", "crop_mode", "crop_pct", "interpolation", "mean", "std"):
        expected = list(wanted[key]) if isinstance(wanted[key], tuple) else wanted[key]
        if written.get(key) != expected:
            raise LabError(
                f"timm {timm.__version__} did not keep {key} in the exported configuration.",
                "Install the version in requirements.txt.",
            )


def parity(
    workspace: Workspace, loaded: LoadedStage, folder: Path, transform: TestTransform
) -> dict[str, Any]:
    """Load the directory with plain timm and compare it on some validation images with the stored
    probabilities: {"images", "max_difference"}; or {"images": 0, "note"} where they are gone.

    Raises LabError where they differ by more than 1e-4: such an export would be another model.
    """
    try:
        opened = open_run(workspace, loaded)
    except LabError as error:
        return {"images": 0, "max_difference": None, "note": f"Not compared: {error.what}"}
    stored = read_predictions(
        loaded.run, name_of(loaded.number, (transform.height, transform.width))
    )
    if stored is None:
        return {"images": 0, "max_difference": None, "note": "Not compared: no stored predictions."}
    picked = np.linspace(0, len(stored["item"]) - 1, min(IMAGES, len(stored["item"]))).astype(int)
    files = [opened.dataset.path(int(item)) for item in stored["item"][picked]]
    found = plain_timm(folder, files, len(loaded.classes))
    worst = float(np.abs(found - stored["probs"][picked]).max())
    if not worst <= TOLERANCE:
        raise LabError(
            f"The exported model differs from the scored one by {worst:.2g} in a probability.",
            "Nothing was exported. Report this, with the versions of torch and timm.",
        )
    return {"images": len(picked), "max_difference": worst}


@torch.inference_mode()
def plain_timm(folder: Path, files: list[Path], classes: int) -> np.ndarray:
    """Probabilities of picture files by timm's own loading and transform: float32 (n, classes),
    those of the first target where there are two."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    x = torch.stack([transform(open_rgb(file)) for file in files])
    return model(x)[:, :classes].float().softmax(dim=1).numpy()
