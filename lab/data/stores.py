"""Stores: pictures decoded once, kept as uint8, memory-mapped. The front door of the cache.

    train = train_store(workspace, dataset, divided.train, presize_px=160)
    test = test_store(workspace, dataset, divided.valid, TestTransform(128, 128))
    stores = build_stores(workspace, dataset, [StoreRequest(...), ...])     # one pass for all

Found by content: sha1 of each original, in order, and what decides the pixels. Bounded by
`prune_stores`. Two builders of one store: the second waits, then opens what the first has made.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from lab.data.audit import listed, too_many
from lab.data.dataset import Dataset
from lab.data.folders import held, is_free, remove, staged, unfinished
from lab.data.parallel import Progress
from lab.data.store_build import StoreRequest, Writer, fill_from_originals, fill_from_store
from lab.data.store_files import HEADER, STORE_VERSION, Store, TestStore, TrainStore, open_store
from lab.data.transform import TestTransform
from lab.errors import LabError
from lab.workspace import Workspace

__all__ = [
    "StoreRequest",
    "TestStore",
    "TestTransform",
    "TrainStore",
    "build_stores",
    "prune_stores",
    "store_key",
    "test_store",
    "train_requests",
    "train_store",
]

LOCK = "store-"
QUOTA_BYTES = 20_000_000_000
RECENT_S = 3600  # a store used within the last hour is never removed to make room


def train_store(
    workspace: Workspace,
    dataset: Dataset,
    items: np.ndarray,
    presize_px: int,
    progress: Progress | None = None,
    *,
    derive_from_px: int | None = None,
) -> TrainStore:
    """uint8 RGB of the items, aspect kept, short side `presize_px` at most; opened or built.

    With `derive_from_px` the pixels are made from a train store of that larger presize.
    """
    request = StoreRequest(items, presize_px=presize_px, derive_from_px=derive_from_px)
    return build_stores(workspace, dataset, [request], progress)[0]


def test_store(
    workspace: Workspace,
    dataset: Dataset,
    items: np.ndarray,
    transform: TestTransform,
    progress: Progress | None = None,  # noqa: PT028 - a store of test pictures, not a test
) -> TestStore:
    """Exactly what `transform` makes of the items' originals; opened or built."""
    return build_stores(workspace, dataset, [StoreRequest(items, transform=transform)], progress)[0]


def train_requests(items: np.ndarray, presizes_px: list[int]) -> list[StoreRequest]:
    """Train stores for several presizes: all smaller ones derived from the largest."""
    largest = max(presizes_px)
    return [
        StoreRequest(items, presize_px=px, derive_from_px=None if px == largest else largest)
        for px in presizes_px
    ]


def build_stores(
    workspace: Workspace,
    dataset: Dataset,
    requests: list[StoreRequest],
    progress: Progress | None = None,
    *,
    threads: int | None = None,
    quota_bytes: int = QUOTA_BYTES,
) -> list[Store]:
    """The stores, in the order of the requests; each original is decoded once for all of them.

    After a build, stores used longest ago make room until all of them fit into `quota_bytes`.

    Pictures that cannot be read are dropped and listed in `store.skipped`. Raises LabError where
    those are above 1 % (and more than 3), for a full disk, and whatever `progress` raises.
    """
    requests = [_checked(request, len(dataset)) for request in requests]
    keys = [store_key(dataset, request) for request in requests]
    files = dataset.items["file"].to_numpy()
    missing = dict(zip(keys, requests))
    opened = _open_all(workspace, missing, files)
    missing = {key: request for key, request in missing.items() if key not in opened}
    if missing:
        with ExitStack() as locks:
            for key in sorted(missing):  # in one order everywhere: two builders never interlock
                locks.enter_context(held(workspace, LOCK + key, progress))
            made_by_others = _open_all(workspace, missing, files)
            opened.update(made_by_others)
            rest = {key: missing[key] for key in missing if key not in made_by_others}
            _build(workspace, dataset, rest, opened, progress, threads)
            opened.update(_open_all(workspace, rest, files))
        prune_stores(workspace, quota_bytes)
    stores = [opened[key] for key in keys]
    for store in stores:
        _refuse_too_many(store)
    return stores


def store_key(dataset: Dataset, request: StoreRequest) -> str:
    """The name of a store: equal exactly when its pixels are."""
    contents = dataset.items["sha1"].to_numpy()[request.items]
    identity = hashlib.sha256("\n".join(contents.tolist()).encode()).hexdigest()
    facts = {"version": STORE_VERSION, "items": identity, **request.facts}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return f"{facts['kind']}-{digest[:24]}"


