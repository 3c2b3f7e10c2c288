"""Checkpoints, whole or not there: written aside, synced, hashed, renamed; then the manifest.

    save(folder, "step-00000120", state, about={"step": 120}, keep=2)
    state, manifest, skipped = load_newest(folder)

The manifest (<name>.json: bytes, sha256) is the commit point: a file without one does not exist.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any

import torch

from lab.errors import LabError
from lab.workspace import read_json, write_json


def save(folder: Path, name: str, state: dict[str, Any], about: dict[str, Any], keep: int) -> None:
    """Write a checkpoint and prune to the newest `keep`. OSError on a full disk: whole or none.

    On a full disk older ones are removed (all but the newest) and the write is tried once more.
    """
    try:
        _write(folder, name, state, about)
    except OSError:
        prune(folder, keep=1)
        _write(folder, name, state, about)
    prune(folder, keep)


def _write(folder: Path, name: str, state: dict[str, Any], about: dict[str, Any]) -> None:
    final, temporary = folder / f"{name}.pt", folder / f".{name}.{os.getpid()}.tmp"
    try:
        # An open file, because torch.save(path) hides ENOSPC in a RuntimeError.
        with open(temporary, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        digest, size = sha256(temporary), temporary.stat().st_size
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)
    write_json(folder / f"{name}.json", {**about, "name": name, "bytes": size, "sha256": digest})
    sync_folder(folder)


def load_newest(
    folder: Path, device: str = "cpu"
) -> tuple[dict[str, Any], dict[str, Any], list[str]] | None:
    """The newest checkpoint that is what its manifest says; names of those that were not.

    None where there is no manifest at all. LabError where manifests are there and none holds.
    """
    skipped = []
    for manifest in manifests(folder):
        path = folder / f"{manifest['name']}.pt"
        if not _verified(path, manifest):
            skipped.append(manifest["name"])
            continue
        return torch.load(path, map_location=device, weights_only=True), manifest, skipped
    if skipped:
        raise LabError(
            f"None of the {len(skipped)} checkpoints is intact.", "Start the run again as a clone."
        )
    return None


def manifests(folder: Path) -> list[dict[str, Any]]:
    """All readable manifests, newest first."""
    found = [read_json(file) for file in folder.glob("*.json")]
    good = [m for m in found if isinstance(m, dict) and {"name", "step", "sha256"} <= set(m)]
    return sorted(good, key=lambda manifest: (manifest["step"], manifest["name"]), reverse=True)


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep`; the manifest goes first, so that none points nowhere."""
    for manifest in manifests(folder)[keep:]:
        (folder / f"{manifest['name']}.json").unlink(missing_ok=True)
        (folder / f"{manifest['name']}.pt").unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a killed writer left: temporary files, and weights without a manifest."""
    committed = {manifest["name"] for manifest in manifests(folder)}
    for file in folder.glob(".*.tmp"):
        file.unlink(missing_ok=True)
    for file in folder.glob("*.pt"):
        if file.stem not in committed:
            file.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last through a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _verified(path: Path, manifest: dict[str, Any]) -> bool:
    try:
        return path.stat().st_size == manifest["bytes"] and sha256(path) == manifest["sha256"]
    except OSError:
        return False
