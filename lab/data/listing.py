"""Which files a source holds: `list_folder(root)`. Reads names, sizes and dates, no content.

Links are followed only to files inside the folder: a shared folder must not become a way to read
the rest of the machine.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lab.data.parallel import Progress
from lab.errors import LabError

IMAGE_ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff")
)
TABLE_ENDINGS = frozenset((".csv", ".tsv"))
MAX_FILES = 2_000_000
_PICTURE_LIKE = frozenset(
    (".heic", ".heif", ".avif", ".svg", ".psd", ".jp2", ".cr2", ".nef", ".dng")
)
_ARCHIVES = frozenset((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz"))


class Entry(NamedTuple):
    """A file: `name` as people know it, `path` where it lies; both relative, with `/`."""

    name: str
    path: str
    bytes: int
    mtime_ns: int


@dataclass
class Listing:
    """Pictures and tables below `root`; what was skipped, with the reason."""

    root: Path
    images: list[Entry] = field(default_factory=list)
    tables: list[Entry] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)  # endings of files that are neither

    def add(self, entry: Entry) -> None:
        """Sort a file in by the ending of its name."""
        ending = os.path.splitext(entry.name)[1].lower()
        if ending in IMAGE_ENDINGS:
            self.images.append(entry)
        elif ending in TABLE_ENDINGS:
            self.tables.append(entry)
        else:
            self.others[ending] += 1

    def signature(self) -> str:
        """Changes when a picture or table is added, removed, renamed or written."""
        digest = hashlib.sha256()
        for entry in sorted(self.images) + sorted(self.tables):
            digest.update(f"{entry.path}\0{entry.bytes}\0{entry.mtime_ns}\n".encode())
        return digest.hexdigest()

    def notes(self) -> list[str]:
        """What a person may have taken for data and was not read."""
        notes = []
        for ending, count in sorted(self.others.items()):
            if ending in _PICTURE_LIKE:
                notes.append(f"{count} {ending} files are not read. Save them as JPEG or PNG.")
            elif ending in _ARCHIVES:
                notes.append(f"{count} {ending} files inside were not opened. Unpack them first.")
        return notes


def is_hidden(name: str) -> bool:
    """Names that operating systems leave behind, and hidden files."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir")


def list_folder(root: Path, progress: Progress | None = None) -> Listing:
    """All pictures and tables below `root`, sorted by name. LabError if it cannot be read."""
    listing = Listing(Path(root))
    try:
        _walk(listing, progress)
    except PermissionError as error:
        raise LabError(
            f"{error.filename} may not be read.", "Give the lab's account the right to read it."
        ) from error
    listing.images.sort()
    listing.tables.sort()
    return listing


def _walk(listing: Listing, progress: Progress | None) -> None:
    inside = os.path.realpath(listing.root) + os.sep
    waiting, seen = [""], 0
    while waiting:
        below = waiting.pop()
        with os.scandir(os.path.join(listing.root, below)) as found:
            for item in found:
                seen += 1
                folder = _take(listing, item, below, inside)
                if folder:
                    waiting.append(folder)
        if seen > MAX_FILES:
            raise LabError(
                f"There are more than {MAX_FILES:,} files below {listing.root}.",
                "Choose the folder that holds the pictures.",
            )
        if progress:
            progress(0, max(1, len(listing.images)))


def _take(listing: Listing, item: os.DirEntry, below: str, inside: str) -> str | None:
    """Sort one directory entry in; the relative path if it is a folder to look into."""
    if is_hidden(item.name):
        return None
    name = f"{below}/{item.name}" if below else item.name
    if not _is_text(name):
        shown = name.encode("utf-8", "backslashreplace").decode()
        listing.skipped.append((shown, "its name is not UTF-8"))
        return None
    if item.is_symlink():
        if item.is_dir():
            listing.skipped.append((name, "it is a link to a folder"))
            return None
        if not os.path.realpath(item.path).startswith(inside):
            listing.skipped.append((name, "it is a link that leads out of the folder"))
            return None
    elif item.is_dir():
        return name
    if item.is_file():
        stat = item.stat()
        listing.add(Entry(name, name, stat.st_size, stat.st_mtime_ns))
    return None


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # bytes that are not UTF-8 come as lone surrogates
        return False
    return True