def prune_stores(
    workspace: Workspace,
    quota_bytes: int = QUOTA_BYTES,
    *,
    now: float | None = None,
    recent_s: float = RECENT_S,
) -> list[str]:
    """Remove the stores used longest ago until the quota holds; the keys of those removed.

    Leaves alone what is being built or was used within `recent_s`. What a killed builder left is
    removed too. Processes that have a removed store open keep reading it: the system keeps the
    file until they let go.
    """
    now = time.time() if now is None else now
    _sweep_unfinished(workspace)
    found = sorted(_used_and_size(workspace.stores))
    total, removed = sum(size for _, size, _ in found), []
    for used, size, folder in found:
        if total <= quota_bytes:
            break
        if now - used < recent_s or not is_free(workspace, LOCK + folder.name):
            continue
        with held(workspace, LOCK + folder.name):
            remove(folder)
        total -= size
        removed.append(folder.name)
    return removed


def _checked(request: StoreRequest, n: int) -> StoreRequest:
    items = np.asarray(request.items, dtype=np.int32)
    if (request.presize_px is None) == (request.transform is None):
        raise ValueError("a store request has either presize_px or transform")
    if items.size and (items.min() < 0 or items.max() >= n):
        raise ValueError(f"item ids lie in 0..{n - 1}")
    derived = request.derive_from_px
    if derived is not None and derived <= request.presize_px:
        derived = None  # nothing is ever enlarged
    return replace(request, items=items, derive_from_px=derived)


def _open_all(
    workspace: Workspace, requests: dict[str, StoreRequest], files: np.ndarray
) -> dict[str, Store]:
    """Those that are there and whole; opening counts as use."""
    opened = {}
    for key, request in requests.items():
        store = open_store(workspace.stores / key, request.items, files[request.items].tolist())
        if store is not None:
            with suppress(FileNotFoundError):  # pruned this moment; what is open stays readable
                os.utime(workspace.stores / key / HEADER)
            opened[key] = store
    return opened


def _build(
    workspace: Workspace,
    dataset: Dataset,
    requests: dict[str, StoreRequest],
    opened: dict[str, Store],
    progress: Progress | None,
    threads: int | None,
) -> None:
    """Build what is missing. The caller holds the locks of all of them."""
    with ExitStack() as stack:
        writers = {}
        for key, request in requests.items():
            folder = stack.enter_context(staged(workspace.stores, key))
            writers[key] = Writer(request, folder, request.shapes(dataset))
            stack.callback(writers[key].close)
        from_originals = []
        for writer in writers.values():
            parent = _parent(workspace, dataset, writer.request, opened)
            if parent is None:
                from_originals.append(writer)
            else:
                fill_from_store(parent, writer, progress)
        fill_from_originals(dataset, from_originals, progress, threads)
        for writer in writers.values():
            writer.finish()


def _parent(
    workspace: Workspace, dataset: Dataset, request: StoreRequest, opened: dict[str, Store]
) -> TrainStore | None:
    """The store that a derived one can be made from, if it exists."""
    if not request.derive_from_px:
        return None
    larger = StoreRequest(request.items, presize_px=request.derive_from_px)
    key = store_key(dataset, larger)
    files = dataset.items["file"].to_numpy()
    return opened.get(key) or _open_all(workspace, {key: larger}, files).get(key)


def _refuse_too_many(store: Store) -> None:
    if too_many(len(store.skipped), store.n + len(store.skipped)):
        raise LabError(
            f"{len(store.skipped)} of {store.n + len(store.skipped)} pictures cannot be used: "
            f"{listed(store.skipped)}.",
            "Import the data again, and mend or remove the bad files.",
        )


def _sweep_unfinished(workspace: Workspace) -> None:
    for folder, name in unfinished(workspace.stores):
        if is_free(workspace, LOCK + name):
            shutil.rmtree(folder, ignore_errors=True)


def _used_and_size(stores: Path) -> list[tuple[float, int, Path]]:
    found = []
    for folder in stores.glob("[!.]*"):
        try:
            files = {path.name: path.stat() for path in folder.iterdir()}
        except OSError:  # somebody else has just removed it
            continue
        used = files[HEADER].st_mtime if HEADER in files else 0.0  # without one, of no use
        found.append((used, sum(file.st_size for file in files.values()), folder))
    return found
