"""Imports a source into the workspace: listing, labels, a look at every picture, then one rename.

`lab.data.catalog` is the front door. All here works in a staging folder under the data set's lock,
so a kill leaves nothing and two processes do not meet.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from lab.data.audit import audit_of, listed
from lab.data.dataset import (
    FILES,
    Dataset,
    fingerprint_of,
    load,
    read_header,
    save,
    targets_of,
)
from lab.data.folders import held, staged
from lab.data.layout import from_folders
from lab.data.listing import Entry, Listing
from lab.data.parallel import Progress, each
from lab.data.reading import read_all
from lab.data.tables import from_tables
from lab.errors import LabError
from lab.workspace import Workspace

LOCK = "dataset-"
SHAPE = "Make one folder per class, or a CSV of file names and labels."


@dataclass(frozen=True)
class Import:
    """How to import one source. `fill` puts its files where they belong and lists them."""

    id: str
    name: str
    source: dict[str, Any]
    signature: str  # the same as last time: nothing has changed, nothing to do
    fill: Callable[[Path, Progress | None], Listing]
    in_place: Path | None = None  # where the pictures stay; None: they are in the data set
    table: str | None = None  # the one table to take labels from


def run_import(workspace: Workspace, job: Import, progress: Progress | None) -> Dataset:
    """The data set, at once where it is there unchanged. Raises LabError for unusable data."""
    workspace.create()
    with held(workspace, LOCK + job.id, progress):
        place = workspace.dataset(job.id)
        header = read_header(place)
        if header and header.get("signature") == job.signature:
            return load(place)
        known = _known_items(place) if header and job.in_place else None
        with staged(workspace.datasets, job.id) as folder:
            _import_into(folder, job, known, progress)
        return load(place)


def _import_into(
    folder: Path, job: Import, known: pd.DataFrame | None, progress: Progress | None
) -> None:
    files = folder / FILES
    if not job.in_place:
        files.mkdir()
    listing = job.fill(files, progress)
    frame, notes, missing = _labelled(listing, job)
    root = job.in_place or files
    items, bad = read_all(frame, root, known=known, progress=progress)
    items = items.sort_values("file", kind="stable").reset_index(drop=True)
    unreadable = sorted(bad + missing + listing.skipped)
    targets = targets_of(items)
    _refuse_hopeless(job, items, targets, unreadable)
    header = {
        "name": job.name,
        "root": str(job.in_place) if job.in_place else "",
        "source": job.source,
        "signature": job.signature,
        "targets": {name: list(classes) for name, classes in targets.items()},
        "fingerprint": fingerprint_of(items),
        "n": len(items),
        "bytes": int(items["bytes"].sum()),
    }
    save(folder, header, items, audit_of(items, targets, unreadable, notes + listing.notes()))


def _labelled(
    listing: Listing, job: Import
) -> tuple[pd.DataFrame, list[str], list[tuple[str, str]]]:
    """Tables win where they name at least half of the pictures; else the class folders."""
    if not listing.images:
        raise _nothing(listing, job)
    if listing.tables:
        found = from_tables(listing, job.table)
        if found and (job.table or 2 * len(found[0]) >= len(listing.images)):
            return found
    frame, notes = from_folders(listing)
    if frame.empty:
        raise LabError(
            f"{job.name} holds {len(listing.images)} pictures in one folder, without labels.", SHAPE
        )
    return frame, notes, []


def _nothing(listing: Listing, job: Import) -> LabError:
    if listing.skipped:
        return LabError(
            f"{job.name} holds no usable picture ({listed(listing.skipped, 3)}).", SHAPE
        )
    others = ", ".join(
        f"{count} {ending or 'unnamed'}" for ending, count in listing.others.most_common(3)
    )
    held_ = f" Other files: {others}." if others else " It is empty."
    return LabError(f"{job.name} holds no pictures.{held_}", SHAPE)


def _refuse_hopeless(
    job: Import, items: pd.DataFrame, targets: dict, unreadable: list[tuple[str, str]]
) -> None:
    if items.empty:
        raise LabError(f"No picture of {job.name} can be read ({listed(unreadable, 3)}).", SHAPE)
    if not targets:
        raise LabError(
            f"All pictures of {job.name} have the same label: there is nothing to tell apart.",
            SHAPE,
        )


def _known_items(place: Path) -> pd.DataFrame | None:
    try:
        return load(place).items
    except LabError:
        return None


def copy_files(listing: Listing, folder: Path, progress: Progress | None) -> Listing:
    """The listed files copied under generated names; the listing of the copies."""
    entries = listing.images + listing.tables
    places = [f"{at // 1000:03d}/{at:06d}{Path(entry.name).suffix.lower()}"
              for at, entry in enumerate(entries)]  # fmt: skip
    for place in {Path(place).parent for place in places}:
        (folder / place).mkdir(parents=True, exist_ok=True)

    def copy(pair: tuple[Entry, str]) -> Entry:
        entry, place = pair
        shutil.copyfile(listing.root / entry.path, folder / place)
        return entry._replace(path=place)

    copied = list(each(copy, list(zip(entries, places)), progress=progress))
    images, tables = copied[: len(listing.images)], copied[len(listing.images) :]
    return replace(listing, root=folder, images=images, tables=tables)
