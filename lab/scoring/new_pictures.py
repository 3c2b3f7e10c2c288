"""Answers for pictures that belong to no data set: uploads, files, folders, zips.

    for answer in answers(loaded, [Path("leaf.jpg"), ("pasted.png", data)], tta=True): ...
    named = pictures_in([Path("photos"), Path("more.zip")], unpack_to)      # (name, path)

One picture at a time, whatever their number: the page, a task over a folder and the command line
give the same numbers to the last bit, and a bad picture is an answer in words.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lab.analysis.predicted import Answer
from lab.data.archive import unpack
from lab.data.images import FIX, FORMATS, MAX_BYTES, Picture, read_picture
from lab.data.listing import list_folder
from lab.data.transform import TestTransform
from lab.errors import LabError
from lab.scoring.stages import LoadedStage
from lab.scoring.views import tta_picture
from lab.vision.loader import to_input

Given = Path | tuple[str, bytes] | tuple[str, Path]

_ORIENTATION = 0x0112
_KINDS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG",
    ".webp": "WEBP", ".bmp": "BMP", ".dib": "BMP", ".gif": "GIF", ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip
_LONG = 2.0  # from here on a crop to the middle loses half of the picture


def answers(
    loaded: LoadedStage,
    images: Iterable[Given],
    tta: bool = False,
    *,
    views: int | None = None,
    beta: float | None = None,
    thumb_px: int = 0,
) -> Iterator[Answer]:
    """One answer a picture, in order. `thumb_px`: also a JPEG whose longer side is that."""
    for image in images:
        name, source = image if isinstance(image, tuple) else (written(str(image)), image)
        try:
            yield _answer(loaded, name, source, tta, views, beta, thumb_px)
        except LabError as error:
            yield Answer(name, error=error.what, fix=error.fix)
        except MemoryError:
            yield Answer(name, error=f"{name} takes more memory than there is.", fix=FIX)


def about(loaded: LoadedStage, tta: bool, views: int | None, beta: float | None) -> dict[str, Any]:
    """Whose answers these are: run, stage, size, targets with their classes, views and weight."""
    model, transform = loaded.info["model"], loaded.transform()
    usual = loaded.run.recipe().evaluation
    return {
        "run": loaded.run.id,
        "stage": loaded.number,
        "size": [transform.height, transform.width],
        "target": model.get("target", ""),
        "classes": loaded.classes,
        "second_target": model.get("second_target", "") if loaded.second_classes else "",
        "second_classes": loaded.second_classes,
        "tta": (max(usual.tta_views, 1) if views is None else views) if tta else 0,
        "beta": usual.tta_beta if beta is None else beta,
    }


def as_dict(found: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """What `predict --json` prints of one picture. `found`: the words of `about`."""
    if answer.error:
        return {"image": answer.name, "error": answer.error, "fix": answer.fix}
    assert answer.plain is not None
    classes, shown = found["classes"], {"image": answer.name}
    shown |= _named(classes, answer.probs)
    if answer.average is not None:
        shown["plain"] = _named(classes, answer.plain)
    if answer.second is not None:
        second = _named(found["second_classes"], answer.second)
        shown["second"] = {"target": found["second_target"], **second}
    return {**shown, **({"notes": list(answer.notes)} if answer.notes else {})}


def pictures_in(paths: Iterable[Path], unpack_to: Path) -> tuple[list[tuple[str, Path]], list[str]]:
    """(name, file) of all pictures of files, folders and zips, and notes on what was left out.

    A file is taken whatever its name; of folders and zips only what has a picture's ending.
    LabError for a place that is not there and for a zip that cannot be unpacked.
    """
    found: list[tuple[str, Path]] = []
    notes: list[str] = []
    for number, path in enumerate(paths):
        packed = path.suffix.lower() == ".zip" and path.is_file()
        if not packed and not path.is_dir():
            found.append((written(str(path)), path))
            continue
        listing = unpack(path, _fresh(unpack_to, number)) if packed else list_folder(path)
        found += [(entry.name, listing.root / entry.path) for entry in listing.images]
        notes += [*listing.notes(), *(f"{name}: {why}." for name, why in listing.skipped)]
    return found, notes


def written(name: str) -> str:
    """A file name as text that can be printed: bytes that are no UTF-8 come as backslashes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _fresh(place: Path, number: int) -> Path:
    folder = place / f"{number:03d}"
    folder.mkdir(parents=True)
    return folder


