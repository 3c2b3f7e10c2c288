"""Whether the database has changed since the last look, for the price of one pragma (10 us)."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path


class Watch:
    """`changed()` is true after a write by anybody, when the file is replaced, and every `look_s`.

    SQLite counts for each connection what others commit (PRAGMA data_version), so it stays open.
    """

    def __init__(self, database: Path, look_s: float = 2.0) -> None:
        self._file, self._look_s = database, look_s
        self._db: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._seen: tuple[int | None, int] | None = None
        self._looked = 0.0

    def changed(self) -> bool:
        """Whether to look at the queue."""
        version, now = self._version(), time.monotonic()
        if version == self._seen and now - self._looked < self._look_s:
            return False
        self._seen, self._looked = version, now
        return True

    def close(self) -> None:
        """Let go of the file."""
        if self._db:
            self._db.close()
        self._db = None

    def _version(self) -> tuple[int | None, int] | None:
        try:
            inode = os.stat(self._file).st_ino
            if self._db is None or inode != self._inode:
                self._open(inode)
            return inode, self._db.execute("PRAGMA data_version").fetchone()[0]
        except (OSError, sqlite3.Error):
            with contextlib.suppress(sqlite3.Error):
                self.close()
            return None

    def _open(self, inode: int) -> None:
        self.close()
        # mode=rw: looking must not make an empty database where there is none.
        self._db = sqlite3.connect(f"{self._file.as_uri()}?mode=rw", uri=True, timeout=0.05)
        self._inode = inode
