"""A store is whole or absent, whoever kills what and when, on full disks and under a quota."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pictures import class_folders, zip_of

from lab.data import store_build
from lab.data.catalog import Dataset, import_path
from lab.data.stores import StoreRequest, build_stores, prune_stores, train_store
from lab.errors import LabError, Stopped
from lab.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws").create()


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Dataset:
    folder = class_folders(tmp_path / "pets", {"cat": 7, "dog": 8}, height=90, width=150)
    return import_path(workspace, folder)


def everything(dataset: Dataset) -> np.ndarray:
    return np.arange(len(dataset), dtype=np.int32)


def folders(workspace: Workspace) -> list[str]:
    return sorted(os.listdir(workspace.stores))


def blob_of(workspace: Workspace, store) -> bytes:
    return (workspace.stores / store.folder.name / "pixels.u8").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_blob_is_built_again(workspace, dataset, share) -> None:
    before = train_store(workspace, dataset, everything(dataset), 40)
    whole = blob_of(workspace, before)
    os.truncate(before.folder / "pixels.u8", int(len(whole) * share))
    after = train_store(workspace, dataset, everything(dataset), 40)
    assert blob_of(workspace, after) == whole


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [zeroed, half, Path.unlink])
@pytest.mark.parametrize("name", ["pixels.u8", "index.npz", "header.json"])
def test_a_damaged_store_is_built_again(workspace, dataset, name, damage) -> None:
    before = train_store(workspace, dataset, everything(dataset), 40)
    whole = blob_of(workspace, before)
    damage(before.folder / name)
    after = train_store(workspace, dataset, everything(dataset), 40)
    assert blob_of(workspace, after) == whole
    assert len(folders(workspace)) == 1


def test_a_stopped_build_leaves_nothing(workspace, dataset) -> None:
    def stop(done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        train_store(workspace, dataset, everything(dataset), 40, stop)
    assert folders(workspace) == []


@pytest.fixture
def small_disk(tmp_path: Path):
    place = tmp_path / "small"
    place.mkdir()
    if os.system(f"mount -t tmpfs -o size=300k tmpfs '{place}' 2>/dev/null") != 0:
        pytest.skip("a small disk can only be mounted by root with the right to mount")
    yield Workspace(place)
    os.system(f"umount -l '{place}'")


def test_building_keeps_the_quota(workspace, dataset) -> None:
    old = train_store(workspace, dataset, everything(dataset), 30)
    used_at(old, 1000.0)
    request = StoreRequest(everything(dataset), presize_px=31)
    (new,) = build_stores(workspace, dataset, [request], quota_bytes=1)
    assert folders(workspace) == [new.folder.name]


def test_a_full_disk_is_said_in_words_and_leaves_nothing(small_disk, dataset) -> None:
    items = everything(dataset)
    small = train_store(small_disk, dataset, items[:3], 20)
    with pytest.raises(LabError, match="The disk is full") as caught:
        train_store(small_disk, dataset, items, 90)
    assert "Free some space" in caught.value.fix
    assert folders(small_disk) == [small.folder.name]


def test_a_disk_that_fills_up_while_writing_leaves_nothing(
    small_disk, dataset, monkeypatch
) -> None:
    monkeypatch.setattr(store_build, "_reserve", lambda file, size: None)
    with pytest.raises(LabError, match="The disk is full"):
        train_store(small_disk, dataset, everything(dataset), 90)
    assert folders(small_disk) == []


def test_a_full_disk_while_a_zip_is_unpacked_leaves_nothing(small_disk, tmp_path) -> None:
    folder = class_folders(tmp_path / "big", {"a": 4, "b": 4}, "png", height=200, width=200)
    with pytest.raises(LabError, match="The disk is full"):
        import_path(small_disk, zip_of(folder, tmp_path / "big.zip"))
    assert os.listdir(small_disk.datasets) == []


CHILD = """
import sys, time
from pathlib import Path
import numpy as np
from lab.data.catalog import open_dataset
from lab.data.stores import train_store
from lab.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]))
dataset = open_dataset(workspace, sys.argv[2])
def slowly(done, total):
    print(done, flush=True)
    time.sleep(float(sys.argv[3]))
store = train_store(workspace, dataset, np.arange(len(dataset)), 40, slowly)
print("sum", store.n, int(sum(store.image(row).sum() for row in range(store.n))))
"""


def child(workspace: Workspace, dataset: Dataset, sleep_s: float) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(workspace.root), dataset.id, str(sleep_s)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def test_a_builder_that_is_killed_leaves_no_half_store(workspace, dataset) -> None:
    victim = child(workspace, dataset, 30)
    assert victim.stdout is not None
    victim.stdout.readline()
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert all(name.startswith(".new-") for name in folders(workspace))
    store = train_store(workspace, dataset, everything(dataset), 40)
    assert store.n == 15
    assert folders(workspace) == [store.folder.name]


def test_two_builders_at_once_make_one_store(workspace, dataset) -> None:
    both = [child(workspace, dataset, 0.3) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].splitlines()[-1] for process in both]
    assert said[0] == said[1]
    assert said[0].startswith("sum 15 ")
    assert len(folders(workspace)) == 1


def used_at(store, when: float) -> None:
    os.utime(store.folder / "header.json", (when, when))


def test_the_stores_used_longest_ago_are_removed_first(workspace, dataset) -> None:
    stores = [train_store(workspace, dataset, everything(dataset), px) for px in (30, 31, 32)]
    for store, when in zip(stores, (300.0, 100.0, 200.0)):
        used_at(store, when)
    quota = sum(store.bytes for store in stores) - 1
    assert prune_stores(workspace, quota, now=1e6) == [stores[1].folder.name]
    assert prune_stores(workspace, 0, now=1e6) == [stores[2].folder.name, stores[0].folder.name]


def test_a_store_used_recently_is_not_removed(workspace, dataset) -> None:
    store = train_store(workspace, dataset, everything(dataset), 30)
    used_at(store, 1000.0)
    assert prune_stores(workspace, 0, now=1000.0 + 3599) == []
    assert prune_stores(workspace, 0, now=1000.0 + 3601) == [store.folder.name]


def test_a_removed_store_can_still_be_read_by_who_has_it_open(workspace, dataset) -> None:
    store = train_store(workspace, dataset, everything(dataset), 30)
    before = store.image(5).copy()
    prune_stores(workspace, 0, now=1e12)
    assert np.array_equal(store.image(5), before)


def test_what_a_killed_builder_left_is_swept_and_a_living_one_is_left_alone(
    workspace, dataset
) -> None:
    living = child(workspace, dataset, 3)
    assert living.stdout is not None
    living.stdout.readline()
    (workspace.stores / ".new-train-0123456789-abcdef01").mkdir()
    prune_stores(workspace, 0)
    left = folders(workspace)
    assert len(left) == 1
    assert left[0].startswith(".new-train-")
    assert "0123456789" not in left[0]
    assert living.communicate(timeout=30)[0].splitlines()[-1].startswith("sum 15 ")
