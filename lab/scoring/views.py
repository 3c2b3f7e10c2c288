"""Test-time augmentation (fastai's): random views through the *training* transform, model in eval.

    tta_run(workspace, run)            -> {"plain", "tta", "views", "corrected", "corrupted", "p"}
    tta_image(workspace, run, item=7)  -> one picture's views as PNG, with what each of them says
    tta_picture(loaded, image)         -> the same for a picture that belongs to no run

View v of an item is a function of (seed, v, item): the page shows just what the scores averaged.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from lab.analysis.tta import fastai_average, running_averages, tta_report
from lab.data.pixels import kept_pixels
from lab.errors import LabError
from lab.recipe.stage import Size, Stage, hw
from lab.runs.folder import RunFolder
from lab.scoring.predictions import name_of, plain_size, read_predictions, write_predictions
from lab.scoring.stages import LoadedStage, Progress, load_stage, never, open_run, quiet
from lab.train.evaluation import BATCH
from lab.vision.loader import TestPictures, to_input, view_pixels
from lab.vision.rundata import RunData
from lab.workspace import Workspace


def tta_run(
    workspace: Workspace,
    run: RunFolder,
    stage: int | None = None,
    views: int | None = None,
    beta: float | None = None,
    size: Size | None = None,
    progress: Progress = quiet,
    stop: Callable[[], bool] = never,
    *,
    device: str = "cpu",
) -> dict[str, Any]:
    """Scores of the validation part without and with views, and what they changed.

    None: the recipe's number of views and weight, the final size. Writes
    `predictions/s<n>-<h>x<w>-tta.npz` with item, target, plain, average (n, classes), views
    float32 (n, views, classes), beta. Raises Stopped on request.
    """
    loaded = load_stage(run, stage, device)
    shape = hw(size) if size else None
    views, beta = _choices(loaded, views, beta)
    opened = open_run(workspace, loaded)
    pictures = opened.test_pictures(loaded.transform(shape))
    plain = _plain(loaded, pictures, stop)
    since = time.perf_counter()
    seen = np.stack(list(_all_views(loaded, opened, pictures, views, progress, stop)), axis=1)
    seconds = time.perf_counter() - since
    arrays = {"plain": plain, "views": seen, "average": fastai_average(plain, seen, beta)}
    name = name_of(loaded.number, pictures.hw, "tta")
    write_predictions(run, name, pictures, **arrays, beta=np.float64(beta))
    return {
        "run": run.id,
        "stage": loaded.number,
        "size": plain_size(pictures.hw),
        **tta_report(plain, seen, pictures.labels, beta),
        "seconds": seconds,
        "note": note_on(viewing_stage(loaded, pictures.hw)),
    }


def tta_image(
    workspace: Workspace,
    run: RunFolder,
    item: int,
    stage: int | None = None,
    views: int | None = None,
    beta: float | None = None,
    size: Size | None = None,
    *,
    loaded: LoadedStage | None = None,
) -> dict[str, Any]:
    """The views of one validation item, as `tta_picture` gives them, with `item`, `file`, `target`.

    `loaded`: a stage that is at hand already. LabError for an item outside the validation part.
    """
    loaded = loaded or load_stage(run, stage)
    opened = open_run(workspace, loaded)
    shape = hw(size) if size else (loaded.transform().height, loaded.transform().width)
    stage_ = viewing_stage(loaded, shape)
    tests, kept = opened.test_pictures(loaded.transform(shape)), opened.ragged("valid", stage_)
    if item not in tests.items or item not in kept.items:
        raise LabError(f"Item {item} is not among the validation images.", "Choose another.")
    row = int(np.flatnonzero(tests.items == item)[0])
    picture = np.ascontiguousarray(tests.images[row])
    views, beta = _choices(loaded, views, beta)
    shown = _shown(loaded, stage_, picture, kept.image(kept.row_of(item)), item, views, beta)
    file = str(opened.dataset.items["file"].iat[item])
    return {"item": int(item), "file": file, "target": loaded.classes[tests.labels[row]], **shown}


def tta_picture(
    loaded: LoadedStage,
    image: Image.Image,
    item: int = 0,
    *,
    views: int | None = None,
    beta: float | None = None,
) -> dict[str, Any]:
    """Views of any upright RGB picture at the final size. `item` decides the random draws.

    Keys: classes, beta, note, plain {png, probabilities}, views [{png, probabilities, average}]
    where `average` is the running one, and the final `average`. Probabilities follow `classes`.
    """
    transform = loaded.transform()
    stage = viewing_stage(loaded, (transform.height, transform.width))
    kept = kept_pixels(image, stage.stored_px)
    views, beta = _choices(loaded, views, beta)
    return _shown(loaded, stage, transform.apply(image), kept, item, views, beta)


def viewing_stage(loaded: LoadedStage, size: tuple[int, int]) -> Stage:
    """The stage whose training transform makes the views, at the size that is scored."""
    stage = loaded.stage
    return stage if stage.hw == size else stage.but(size=plain_size(size))


def note_on(stage: Stage) -> str:
    """What to know of views that cannot differ from each other; '' otherwise."""
    random = (stage.resize in ("crop", "pad") or stage.min_scale < 1) and stage.resize != "as-test"
    if random or stage.resize == "random-resized-crop" or not stage.augment.is_off:
        return ""
    return "This stage trains without random changes, so all its views are alike."


def _choices(loaded: LoadedStage, views: int | None, beta: float | None) -> tuple[int, float]:
    usual = loaded.run.recipe().evaluation
    views = usual.tta_views if views is None else views
    beta = usual.tta_beta if beta is None else beta
    if not 1 <= views <= 64:
        raise LabError(f"{views} views are asked for.", "Use 1 to 64.", where="views")
    if not 0 <= beta <= 1:
        raise LabError(f"The plain picture's weight is {beta}.", "Use 0 to 1.", where="beta")
    return views, beta


def _plain(loaded: LoadedStage, pictures: TestPictures, stop: Callable[[], bool]) -> np.ndarray:
    """Stored probabilities where they are of just these pictures; else the network is asked."""
    stored = read_predictions(loaded.run, name_of(loaded.number, pictures.hw))
    if stored and np.array_equal(stored["item"], pictures.items):
        return stored["probs"].astype(np.float32)
    return loaded.predict(pictures, stop)


def _all_views(
    loaded: LoadedStage,
    opened: RunData,
    pictures: TestPictures,
    views: int,
    progress: Progress,
    stop: Callable[[], bool],
) -> Iterator[np.ndarray]:
    """Per view, the probabilities of every picture: float32 (n, classes)."""
    stage = viewing_stage(loaded, pictures.hw)
    kept, seed = opened.ragged("valid", stage), opened.recipe.seed
    for view in range(views):
        found = []
        for start in range(0, len(pictures), BATCH):
            progress(view * len(pictures) + start, views * len(pictures))
            items = pictures.items[start : start + BATCH]
            x = view_pixels(kept.gather(kept.rows_of(items)), stage, items, seed, view)
            found.append(loaded.softmax(loaded.norm(x.to(loaded.device)), stop))
        yield np.concatenate(found)
    progress(views * len(pictures), views * len(pictures))


def _shown(
    loaded: LoadedStage,
    stage: Stage,
    picture: np.ndarray,
    kept: np.ndarray,
    item: int,
    views: int,
    beta: float,
) -> dict[str, Any]:
    seed, items = loaded.run.recipe().seed, np.array([item])
    plain = loaded.softmax(to_input(picture[None], loaded.norm))
    pixels = [view_pixels([kept], stage, items, seed, view) for view in range(views)]
    seen = np.stack([loaded.softmax(loaded.norm(x.to(loaded.device))) for x in pixels], axis=1)
    running = running_averages(plain, seen, beta)[0]
    shown = [
        {"png": _png(_bytes(x[0])), "probabilities": seen[0, v].tolist(), "average": after.tolist()}
        for v, (x, after) in enumerate(zip(pixels, running[1:]))
    ]
    return {
        "classes": loaded.classes,
        "beta": beta,
        "note": note_on(stage),
        "plain": {"png": _png(picture), "probabilities": plain[0].tolist()},
        "views": shown,
        "average": running[-1].tolist(),
    }


def _bytes(x: Any) -> np.ndarray:
    """A view (3, h, w) in [0, 1] as uint8 (h, w, 3)."""
    return (x.permute(1, 2, 0).numpy() * 255).round().clip(0, 255).astype(np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
