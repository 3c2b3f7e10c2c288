"""The helper's work: short looks through a network or a transform, pictures as PNG bytes.

Each op(arguments, workspace) -> (JSON values, PNGs); the helper runs one at a time.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image

from lab.data.catalog import materialise
from lab.data.dataset import Dataset
from lab.data.images import open_rgb
from lab.data.pixels import kept_pixels
from lab.errors import LabError
from lab.recipe import Recipe, recipe_from
from lab.recipe.stage import Stage
from lab.runs.folder import RunFolder, find_run
from lab.scoring.many_pictures import THUMB_PX
from lab.scoring.new_pictures import about, answers
from lab.scoring.stages import LoadedStage, load_stage
from lab.scoring.views import tta_image as views_of_image
from lab.scoring.views import tta_picture
from lab.train.model import IMAGENET
from lab.train.model_facts import model_facts as probe_model
from lab.vision.draws import uniforms
from lab.vision.loader import DRAWS, random_pixels
from lab.vision.randaugment import rand_draws
from lab.vision.transforms import test_transform
from lab.workers import resolution
from lab.workspace import Workspace, read_json, write_json

Reply = tuple[dict[str, Any], list[bytes]]
MAX_PICTURES, MAX_DRAWS, KEPT_STAGES = 24, 12, 3


def model_facts(arguments: dict[str, Any], workspace: Workspace) -> Reply:
    """Facts of the timm architecture `name`, remembered in the workspace."""
    facts = probe_model(str(arguments["name"])).as_dict()
    path = workspace.facts / "models.json"
    with FileLock(str(workspace.locks / "models.lock"), timeout=10):
        write_json(path, {**read_json(path, {}), facts["name"]: facts})
    return {"facts": facts}, []


def stage_views(arguments: dict[str, Any], workspace: Workspace) -> Reply:
    """What a stage shows the network: of each item its test picture and `draws` training ones.

    Values: pictures [{item, kind: test | train, height, width, label}], in the order of the PNGs.
    Another `roll` gives other random draws.
    """
    recipe = recipe_from(arguments["recipe"])
    stage = recipe.stages[int(arguments["stage"])]
    dataset = materialise(workspace, recipe.dataset)
    target = dataset.target(recipe.dataset.target)
    names, labels = dataset.targets[target], dataset.labels(target)
    draws, roll = min(int(arguments.get("draws", 2)), MAX_DRAWS), int(arguments.get("roll", 0))
    described, pngs = [], []
    for item in [int(item) for item in arguments["items"]][:MAX_PICTURES]:
        _check_item(dataset, item)
        label = names[labels[item]] if labels[item] >= 0 else ""
        for kind, pixels in _seen(recipe, stage, dataset, item, draws, roll):
            height, width = pixels.shape[:2]
            described.append(
                {"item": item, "kind": kind, "height": height, "width": width, "label": label}
            )
            pngs.append(_png(pixels))
    return {"pictures": described}, pngs


def _seen(
    recipe: Recipe, stage: Stage, dataset: Dataset, item: int, draws: int, roll: int
) -> list[tuple[str, np.ndarray]]:
    """The picture as the stage's test transform and as `draws` training draws give it, uint8."""
    picture = open_rgb(dataset.path(item))
    shown = [("test", test_transform(stage, IMAGENET[0]).apply(picture))]
    kept = kept_pixels(picture, stage.stored_px)
    for draw in range(draws):
        u = uniforms(1, DRAWS, "preview", recipe.seed, roll, draw, item)
        r = rand_draws(stage.augment, 1, "preview", recipe.seed, roll, draw, item)
        x = random_pixels([kept], stage, u, r=r)[0]
        shown.append(("train", (x.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)))
    return shown


def tta_image(arguments: dict[str, Any], workspace: Workspace) -> Reply:
    """Every view of one validation image, its probabilities and the running average.

    PNGs: the plain picture, then each view.
    """
    run = find_run(workspace, str(arguments["run"]))
    loaded = kept_stage(run, arguments.get("stage"))
    item, options = int(arguments["item"]), _view_options(arguments)
    found = views_of_image(workspace, run, item=item, loaded=loaded, **options)
    values, pngs = _looks(found)
    return {"item": found["item"], "file": found["file"], "truth": found["target"], **values}, pngs


