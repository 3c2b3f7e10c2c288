"""Any picture file as plain 8-bit RGB, or an error that says what the file is instead.

    image = open_rgb(Path("shirt.jpg"))

Choices: the first frame of an animation; EXIF orientation applied; alpha laid over white; 16-bit
grey scaled by its full range; colour profiles and all other metadata dropped.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lab.errors import LabError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
# Below Pillow's own limit of 89 Mpx, so that ours always speaks first. 240 MB as RGB.
MAX_PIXELS = 80_000_000
MAX_BYTES = 200_000_000
FIX = "Leave it out, or save it again as JPEG or PNG."

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MAGIC = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"8BPS", "a Photoshop file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\xff\xd8\xff", "a damaged JPEG"),
    (b"\x89PNG", "a damaged PNG"),
    (b"GIF8", "a damaged GIF"),
)


@dataclass(frozen=True)
class Picture:
    """A decoded picture; `width`, `height`: its full size, upright, even if `image` is reduced."""

    image: Image.Image  # RGB, upright
    width: int
    height: int
    mode: str  # Pillow's mode in the file
    format: str


def open_rgb(
    source: Path | bytes,
    *,
    name: str = "",
    max_pixels: int = MAX_PIXELS,
    short_px: int | None = None,
) -> Image.Image:
    """The picture as RGB, upright, without metadata.

    With `short_px`, a JPEG may come out reduced, its short side at least `short_px`: cheaper, not
    the exact pixels. Raises LabError for what is no picture, is cut off, or has over `max_pixels`.
    """
    data, name = (source, name) if isinstance(source, bytes) else _bytes_of(source, name)
    picture = read_picture(data, name, max_pixels=max_pixels, short_px=short_px)
    return picture.image.copy()  # a plain picture: the decoder's object remembers the metadata


def read_picture(
    data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, short_px: int | None = None
) -> Picture:
    """Like `open_rgb`, with the size and kind of what was in the file."""
    image = _opened(data, name, max_pixels)
    mode, format_, (width, height) = image.mode, image.format or "", image.size
    try:
        if short_px is not None and format_ in ("JPEG", "MPO"):
            image.draft(None, (short_px, short_px))
        reduced = image.size != (width, height)
        image.load()
        upright = _upright(image)
        rgb = _as_rgb(upright)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen types for damaged files
        raise LabError(f"{name} is cut off or damaged ({_reason(error)}).", FIX) from error
    rgb.info.clear()
    if not reduced:
        width, height = rgb.size
    elif upright is not image and (upright.size != image.size or _swaps(image)):
        width, height = height, width
    return Picture(rgb, width, height, mode, "JPEG" if format_ == "MPO" else format_)


def what_is(data: bytes) -> str:
    """What the first bytes of a file look like, in words: "text", "a PDF", "an SVG drawing" ..."""
    if not data:
        return "empty, 0 bytes"
    head = data[:2048]
    for magic, words in _MAGIC:
        if head.startswith(magic):
            return words
    if head[4:8] == b"ftyp":
        kind = head[8:12].decode("latin-1").strip()
        return {"avif": "an AVIF picture", "heic": "a HEIC photo"}.get(kind, f"a {kind} file")
    return _text_kind(head)


def _text_kind(head: bytes) -> str:
    lowered = head.lower()
    if b"<svg" in lowered:
        return "an SVG drawing"
    if b"<html" in lowered or b"<!doctype html" in lowered:
        return "a web page"
    try:
        head[:-4].decode("utf-8")  # without the last bytes: a character may be cut there
    except UnicodeDecodeError:
        return "of an unknown kind"
    return "of an unknown kind" if b"\0" in head else "text"


def _bytes_of(path: Path, name: str) -> tuple[bytes, str]:
    path = Path(path)
    name = name or path.name
    try:
        if path.stat().st_size > MAX_BYTES:
            raise LabError(f"{name} has more than {MAX_BYTES // 10**6} MB.", FIX)
        return path.read_bytes(), name
    except OSError as error:
        raise LabError(f"{name} cannot be read ({error.strerror}).", "Check the file.") from error


def _opened(data: bytes, name: str, max_pixels: int) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LabError(
            f"{name} has too many pixels.", "Make it smaller, or leave it out."
        ) from error
    except Exception as error:
        kind = what_is(data)
        verb = "is" if kind.startswith(("empty", "of")) else "is not an image: it is"
        raise LabError(f"{name} {verb} {kind}.", FIX) from error
    if image.width * image.height > max_pixels:
        raise LabError(
            f"{name} has {image.width} × {image.height} pixels; at most "
            f"{max_pixels / 1e6:g} million are read.",
            "Make it smaller, or leave it out.",
        )
    return image


def _reason(error: Exception) -> str:
    words = str(error).splitlines()
    return words[0][:120] if words else type(error).__name__


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF is common and says nothing about the pixels
        return None


def _swaps(image: Image.Image) -> bool:
    turn = _turn(image)
    return turn in (_TURNS[5], _TURNS[6], _TURNS[7], _TURNS[8])


def _upright(image: Image.Image) -> Image.Image:
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_grey16(np.asarray(image).astype(np.uint32))
    if image.mode in ("I", "F"):
        return _from_wide_grey(np.asarray(image).astype(np.float64))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        above = image.convert("RGBA")
        white = Image.new("RGBA", above.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, above).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_grey16(values: np.ndarray) -> Image.Image:
    """0..65535 to 0..255, rounded: Pillow's own conversion clips everything above 255 to white."""
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")


def _from_wide_grey(values: np.ndarray) -> Image.Image:
    """32-bit grey: as 16-bit where it fits, else stretched from its smallest to its largest."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    whole = bool(np.all(values == np.floor(values)))
    if whole and low >= 0 and 255 < high <= 65535:
        return _from_grey16(values.astype(np.uint32))
    if whole and low >= 0 and high <= 255:
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if not np.isfinite([low, high]).all():
        raise ValueError("its values are not finite")
    scaled = (np.nan_to_num(values, nan=low) - low) * (255 / ((high - low) or 1))
    return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")