def _answer(
    loaded: LoadedStage,
    name: str,
    source: Path | bytes,
    tta: bool,
    views: int | None,
    beta: float | None,
    thumb_px: int,
) -> Answer:
    shown, transform = Path(name).name or name, loaded.transform()
    data = source if isinstance(source, bytes) else _bytes_of(source, shown)
    picture = read_picture(data, shown)
    image = picture.image
    pixels = np.array(transform.apply(image))  # a copy: torch wants memory that it may write to
    plain = loaded.both(to_input(pixels[None], loaded.norm))
    found = tta_picture(loaded, image, views=views, beta=beta)["average"] if tta else None
    return Answer(
        name=name,
        plain=plain.first[0],
        average=found,
        second=None if plain.second is None else plain.second[0],
        notes=tuple(notes_on(data, name, picture, transform)),
        thumb=thumbnail(image, thumb_px) if thumb_px else b"",
    )


def notes_on(data: bytes, name: str, picture: Picture, transform: TestTransform) -> list[str]:
    """What a person should know of how a file became the network's picture. Reads its header."""
    notes = []
    kind = _KINDS.get(Path(name).suffix.lower())
    if kind and kind != picture.format:
        notes.append(f"a {picture.format} file, whatever its name says")
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        notes += _on_file(image, picture)
    low, high = sorted((picture.width, picture.height))
    size = f"{transform.width} × {transform.height}"
    if low < min(transform.height, transform.width) / 2:
        notes.append(f"only {picture.width} × {picture.height} px, enlarged to {size}")
    if transform.resize == "center" and high > _LONG * low:
        notes.append("far from square: only its middle is looked at")
    return notes


def _on_file(image: Image.Image, picture: Picture) -> Iterator[str]:
    if getattr(image, "is_animated", False):
        several = "picture" if picture.format in ("TIFF", "JPEG") else "frame of an animation"
        yield f"the first {several}" + (" of several" if several == "picture" else "")
    try:
        turned = image.getexif().get(_ORIENTATION, 1) in range(2, 9)
    except Exception:  # damaged EXIF is common and says nothing about the pixels
        turned = False
    if turned:
        yield "turned upright, as its EXIF data say"
    if picture.mode == "CMYK":
        yield "CMYK inks as RGB"
    if picture.mode.startswith("I") or picture.mode == "F":
        yield "more than 8 bits a pixel, scaled to 8"
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        yield "what is transparent shows white"


def thumbnail(image: Image.Image, side_px: int) -> bytes:
    """A small JPEG, its longer side at most `side_px`; never enlarged."""
    width, height = image.size
    scale = min(1.0, side_px / max(width, height))
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    small = image.resize(shape, Image.Resampling.HAMMING, reducing_gap=2.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=82)
    return file.getvalue()


def _bytes_of(path: Path, name: str) -> bytes:
    try:
        if path.is_dir():
            raise LabError(f"{name} is a folder.", "Name the pictures in it.")
        if path.stat().st_size > MAX_BYTES:
            raise LabError(f"{name} has more than {MAX_BYTES // 10**6} MB.", FIX)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a possible name"
        raise LabError(f"{name} cannot be read ({reason}).", "Check the file.") from error


def _named(classes: Sequence[str], probs: Any) -> dict[str, Any]:
    shares = [float(p) for p in probs]
    label = classes[max(range(len(shares)), key=shares.__getitem__)]
    return {"label": label, "probabilities": dict(zip(classes, shares))}
