"""Folders that appear whole or not at all, made by one process at a time.

with held(workspace, "dataset-abc", progress), staged(workspace.datasets, "abc") as folder:
    ...write into `folder`; it becomes datasets/abc when the block ends well
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lab.data.parallel import Progress
from lab.errors import LabError
from lab.workspace import Workspace

_NEW, _OLD = ".new-", ".old-"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def held(workspace: Workspace, name: str, progress: Progress | None = None) -> Iterator[None]:
    """Hold the lock `name`; the system lets go of it when the process dies, however it dies.

    While waiting, `progress(0, 1)` is called twice a second, so that a person can stop the wait.
    """
    with plain_words("The lock"):
        workspace.locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(workspace.locks / f"{name}.lock")
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            if progress:
                progress(0, 1)
    try:
        yield
    finally:
        lock.release()


def is_free(workspace: Workspace, name: str) -> bool:
    """Whether nobody holds the lock `name` at this moment."""
    path = workspace.locks / f"{name}.lock"
    if not path.exists():
        return True
    try:
        with FileLock(path).acquire(timeout=0):
            return True
    except Timeout:
        return False


@contextmanager
def staged(parent: Path, name: str) -> Iterator[Path]:
    """An empty hidden folder in `parent` that becomes `parent/name` if the block ends well.

    The caller holds the lock of `name`. A full disk or a forbidden place becomes a LabError.
    """
    with plain_words(f"{name}"):
        sweep(parent, name)
        folder = parent / f"{_NEW}{name}-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        try:
            yield folder
            _swap(folder, parent / name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path, name: str) -> None:
    """Remove what a killed maker of `name` left. The caller holds its lock."""
    for prefix in (_NEW, _OLD):
        for left in parent.glob(f"{prefix}{name}-????????"):
            shutil.rmtree(left, ignore_errors=True)


def unfinished(parent: Path) -> list[tuple[Path, str]]:
    """Hidden folders of makers alive or dead, each with the name it was made for."""
    found = [path for path in parent.glob(".*") if path.name.startswith((_NEW, _OLD))]
    return [(path, path.name[len(_NEW) : -9]) for path in found]


def remove(folder: Path) -> None:
    """Remove a folder so that nobody sees a half of it. The caller holds its lock."""
    gone = folder.parent / f"{_OLD}{folder.name}-{secrets.token_hex(4)}"
    try:
        os.rename(folder, gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone, ignore_errors=True)


@contextmanager
def plain_words(what: str) -> Iterator[None]:
    """A full disk or a forbidden folder, said in words."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise LabError(
                f"The disk is full: {what} could not be written. Nothing half-done was left.",
                "Free some space, delete data sets or runs, or move the workspace.",
            ) from error
        if error.errno in _FORBIDDEN:
            raise LabError(
                f"{what} could not be written ({error.strerror}: {error.filename}).",
                "Check the rights of the workspace.",
            ) from error
        raise


def _swap(new: Path, place: Path) -> None:
    if place.exists():
        remove(place)
    os.replace(new, place)
