"""Test-time augmentation: every picture seen several times by one network in eval mode.

    tta_run(workspace, run)            -> {"plain", "tta", "views", "corrected", "corrupted", "p"}
    tta_image(workspace, run, item=7)  -> one picture's views as PNG, with what each of them says
    tta_picture(loaded, image)         -> the same for a picture that belongs to no run

Which views: families.py. View v of an item is a function of (seed, v, item): the page shows just
what the scores averaged. Plain pictures are answered in fp32, as in every score; views in the
precision that the run was trained in, where they are made on such a device.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image

from lab.analysis.tta import WAYS, average_by, growing, tta_report, usual_weights
from lab.analysis.view_families import RANDOM, kind_of
from lab.data.images import open_rgb
from lab.data.transform import TestTransform
from lab.errors import LabError
from lab.recipe.stage import Size, hw
from lab.runs.folder import RunFolder
from lab.scoring.families import (
    OnePicture,
    Source,
    StoredPictures,
    View,
    make_views,
    note_on,
    viewing_stage,
)
from lab.scoring.predictions import name_of, plain_size, read_predictions, write_predictions
from lab.scoring.stages import LoadedStage, Progress, load_stage, never, open_run, quiet
from lab.train.evaluation import BATCH, answers
from lab.vision.loader import TestPictures
from lab.workspace import Workspace

__all__ = ["note_on", "tta_image", "tta_picture", "tta_run", "view_precision", "viewing_stage"]
Stored = dict[str, np.ndarray]


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
    family: str = RANDOM,
    average: str = "fastai",
    device: str = "cpu",
) -> dict[str, Any]:
    """Scores of the validation part without and with views, and what they changed.

    None: the recipe's number of views and weight, the final size. `average`: one of WAYS. Writes
    `predictions/s<n>-<h>x<w>-tta[-<family>].npz` with item, target, plain, average (n, classes),
    views float32 (n, views, classes), beta, titles, precision, seconds (of the views), weights
    (sha256). Views that are stored for just these weights and pictures are not made again.
    Raises LabError for another family or way, Stopped on request.
    """
    loaded = load_stage(run, stage, device)
    views, beta = _choices(loaded, views, beta, average)
    transform = loaded.transform(hw(size) if size else None)
    shape = transform.height, transform.width
    wanted, note = make_views(loaded, family, views, shape)
    opened = open_run(workspace, loaded)
    pictures = opened.test_pictures(transform)
    name, precision = name_of(loaded.number, shape, kind_of(family)), view_precision(loaded)
    known = _known(run, name, loaded, pictures, precision, [view.title for view in wanted])
    plain = _plain(loaded, pictures, stop)
    source = StoredPictures(opened, transform, viewing_stage(loaded, shape), pictures)
    missing = wanted[known["views"].shape[1] if known else 0 :]
    seconds, found = _timed_views(loaded, source, missing, precision, progress, stop)
    if known:
        seconds += float(known["seconds"])
        found = [*np.moveaxis(known["views"], 1, 0), *found]
    seen = np.stack(found, axis=1) if found else np.empty((len(plain), 0, plain.shape[1]))
    arrays = {
        "plain": plain,
        "views": seen.astype(np.float32),
        "average": average_by(average, plain, seen, beta),
        "beta": np.float64(beta),
        "titles": np.array([view.title for view in wanted]),
        "precision": np.array(precision),
        "seconds": np.float64(seconds),
        "weights": np.array(loaded.info["sha256"]),
    }
    write_predictions(run, name, pictures, **arrays)
    return {
        "run": run.id,
        "stage": loaded.number,
        "size": plain_size(shape),
        "family": family,
        **tta_report(plain, seen, pictures.labels, beta, average),
        "precision": precision,
        "seconds": seconds,
        "note": note,
    }


def _timed_views(
    loaded: LoadedStage, source: StoredPictures, views: list[View], *rest: Any
) -> tuple[float, list[np.ndarray]]:
    """Seconds and answers; stores are built before the clock starts."""
    for view in views:
        view.prepare(source)
    since = time.perf_counter()
    found = list(_all_views(loaded, source, views, *rest))
    return time.perf_counter() - since, found


def tta_image(
    workspace: Workspace,
    run: RunFolder,
    item: int,
    stage: int | None = None,
    views: int | None = None,
    beta: float | None = None,
    size: Size | None = None,
    *,
    family: str = RANDOM,
    average: str = "fastai",
    loaded: LoadedStage | None = None,
) -> dict[str, Any]:
    """The views of one validation item, as `tta_picture` gives them, with `item`, `file`, `target`.

    `loaded`: a stage that is at hand already. LabError for an item outside the validation part.
    """
    loaded = loaded or load_stage(run, stage)
    opened = open_run(workspace, loaded)
    transform = loaded.transform(hw(size) if size else None)
    tests = opened.test_pictures(transform)
    if item not in tests.items:
        raise LabError(f"Item {item} is not among the validation images.", "Choose another.")
    row = int(np.flatnonzero(tests.items == item)[0])
    one = TestPictures(tests.images[row : row + 1], tests.labels[row : row + 1], np.array([item]))
    # A row of the stores for what is shown anyway; other sizes come from the original.
    viewing = viewing_stage(loaded, one.hw)
    source = _OneStored(opened.dataset.path(item), transform, viewing, one, opened)
    options = {"family": family, "average": average, "views": views, "beta": beta}
    shown = _shown(loaded, source, one.hw, **options)
    file = str(opened.dataset.items["file"].iat[item])
    return {"item": int(item), "file": file, "target": loaded.classes[one.labels[0]], **shown}


def tta_picture(
    loaded: LoadedStage,
    image: Image.Image,
    item: int = 0,
    *,
    views: int | None = None,
    beta: float | None = None,
    family: str = RANDOM,
    average: str = "fastai",
) -> dict[str, Any]:
    """Views of any upright RGB picture at the final size. `item` decides the random draws.

    Keys: classes, beta, note, precision, plain {png, probabilities, size}, views [{title, size,
    png, probabilities, average}] where `average` is the running one, and the final `average`.
    Probabilities follow `classes`.
    """
    transform = loaded.transform()
    shape = transform.height, transform.width
    source = OnePicture(image, transform, viewing_stage(loaded, shape), item)
    options = {"family": family, "average": average, "views": views, "beta": beta}
    return _shown(loaded, source, shape, **options)


def view_precision(loaded: LoadedStage) -> str:
    """fp32, bf16 or fp16: that of the run's training, on the kind of device that it trained on.

    Elsewhere fp32: a CPU without units for bf16 takes ten times as long in it.
    """
    made = loaded.run.resolved().get("resolved", {})
    here, there = loaded.device.split(":")[0], str(made.get("device", "")).split(":")[0]
    precision = str(made.get("precision", "fp32"))
    return precision if here == there and (here, precision) != ("cpu", "fp16") else "fp32"


def _choices(
    loaded: LoadedStage, views: int | None, beta: float | None, average: str
) -> tuple[int, float]:
    usual = loaded.run.recipe().evaluation
    views = max(usual.tta_views, 1) if views is None else views
    beta = usual.tta_beta if beta is None else beta
    if not 1 <= views <= 64:
        raise LabError(f"{views} views are asked for.", "Use 1 to 64.", where="views")
    if not 0 <= beta <= 1:
        raise LabError(f"The plain picture's weight is {beta}.", "Use 0 to 1.", where="beta")
    if average not in WAYS:
        raise LabError(
            f"There is no way of averaging called {average!r}.",
            f"Use {', '.join(WAYS)}.",
            where="average",
        )
    return views, beta


def _plain(loaded: LoadedStage, pictures: TestPictures, stop: Callable[[], bool]) -> np.ndarray:
    """Stored probabilities where they are of just these pictures; else the network is asked."""
    stored = read_predictions(loaded.run, name_of(loaded.number, pictures.hw))
    if stored and np.array_equal(stored["item"], pictures.items):
        return stored["probs"].astype(np.float32)
    return loaded.predict(pictures, stop)


def _known(
    run: RunFolder,
    name: str,
    loaded: LoadedStage,
    pictures: TestPictures,
    precision: str,
    titles: list[str],
) -> Stored | None:
    """The first views, where they are stored for these weights, pictures and precision."""
    stored = read_predictions(run, name)
    if not stored or "weights" not in stored or str(stored["weights"]) != loaded.info["sha256"]:
        return None
    kept = min(stored["views"].shape[1], len(titles))
    same = np.array_equal(stored["item"], pictures.items) and str(stored["precision"]) == precision
    if not (kept and same and stored["titles"][:kept].tolist() == titles[:kept]):
        return None
    seconds = float(stored["seconds"]) * kept / stored["views"].shape[1]
    return {"views": stored["views"][:, :kept], "seconds": np.float64(seconds)}


def _all_views(
    loaded: LoadedStage,
    source: Source,
    wanted: list[View],
    precision: str,
    progress: Progress,
    stop: Callable[[], bool],
) -> Iterator[np.ndarray]:
    """Per view, the probabilities of every picture: float32 (n, classes)."""
    n = len(source.items)
    for at, view in enumerate(wanted):
        found = []
        for start in range(0, n, BATCH):
            progress(at * n + start, len(wanted) * n)
            x = view.pixels(source, slice(start, start + BATCH))
            found.append(answered(loaded, x, precision, stop))
        yield np.concatenate(found)
    progress(len(wanted) * n, len(wanted) * n)


def answered(
    loaded: LoadedStage,
    x: torch.Tensor,
    precision: str = "fp32",
    stop: Callable[[], bool] = never,
) -> np.ndarray:
    """Probabilities (n, classes) of pictures (n, 3, h, w) in [0, 1]; the softmax is fp32."""
    x = loaded.norm(x.to(loaded.device))
    loaded.at((x.shape[-2], x.shape[-1]))
    second = len(loaded.second_classes)
    return answers(loaded.network.model, [(x, x)], loaded.device, precision, stop, second).first


class _OneStored:
    """One validation picture: its rows of the stores; other sizes from the original."""

    def __init__(self, path, transform: TestTransform, stage, plain: TestPictures, opened):
        self.items, self._plain = plain.items, plain
        self._path, self._transform, self._stage, self._opened = path, transform, stage, opened

    def exact(self, size: tuple[int, int], rows: slice) -> np.ndarray:
        if size == self._plain.hw:
            return np.asarray(self._plain.images[rows])
        return OnePicture(open_rgb(self._path), self._transform, self._stage).exact(size, rows)

    def kept(self, rows: slice) -> list[np.ndarray]:
        store = self._opened.ragged("valid", self._stage)
        return store.gather(store.rows_of(self.items[rows]))


def _shown(
    loaded: LoadedStage,
    source: Source,
    shape: tuple[int, int],
    *,
    family: str,
    average: str,
    views: int | None,
    beta: float | None,
) -> dict[str, Any]:
    views, beta = _choices(loaded, views, beta, average)
    wanted, note = make_views(loaded, family, views, shape)
    everything, precision = slice(None), view_precision(loaded)
    plain_pixels = source.exact(shape, everything)
    x = torch.from_numpy(np.array(plain_pixels)).permute(0, 3, 1, 2).to(torch.float32) / 255
    plain = answered(loaded, x)
    pixels = [view.pixels(source, everything) for view in wanted]
    looks = np.stack([plain, *(answered(loaded, x, precision) for x in pixels)], axis=1)[0]
    running = growing(average, looks, usual_weights(average, len(wanted), beta))
    shown = [
        {
            "title": view.title,
            "size": list(view.size),
            "png": _png(_bytes(x[0])),
            "probabilities": looks[at].tolist(),
            "average": running[at].tolist(),
        }
        for at, (view, x) in enumerate(zip(wanted, pixels), start=1)
    ]
    png = _png(np.ascontiguousarray(plain_pixels[0]))
    return {
        "classes": loaded.classes,
        "beta": beta,
        "note": note,
        "precision": precision,
        "plain": {"png": png, "probabilities": looks[0].tolist(), "size": list(shape)},
        "views": shown,
        "average": running[-1].tolist(),
    }


def _bytes(x: torch.Tensor) -> np.ndarray:
    """A view (3, h, w) in [0, 1] as uint8 (h, w, 3)."""
    return (x.permute(1, 2, 0).numpy() * 255).round().clip(0, 255).astype(np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