def tta_upload(arguments: dict[str, Any], workspace: Workspace) -> Reply:
    """The same for a picture file of one's own: its bytes are the blob, `name` is its name."""
    loaded = kept_stage(find_run(workspace, str(arguments["run"])), arguments.get("stage"))
    picture = open_rgb(arguments["blobs"][0], name=str(arguments.get("name", "The picture")))
    return _looks(tta_picture(loaded, picture, **_view_options(arguments)))


def _view_options(arguments: dict[str, Any]) -> dict[str, Any]:
    names = ("views", "beta", "family", "average")
    return {name: arguments[name] for name in names if arguments.get(name) is not None}


def _looks(found: dict[str, Any]) -> Reply:
    plain, views = found["plain"], found["views"]
    values = {
        "classes": found["classes"],
        "note": found["note"],
        "beta": found["beta"],
        "precision": found["precision"],
        "plain": plain["probabilities"],
        "views": [view["probabilities"] for view in views],
        "titles": [view["title"] for view in views],
        "sizes": [plain["size"], *(view["size"] for view in views)],
        "running": [plain["probabilities"], *(view["average"] for view in views)],
        "average": found["average"],
    }
    return values, [plain["png"], *(view["png"] for view in views)]


def test_image(arguments: dict[str, Any], workspace: Workspace) -> Reply:
    """One item through the final test transform of a run's stage: what was scored, as PNG."""
    run = find_run(workspace, str(arguments["run"]))
    loaded = kept_stage(run, arguments.get("stage"))
    dataset = materialise(workspace, run.recipe().dataset)
    item = int(arguments["item"])
    _check_item(dataset, item)
    pixels = loaded.transform().apply(open_rgb(dataset.path(item)))
    return {"item": item, "height": pixels.shape[0], "width": pixels.shape[1]}, [_png(pixels)]


def predict(arguments: dict[str, Any], workspace: Workspace) -> Reply:
    """Answers for `pictures` [{name, file}], files of the workspace's uploads, one after the other.

    Values: `about`, and of each picture name, plain, average, second, notes, error, fix.
    Blobs: a thumbnail of each, empty where it could not be read.
    """
    loaded = kept_stage(find_run(workspace, str(arguments["run"])), arguments.get("stage"))
    tta = bool(arguments.get("tta"))
    given = [(str(one["name"]), _upload(workspace, one["file"])) for one in arguments["pictures"]]
    found = list(answers(loaded, given[:MAX_PICTURES], tta, thumb_px=THUMB_PX))
    values = [{**vars(one), "notes": list(one.notes), "thumb": ""} for one in found]
    listed = [{k: _listed(v) for k, v in one.items()} for one in values]
    words = about(loaded, tta, None, None)
    return {"about": words, "pictures": listed}, [one.thumb for one in found]


def _upload(workspace: Workspace, file: Any) -> Path:
    """A file below the uploads, and nowhere else."""
    path = (workspace.uploads / str(file)).resolve()
    if not path.is_relative_to(workspace.uploads.resolve()):
        raise LabError("Only uploads are looked at.", "Send the picture again.")
    return path


def _listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def resolution_views(arguments: dict[str, Any], workspace: Workspace) -> Reply:
    """One picture through every stage of a run."""
    return resolution.stages_of(arguments, workspace)


def size_answer(arguments: dict[str, Any], workspace: Workspace) -> Reply:
    """What a stage says of one picture at one size."""
    return resolution.answer_of(arguments, workspace, kept_stage)


def grad_cam(arguments: dict[str, Any], workspace: Workspace) -> Reply:
    """Where in one picture, at one size, a stage finds the evidence for a class."""
    return resolution.evidence_of(arguments, workspace, kept_stage)


def _check_item(dataset: Dataset, item: int) -> None:
    if not 0 <= item < len(dataset):
        raise LabError(f"There is no picture {item} in {dataset.name}.", "Reload the page.")


_stages: OrderedDict[tuple[str, int | None], LoadedStage] = OrderedDict()


def kept_stage(run: RunFolder, stage: int | None) -> LoadedStage:
    """A loaded stage, the most recent few kept: loading and verifying takes half a second."""
    key = (str(run.path), stage)
    if key not in _stages:
        _stages[key] = load_stage(run, stage)
    _stages.move_to_end(key)
    while len(_stages) > KEPT_STAGES:
        _stages.popitem(last=False)
    return _stages[key]


def _png(pixels: np.ndarray) -> bytes:
    """uint8 (h, w, 3) as PNG, quickly."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
