"""What a store is on disk and in the hand: header.json, index.npz, pixels.u8 in one folder.

    stores/<key>/header.json    version, kind, lengths, sha256 of the index; written last
                 index.npz      which of the asked items are here, their shapes, offsets, crc32
                 pixels.u8      uint8 RGB rows, one picture after the other

A store holds numbers, never item ids or paths of one data set: it is found by content, so the same
pictures under another name reuse it.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lab.workspace import read_json, write_json

STORE_VERSION = 1
HEADER, INDEX, PIXELS = "header.json", "index.npz", "pixels.u8"
_CHECKED_ROWS = 16  # rows whose checksum is compared on opening: finds zeroed and swapped blobs


class _Store:
    """What both kinds have. `items`: ids of the pictures held, in the order they were asked for;

    `skipped`: (file, reason) of those that could not be read; `reasons`: the same by item id.
    """

    def __init__(
        self, folder: Path, asked: np.ndarray, index: dict, blob: np.ndarray, files: Sequence[str]
    ) -> None:
        kept = index["kept"]
        self.folder = folder
        self.items: np.ndarray = np.asarray(asked, dtype=np.int32)[kept]
        self.shapes: np.ndarray = index["shapes"]  # int32 (n, 2): height, width
        reasons = json.loads(str(index["reasons"]))
        lost = np.setdiff1d(np.arange(len(asked)), kept)
        self.reasons = {int(asked[at]): why for at, why in zip(lost.tolist(), reasons)}
        self.skipped: list[tuple[str, str]] = [
            (files[at], why) for at, why in zip(lost.tolist(), reasons)
        ]
        self._offsets: np.ndarray = index["offsets"]
        self._blob = blob
        self._rows: dict[int, int] | None = None

    @property
    def n(self) -> int:
        """Number of pictures held."""
        return len(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def bytes(self) -> int:
        """Size of the pixels on disk."""
        return int(self._blob.size)

    def row_of(self, item: int) -> int:
        """The row of an item id. KeyError for one that is not held."""
        if self._rows is None:
            self._rows = {int(id_): row for row, id_ in enumerate(self.items)}
        return self._rows[int(item)]

    def rows_of(self, items: Sequence[int] | np.ndarray) -> np.ndarray:
        """Rows of item ids, int64. KeyError for one that is not held."""
        return np.array([self.row_of(item) for item in items], dtype=np.int64)

    def image(self, row: int) -> np.ndarray:
        """uint8 (h, w, 3), a read-only view into the file."""
        height, width = self.shapes[row].tolist()
        start = int(self._offsets[row])
        return self._blob[start : start + height * width * 3].reshape(height, width, 3)


class TrainStore(_Store):
    """Pictures with their aspect, each of its own size. A sequence of (h, w, 3) views."""

    def __getitem__(self, row: int) -> np.ndarray:
        return self.image(int(row))

    def gather(self, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Views of some rows."""
        return [self.image(int(row)) for row in rows]


class TestStore(_Store):
    """Exact pixels of a test transform: `images` is uint8 (n, height, width, 3), memory-mapped."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    @property
    def images(self) -> np.ndarray:
        """All rows in one array."""
        height, width = self.shapes[0].tolist() if self.n else (0, 0)
        return self._blob.reshape(self.n, height, width, 3)


Store = TrainStore | TestStore


def write_store(
    folder: Path,
    facts: dict,
    kept: np.ndarray,
    shapes: np.ndarray,
    offsets: np.ndarray,
    crcs: np.ndarray,
    reasons: list[str],
) -> None:
    """Index, then header: the header is what makes it a store. Pixels are in place already."""
    np.savez(
        folder / INDEX,
        kept=kept, shapes=shapes.astype(np.int32), offsets=offsets.astype(np.int64),
        crcs=crcs, reasons=np.array(json.dumps(reasons)),
    )  # fmt: skip
    header = {
        **facts,
        "version": STORE_VERSION,
        "n": len(kept),
        "bytes": (folder / PIXELS).stat().st_size,
        "index_sha256": hashlib.sha256((folder / INDEX).read_bytes()).hexdigest(),
    }
    write_json(folder / HEADER, header)


def open_store(folder: Path, asked: np.ndarray, files: Sequence[str]) -> Store | None:
    """The store in `folder`, checked; None where it is missing, cut off or damaged.

    `asked`: the item ids it was made for, in order; `files`: their names, for `skipped`.
    """
    header = read_json(folder / HEADER)
    try:
        if not header or header["version"] != STORE_VERSION or header["asked"] != len(asked):
            return None
        if (folder / PIXELS).stat().st_size != header["bytes"]:
            return None
        packed = (folder / INDEX).read_bytes()
        if hashlib.sha256(packed).hexdigest() != header["index_sha256"]:
            return None
        with np.load(folder / INDEX, allow_pickle=False) as file:
            index = dict(file)
        blob = _mapped(folder / PIXELS)
        kind = TrainStore if header["kind"] == "train" else TestStore
        store = kind(folder, asked, index, blob, files)
        return store if _sample_is_whole(store, index["crcs"]) else None
    except (OSError, KeyError, ValueError, TypeError):
        return None


def _mapped(path: Path) -> np.ndarray:
    if path.stat().st_size == 0:  # nothing can be mapped of an empty file
        return np.zeros(0, dtype=np.uint8)
    return np.memmap(path, dtype=np.uint8, mode="r")


def _sample_is_whole(store: Store, crcs: np.ndarray) -> bool:
    rows = np.unique(np.linspace(0, store.n - 1, min(store.n, _CHECKED_ROWS)).astype(int))
    return all(zlib.crc32(store.image(row)) == int(crcs[row]) for row in rows.tolist())
