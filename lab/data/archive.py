"""A zip from outside, unpacked without trusting it: `unpack(source, folder)`.

Files are written under names of our own (files/000/000012.jpg); the archive's names are kept as
text. So no name in an archive can decide where something is written. Every size is counted while
bytes come out, whatever the archive says of itself.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lab.data.listing import IMAGE_ENDINGS, TABLE_ENDINGS, Entry, Listing, is_hidden
from lab.data.parallel import Progress
from lab.errors import LabError

_BLOCK = 1 << 20
_HONEST = "Pack the folder of pictures again with an ordinary zip program."
_KINDS = (
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x1f\x8b", "a gzip or tar.gz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
)


@dataclass(frozen=True)
class Caps:
    """How much an archive may hold. The ratio counts only above `ratio_from` bytes unpacked."""

    entries: int = 300_000
    total: int = 20_000_000_000
    per_file: int = 200_000_000
    ratio: float = 200.0
    ratio_from: int = 50_000_000  # a small set of plain drawings may shrink a lot
    depth: int = 16


def unpack(
    source: Path | BinaryIO,
    folder: Path,
    *,
    caps: Caps = Caps(),
    progress: Progress | None = None,
) -> Listing:
    """Pictures and tables of a zip into `folder`, which the caller removes if this raises.

    Raises LabError for what is no zip, is encrypted, names places outside, holds links, or is
    larger than `caps`. A single damaged picture is skipped and listed.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            return _unpack(archive, Path(folder), caps, progress)
    except zipfile.BadZipFile as error:
        raise LabError(f"This is {_kind(source)}, not a whole zip ({error}).", _HONEST) from error


def _unpack(
    archive: zipfile.ZipFile, folder: Path, caps: Caps, progress: Progress | None
) -> Listing:
    members = archive.infolist()
    _check(members, folder, caps)
    listing, unpacked = Listing(folder), 0
    wanted = list(_wanted(members, listing))
    packed = max(1, sum(info.compress_size for info, _ in wanted))
    limit = min(caps.total, max(caps.ratio_from, int(packed * caps.ratio)))
    for number, (info, name) in enumerate(wanted):
        path = f"{number // 1000:03d}/{number:06d}{os.path.splitext(name)[1].lower()}"
        size = _extract(archive, info, folder / path, caps, limit - unpacked)
        if size is None:
            listing.skipped.append((name, "it is damaged inside the archive"))
        else:
            unpacked += size
            listing.add(Entry(name, path, size, 0))
        if progress and number % 32 == 0:
            progress(number, len(wanted))
    return _unwrapped(listing)


def _check(members: list[zipfile.ZipInfo], folder: Path, caps: Caps) -> None:
    """Refuse, before anything is written, what the table of contents already shows."""
    if len(members) > caps.entries:
        raise LabError(
            f"The archive holds {len(members):,} entries; at most {caps.entries:,} are taken.",
            "Split it, or have the folder put on the server.",
        )
    for info in members:
        _check_member(info, caps)
    total = sum(info.file_size for info in members)
    if total > caps.total:
        raise _too_large(caps.total)
    packed = max(1, sum(info.compress_size for info in members))
    if total > caps.ratio_from and total / packed > caps.ratio:
        raise _bomb()
    free = shutil.disk_usage(folder).free
    if total > free:
        raise LabError(
            f"The disk is full: {total / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free.",
            "Free some space, or move the workspace.",
        )


def _check_member(info: zipfile.ZipInfo, caps: Caps) -> None:
    name = _name(info)
    shown = repr(name if len(name) < 80 else name[:77] + "...")
    parts = name.split("/")
    if name.startswith("/") or ":" in parts[0] or ".." in parts:
        raise LabError(f"The archive names a place outside of itself: {shown}.", _HONEST)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise LabError(f"The archive holds a link or a device: {shown}.", _HONEST)
    if info.flag_bits & 0x1:
        raise LabError("The archive is encrypted.", "Pack it again without a password.")
    if len(parts) > caps.depth:
        raise LabError(f"The archive nests folders more than {caps.depth} deep: {shown}.", _HONEST)
    if info.file_size > caps.per_file:
        raise LabError(
            f"{shown} has {info.file_size / 1e6:,.0f} MB.",
            f"Leave it out: at most {caps.per_file / 1e6:,.0f} MB are taken.",
        )


def _wanted(
    members: list[zipfile.ZipInfo], listing: Listing
) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """Pictures and tables, each with a name of its own; the rest is only counted."""
    taken: set[str] = set()
    for info in members:
        name = _name(info)
        if info.is_dir() or any(is_hidden(part) for part in name.split("/")):
            continue
        stem, ending = os.path.splitext(name)
        if ending.lower() not in IMAGE_ENDINGS | TABLE_ENDINGS:
            listing.others[ending.lower()] += 1
            continue
        again = 1
        while name in taken:
            again += 1
            name = f"{stem} ({again}){ending}"
        taken.add(name)
        yield info, name


def _extract(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, caps: Caps, left: int
) -> int | None:
    """Bytes written; None, and no file, where the entry is damaged. LabError over a cap."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    try:
        with archive.open(info) as packed, open(path, "xb") as file:
            while block := packed.read(_BLOCK):
                size += len(block)
                if size > caps.per_file or size > left:
                    raise _bomb()
                file.write(block)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        path.unlink(missing_ok=True)
        return None
    return size


def _unwrapped(listing: Listing) -> Listing:
    """Without the folder that wraps everything: a folder and a zip of it have the same names."""
    while True:
        entries = listing.images + listing.tables
        heads = {entry.name.partition("/")[0] for entry in entries}
        deepest = max((entry.name.count("/") for entry in entries), default=0)
        if len(heads) != 1 or deepest < 2 or any("/" not in entry.name for entry in entries):
            break
        below = len(heads.pop()) + 1
        listing.images = [entry._replace(name=entry.name[below:]) for entry in listing.images]
        listing.tables = [entry._replace(name=entry.name[below:]) for entry in listing.tables]
    listing.images.sort()
    return listing


def _name(info: zipfile.ZipInfo) -> str:
    """The member's name with `/`. Names without the UTF-8 mark often are UTF-8 all the same."""
    name = info.filename
    if not info.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.filename
    return name.replace("\\", "/")


def _too_large(total: int) -> LabError:
    return LabError(
        f"The archive unpacks to more than {total / 1e9:g} GB.",
        "Split it, or have the folder put on the server.",
    )


def _bomb() -> LabError:
    return LabError("The archive unpacks to far more than its size: a zip bomb?", _HONEST)


def _kind(source: Path | BinaryIO) -> str:
    if isinstance(source, Path | str):
        with open(source, "rb") as file:
            head = file.read(8)
    else:
        source.seek(0)
        head = source.read(8)
    if not head:
        return "an empty file"
    return next((words for magic, words in _KINDS if head.startswith(magic)), "some other file")
