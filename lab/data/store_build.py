"""Builds stores: every original is read and decoded once and feeds all stores that want it.

A picture's pixels in a train store depend on the file, the presize and `derive_from_px` alone,
never on which stores happened to exist: a rebuilt store is the same store, so a resumed run is the
same run.
"""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from lab.data.dataset import Dataset
from lab.data.images import read_picture
from lab.data.parallel import Progress, each
from lab.data.pixels import DRAFT, draft_scale, kept_pixels, kept_shape
from lab.data.store_files import PIXELS, TrainStore, write_store
from lab.data.transform import TestTransform
from lab.errors import LabError


@dataclass(frozen=True, eq=False)
class StoreRequest:
    """A train store (`presize_px`) or a test store (`transform`) of some items, in this order.

    `derive_from_px`: the pixels are those of a train store of that larger presize, made smaller.
    If that store exists, nothing is decoded.
    """

    items: np.ndarray
    presize_px: int | None = None
    derive_from_px: int | None = None
    transform: TestTransform | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What decides the pixels besides the originals, as JSON values."""
        if self.transform:
            return {"kind": "test", "transform": self.transform.as_dict()}
        derived = {"derive_from_px": self.derive_from_px} if self.derive_from_px else {}
        return {"kind": "train", "presize_px": self.presize_px, **derived}

    def shapes(self, dataset: Dataset) -> np.ndarray:
        """int32 (n, 2): height and width of every item's pixels."""
        if self.transform:
            return np.tile(
                np.int32([self.transform.height, self.transform.width]), (len(self.items), 1)
            )
        sides = dataset.items[["height", "width"]].to_numpy()[self.items]
        height, width = sides[:, 0], sides[:, 1]
        if self.derive_from_px:
            height, width = kept_shape(height, width, self.derive_from_px)
        return np.stack(kept_shape(height, width, self.presize_px), axis=1)


