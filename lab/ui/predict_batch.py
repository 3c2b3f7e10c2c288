"""The pictures that this session wants predicted: files below the workspace's uploads.

    batch = current()                          # of this session; empty at first
    batch.add([("leaf.jpg", uploaded)])        # written in pieces, named by number
    clear()                                    # the files are removed

Streamlit keeps an upload in memory for as long as its widget holds it. Here it goes to the disk at
once, and the network's process reads it there. What sessions left behind goes after a day.
"""

from __future__ import annotations

import errno
import io
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import streamlit as st

from lab.errors import LabError
from lab.ui import state

MOST = 1000  # pictures in one batch; more of them come as a zip or from a folder
KEPT_S = 24 * 3600.0
_KEY, _PREFIX, _CHUNK = "predict.batch", "predict-", 1 << 20


@dataclass(frozen=True)
class Upload:
    """A picture as its owner calls it, and where it lies below the uploads."""

    name: str
    file: str


class Batch:
    """Uploads in the order in which they came. One folder, named at random."""

    def __init__(self, root: Path) -> None:
        self._root, self.id = root, f"{_PREFIX}{secrets.token_hex(8)}"
        self.uploads: list[Upload] = []

    def __len__(self) -> int:
        return len(self.uploads)

    def add(self, files: Iterable[tuple[str, BinaryIO | bytes]]) -> int:
        """Write files down; how many. LabError for too many and for a full disk."""
        added = 0
        for name, source in files:
            if len(self) >= MOST:
                raise LabError(
                    f"At most {MOST:,} pictures at once: {added} of these were taken.",
                    "Give more as a zip, or as a folder on this server.",
                )
            self._write(name, io.BytesIO(source) if isinstance(source, bytes) else source)
            added += 1
        return added

    def _write(self, name: str, source: BinaryIO) -> None:
        file = f"{self.id}/{len(self):06d}"
        place = self._root / file
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            source.seek(0)
            with open(place, "wb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
        except OSError as error:
            place.unlink(missing_ok=True)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise LabError(
                "The disk is full: not all pictures were kept." if full
                else f"The pictures could not be kept ({error.strerror}).",
                "Free some space on the server, and send them again.",
            ) from error  # fmt: skip
        self.uploads.append(Upload(name[:300] or "picture", file))

    def remove(self) -> None:
        """Its files, for good."""
        shutil.rmtree(self._root / self.id, ignore_errors=True)


def current() -> Batch:
    """The batch of this session. The first look also sweeps up what others left."""
    if _KEY not in st.session_state:
        root = state.workspace().uploads
        sweep(root, time.time())
        st.session_state[_KEY] = Batch(root)
    return st.session_state[_KEY]


def clear() -> None:
    """Forget the pictures of this session and remove their files."""
    if (batch := st.session_state.pop(_KEY, None)) is not None:
        batch.remove()


def sweep(root: Path, now: float) -> None:
    """Remove batches that nobody has added to for a day."""
    for folder in root.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if now - folder.stat().st_mtime > KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)
