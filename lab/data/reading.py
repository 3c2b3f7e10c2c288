"""Reads every picture once: which are whole, how large, of what kind, and the sha1 of their bytes.

    frame, bad = read_all(frame, root, progress)      adds width, height, mode, format, sha1

A JPEG cut in half passes Pillow's verify(); only decoding tells. So each one is decoded, a JPEG
at an eighth of its size: the whole file is still read through, at a fraction of the cost.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lab.data.images import MAX_BYTES, read_picture
from lab.data.parallel import Progress, each
from lab.errors import LabError

FOUND = ("width", "height", "mode", "format", "sha1")


class Found(NamedTuple):
    """What one file turned out to be; `problem` is "" for a good one."""

    width: int = 0
    height: int = 0
    mode: str = ""
    format: str = ""
    sha1: str = ""
    problem: str = ""


def read_all(
    frame: pd.DataFrame,
    root: Path,
    *,
    known: pd.DataFrame | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """The good rows with the columns `FOUND`, and (file, reason) of the bad ones.

    `known`: items read before; those of the same path, size and date are not read again.
    """
    reused = _reusable(known)
    keys = list(zip(frame["path"], frame["bytes"], frame["mtime_ns"]))
    todo = [at for at, key in enumerate(keys) if key not in reused]
    places = list(zip(frame["path"], frame["file"]))
    found: list[Found] = [reused.get(key, Found()) for key in keys]
    fresh = each(
        lambda at: examine(root / places[at][0], places[at][1]),
        todo, threads=threads, progress=progress,
    )  # fmt: skip
    for at, result in zip(todo, fresh):
        found[at] = result
    facts = pd.DataFrame(found, columns=Found._fields, index=frame.index)
    bad = facts["problem"] != ""
    listed = list(zip(frame["file"][bad], facts["problem"][bad]))
    return pd.concat([frame, facts[list(FOUND)]], axis=1)[~bad].reset_index(drop=True), listed


def examine(path: Path, name: str) -> Found:
    """Decode one file. Never raises for a bad one: the reason is in `problem`."""
    try:
        if os.path.getsize(path) > MAX_BYTES:
            return Found(problem=f"it has more than {MAX_BYTES // 10**6} MB")
        data = path.read_bytes()
        picture = read_picture(data, name, short_px=1)
    except LabError as error:
        return Found(problem=error.what.removeprefix(name).strip().removesuffix("."))
    except OSError as error:
        return Found(problem=f"cannot be read ({error.strerror})")
    return Found(
        picture.width, picture.height, picture.mode, picture.format, hashlib.sha1(data).hexdigest()
    )


def _reusable(known: pd.DataFrame | None) -> dict[tuple, Found]:
    if known is None or known.empty:
        return {}
    keys = zip(known["path"], known["bytes"], known["mtime_ns"])
    return {
        key: Found(*facts) for key, facts in zip(keys, known[list(FOUND)].itertuples(index=False))
    }