@dataclass(eq=False)
class Writer:
    """One store in the making, in its staging folder. Rows may be written by any thread."""

    request: StoreRequest
    folder: Path
    shapes: np.ndarray
    offsets: np.ndarray = field(init=False)
    crcs: np.ndarray = field(init=False)
    reasons: dict[int, str] = field(default_factory=dict)  # place -> why it is not there

    def __post_init__(self) -> None:
        sizes = self.shapes.prod(axis=1, dtype=np.int64) * 3
        self.offsets = np.cumsum(sizes) - sizes
        self.crcs = np.zeros(len(sizes), dtype=np.uint32)
        self._file = os.open(self.folder / PIXELS, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        _reserve(self._file, int(sizes.sum()))

    def write(self, place: int, pixels: np.ndarray) -> None:
        """Put uint8 pixels where they belong. By pwrite: a full disk under a mapping kills us."""
        assert pixels.shape[:2] == tuple(self.shapes[place]), (pixels.shape, self.shapes[place])
        data = np.ascontiguousarray(pixels).reshape(-1).data
        self.crcs[place] = zlib.crc32(data)
        done, start = 0, int(self.offsets[place])
        while done < len(data):
            done += os.pwrite(self._file, data[done:], start + done)

    def finish(self) -> None:
        """Close the gaps of skipped pictures, sync, write index and header."""
        kept = np.array([at for at in range(len(self.shapes)) if at not in self.reasons], np.int64)
        if self.reasons:
            self._close_gaps(kept)
        os.fsync(self._file)
        reasons = [self.reasons[at] for at in sorted(self.reasons)]
        facts = {**self.request.facts, "asked": len(self.shapes)}
        write_store(
            self.folder, facts, kept, self.shapes[kept], self.offsets, self.crcs[kept], reasons
        )

    def close(self) -> None:
        """Let go of the file, whatever happened."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _close_gaps(self, kept: np.ndarray) -> None:
        sizes = self.shapes[kept].prod(axis=1, dtype=np.int64) * 3
        packed = np.cumsum(sizes) - sizes
        with open(self.folder / PIXELS, "rb") as file:
            for place, size, start in zip(kept.tolist(), sizes.tolist(), packed.tolist()):
                row = os.pread(file.fileno(), size, int(self.offsets[place]))
                os.pwrite(self._file, row, start)  # to the front: never over an unread row
        os.ftruncate(self._file, int(sizes.sum()))
        self.offsets = packed


def fill_from_originals(
    dataset: Dataset, writers: list[Writer], progress: Progress | None, threads: int | None = None
) -> None:
    """One pass over the originals for all writers."""
    wanted: dict[int, list[tuple[Writer, int]]] = defaultdict(list)
    for writer in writers:
        for place, item in enumerate(writer.request.items.tolist()):
            wanted[item].append((writer, place))
    todo = [(facts, wanted[facts.item]) for facts in _facts(dataset, sorted(wanted))]
    for _ in each(_fill_one, todo, threads=threads, progress=progress):
        pass


def fill_from_store(parent: TrainStore, writer: Writer, progress: Progress | None) -> None:
    """A derived train store from the one it is derived from: same pixels, nothing decoded."""
    rows = {int(item): row for row, item in enumerate(parent.items)}

    def one(place: int) -> None:
        item = int(writer.request.items[place])
        if item in rows:
            image = Image.fromarray(parent.image(rows[item]))
            writer.write(place, kept_pixels(image, writer.request.presize_px))
        else:
            writer.reasons[place] = parent.reasons[item]

    for _ in each(one, range(len(writer.request.items)), progress=progress):
        pass


class _ItemFacts(NamedTuple):
    """What is known of an item, out of the table: a row of a DataFrame costs 0.1 ms to get at."""

    item: int
    name: str
    path: Path
    sha1: str
    height: int
    width: int
    format: str


def _facts(dataset: Dataset, items: list[int]) -> Iterator[_ItemFacts]:
    rows = dataset.items.iloc[items]
    columns = [
        rows[name].tolist() for name in ("file", "path", "sha1", "height", "width", "format")
    ]
    for item, file, path, *rest in zip(items, *columns):
        yield _ItemFacts(item, file, dataset.root / path, *rest)


def _fill_one(task: tuple[_ItemFacts, list[tuple[Writer, int]]]) -> None:
    """One picture into all stores that want it; a store that cannot have it notes the reason."""
    facts, places = task
    try:
        original = _Original(facts)
    except LabError as error:
        for writer, place in places:
            writer.reasons[place] = error.what
        return
    for writer, place in places:
        try:
            writer.write(place, original.pixels(writer.request))
        except LabError as error:
            writer.reasons[place] = error.what


class _Original:
    """One picture while it is worked on: read once, decoded once per reduction that is needed."""

    def __init__(self, facts: _ItemFacts) -> None:
        self.facts = facts
        try:
            self._data = facts.path.read_bytes()
        except OSError as error:
            raise LabError(f"it cannot be read ({error.strerror})") from error
        if hashlib.sha1(self._data).hexdigest() != facts.sha1:
            raise LabError("it has changed since it was imported")
        self._decoded: dict[int, Image.Image] = {}
        self._kept: dict[int, np.ndarray] = {}

    def pixels(self, request: StoreRequest) -> np.ndarray:
        """uint8 (h, w, 3) for one request. LabError where that cannot be had."""
        if request.transform:
            return request.transform.apply(self._image(1))
        if not request.derive_from_px:
            return self._presized(request.presize_px)
        larger = Image.fromarray(self._presized(request.derive_from_px))
        return kept_pixels(larger, request.presize_px)

    def _presized(self, presize_px: int) -> np.ndarray:
        if presize_px not in self._kept:
            height, width = self.facts.height, self.facts.width
            jpeg = self.facts.format == "JPEG"
            scale = draft_scale(height, width, presize_px) if jpeg else 1
            shape = kept_shape(height, width, presize_px)
            image = self._image(scale, DRAFT * presize_px)
            self._kept[presize_px] = kept_pixels(image, presize_px, shape)
        return self._kept[presize_px]

    def _image(self, scale: int, short_px: int | None = None) -> Image.Image:
        """Decoded at 1/scale; `short_px` is what makes Pillow choose that scale."""
        if scale not in self._decoded:
            short_px = None if scale == 1 else short_px
            picture = read_picture(self._data, self.facts.name, short_px=short_px)
            self._decoded[scale] = picture.image
        return self._decoded[scale]


def _reserve(file: int, size: int) -> None:
    """Claim the space at once, so that a full disk shows before the work and not after it."""
    if size == 0:
        return
    try:
        os.posix_fallocate(file, 0, size)
    except (AttributeError, OSError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise
        os.ftruncate(file, size)  # a file system that cannot reserve
