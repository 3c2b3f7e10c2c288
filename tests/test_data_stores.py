"""Stores: the right pixels, decoded once, whole or absent, whoever kills what and when."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from pictures import class_folders, photo, pixels
from PIL import Image

from lab.data import store_build
from lab.data.catalog import Dataset, import_path
from lab.data.images import open_rgb
from lab.data.pixels import kept_pixels, kept_shape
from lab.data.preview import thumbnail_sheet
from lab.data.stores import (
    StoreRequest,
    TestTransform,
    build_stores,
    store_key,
    test_store,
    train_requests,
    train_store,
)
from lab.errors import LabError
from lab.workspace import Workspace

test_store.__test__ = False  # a store of test pictures, not a test
SMALL = TestTransform(32, 24, "center", 0.9)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws").create()


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Dataset:
    folder = class_folders(tmp_path / "pets", {"cat": 6, "dog": 6}, height=90, width=150)
    photo(folder / "dog" / "tall.png", 200, 50, seed=90)
    photo(folder / "dog" / "tiny.png", 20, 10, seed=91)
    photo(folder / "dog" / "long.png", 30, 600, seed=92)
    return import_path(workspace, folder)


def everything(dataset: Dataset) -> np.ndarray:
    return np.arange(len(dataset), dtype=np.int32)


def item_of(dataset: Dataset, file: str) -> int:
    return dataset.items["file"].tolist().index(file)


def blob_of(workspace: Workspace, store) -> bytes:
    return (workspace.stores / store.folder.name / "pixels.u8").read_bytes()


def test_a_train_store_keeps_the_aspect_and_the_asked_short_side(workspace, dataset) -> None:
    store = train_store(workspace, dataset, everything(dataset), 40)
    assert store.shapes[0].tolist() == [40, 67]
    assert store.image(0).shape == (40, 67, 3)
    assert store.image(0).dtype == np.uint8
    assert store.shapes[store.row_of(item_of(dataset, "dog/tall.png"))].tolist() == [160, 40]


def test_nothing_is_ever_enlarged(workspace, dataset) -> None:
    store = train_store(workspace, dataset, everything(dataset), 40)
    tiny = store.image(store.row_of(item_of(dataset, "dog/tiny.png")))
    assert np.array_equal(tiny, pixels(20, 10, 91))


def test_a_very_long_picture_loses_its_ends_and_keeps_its_middle(workspace, dataset) -> None:
    store = train_store(workspace, dataset, everything(dataset), 30)
    long = store.image(store.row_of(item_of(dataset, "dog/long.png")))
    assert np.array_equal(long, pixels(30, 600, 92)[:, 240:360])


def test_the_pixels_of_a_train_store_are_close_to_one_step_bicubic(workspace, tmp_path) -> None:
    folder = class_folders(tmp_path / "big", {"a": 2, "b": 2}, height=900, width=1200)
    data = import_path(workspace, folder)
    store = train_store(workspace, data, everything(data), 64)
    plain = open_rgb(data.path(0)).resize((85, 64), Image.Resampling.BICUBIC)
    assert np.abs(store.image(0).astype(int) - np.asarray(plain).astype(int)).mean() < 2


def test_items_come_in_the_order_they_were_asked_for(workspace, dataset) -> None:
    asked = np.array([7, 2, 9], dtype=np.int32)
    store = train_store(workspace, dataset, asked, 40)
    assert store.items.tolist() == [7, 2, 9]
    assert store.rows_of([9, 7]).tolist() == [2, 0]
    one = train_store(workspace, dataset, np.array([9], dtype=np.int32), 40)
    assert np.array_equal(store.image(2), one.image(0))


def test_a_store_is_a_sequence_of_views(workspace, dataset) -> None:
    store = train_store(workspace, dataset, everything(dataset), 40)
    assert len(store) == store.n == len(dataset)
    assert [view.shape for view in store.gather([1, 13])] == [store[1].shape, store[13].shape]
    assert not store[0].flags.writeable


def test_a_test_store_is_exactly_the_transform_of_the_original(workspace, dataset) -> None:
    store = test_store(workspace, dataset, everything(dataset), SMALL)
    assert store.images.shape == (len(dataset), 32, 24, 3)
    for row, item in enumerate(store.items):
        expected = SMALL.apply(open_rgb(dataset.path(int(item))))
        assert np.array_equal(store.images[row], expected)


def test_a_store_of_nothing_is_empty_and_no_error(workspace, dataset) -> None:
    nothing = np.zeros(0, dtype=np.int32)
    assert train_store(workspace, dataset, nothing, 40).n == 0
    assert test_store(workspace, dataset, nothing, SMALL).images.shape[0] == 0


def test_the_second_time_a_store_is_opened_and_not_built(workspace, dataset, monkeypatch) -> None:
    first = train_store(workspace, dataset, everything(dataset), 40)
    monkeypatch.setattr(store_build, "read_picture", None)  # any decoding would fail
    again = train_store(workspace, dataset, everything(dataset), 40)
    assert np.array_equal(first.image(3), again.image(3))


def test_another_data_set_with_the_same_pictures_shares_the_store(
    workspace, dataset, tmp_path
) -> None:
    copied = import_path(workspace, shutil.copytree(dataset.root, tmp_path / "other"))
    one = train_store(workspace, dataset, everything(dataset), 40)
    other = train_store(workspace, copied, everything(copied), 40)
    assert one.folder == other.folder


def test_the_key_depends_on_items_order_and_parameters(dataset) -> None:
    items = everything(dataset)
    requests = [
        StoreRequest(items, presize_px=40),
        StoreRequest(items, presize_px=41),
        StoreRequest(items, presize_px=40, derive_from_px=80),
        StoreRequest(items[::-1], presize_px=40),
        StoreRequest(items[1:], presize_px=40),
        StoreRequest(items, transform=SMALL),
        StoreRequest(items, transform=TestTransform(32, 24, "center", 0.91)),
    ]
    assert len({store_key(dataset, request) for request in requests}) == len(requests)


def test_one_pass_decodes_each_picture_once_for_all_stores(workspace, dataset, monkeypatch) -> None:
    decoded = []
    real = store_build.read_picture

    def counting(data, name, **hints):
        decoded.append(name)
        return real(data, name, **hints)

    monkeypatch.setattr(store_build, "read_picture", counting)
    items = everything(dataset)
    requests = [*train_requests(items, [60, 80]), StoreRequest(items, transform=SMALL)]
    build_stores(workspace, dataset, requests)
    assert sorted(decoded) == sorted(dataset.items["file"])


def test_stores_built_together_and_alone_are_the_same(workspace, dataset, tmp_path) -> None:
    items = everything(dataset)
    requests = [*train_requests(items, [16, 40]), StoreRequest(items, transform=SMALL)]
    together = build_stores(workspace, dataset, requests)
    elsewhere = Workspace(tmp_path / "elsewhere").create()
    for request, store in reversed(list(zip(requests, together))):
        alone = build_stores(elsewhere, dataset, [request], threads=1)[0]
        assert blob_of(elsewhere, alone) == blob_of(workspace, store)


def test_a_derived_store_is_the_same_from_its_parent_and_from_the_originals(
    workspace, dataset, tmp_path, monkeypatch
) -> None:
    items = everything(dataset)
    other = Workspace(tmp_path / "other").create()
    from_originals = train_store(workspace, dataset, items, 16, derive_from_px=40)
    parent = train_store(other, dataset, items, 40)
    monkeypatch.setattr(store_build, "read_picture", None)  # nothing is decoded any more
    from_parent = train_store(other, dataset, items, 16, derive_from_px=40)
    assert blob_of(other, from_parent) == blob_of(workspace, from_originals)
    expected = kept_pixels(Image.fromarray(parent.image(0)), 16)
    assert np.array_equal(from_parent.image(0), expected)


@pytest.mark.parametrize("shape", [(90, 150), (7, 400), (1, 1), (333, 334), (4000, 3000)])
@pytest.mark.parametrize("presize", [16, 64, 100])
def test_shapes_known_beforehand_are_those_of_the_pixels(shape, presize) -> None:
    rows, columns = kept_shape(*shape, presize)
    image = Image.fromarray(np.zeros((*shape, 3), dtype=np.uint8))
    assert kept_pixels(image, presize).shape == (rows, columns, 3)
    assert min(rows, columns) == min(presize, *shape)
    assert max(rows, columns) <= 4 * presize


def test_a_picture_that_vanished_is_dropped_and_listed(workspace, dataset) -> None:
    gone = item_of(dataset, "cat/003.jpg")
    dataset.path(gone).unlink()
    items = everything(dataset)
    for store in build_stores(
        workspace, dataset, [*train_requests(items, [20, 40]), StoreRequest(items, transform=SMALL)]
    ):
        assert gone not in store.items
        assert store.n == len(dataset) - 1
        assert store.skipped == [("cat/003.jpg", "it cannot be read (No such file or directory)")]
        assert store.bytes == store.shapes.prod(axis=1).sum() * 3
    last = item_of(dataset, "dog/tiny.png")
    assert np.array_equal(
        store.images[store.row_of(last)], SMALL.apply(open_rgb(dataset.path(last)))
    )


def test_a_picture_that_changed_since_the_import_is_dropped(workspace, dataset) -> None:
    photo(dataset.path(0), 90, 150, seed=1234)
    store = train_store(workspace, dataset, everything(dataset), 40)
    assert store.skipped == [("cat/000.jpg", "it has changed since it was imported")]


def test_a_picture_that_only_a_test_transform_refuses_stays_in_the_train_store(
    workspace, tmp_path
) -> None:
    folder = class_folders(tmp_path / "pets", {"cat": 2, "dog": 2})
    Image.new("RGB", (60_000, 1)).save(folder / "cat" / "thread.png")
    data = import_path(workspace, folder)
    items = everything(data)
    huge = StoreRequest(items, transform=TestTransform(224, 224))
    train, test = build_stores(workspace, data, [StoreRequest(items, presize_px=40), huge])
    assert train.n == 5
    assert [name for name, _ in test.skipped] == ["cat/thread.png"]


def test_more_than_a_few_bad_pictures_are_an_error_with_the_list(workspace, dataset) -> None:
    for item in range(4):
        dataset.path(item).unlink()
    with pytest.raises(LabError, match=r"4 of 15 pictures .*cat/000\.jpg: it cannot be read"):
        train_store(workspace, dataset, everything(dataset), 40)


def test_progress_ends_at_the_number_of_pictures(workspace, dataset) -> None:
    seen = []
    train_store(workspace, dataset, everything(dataset), 40, lambda *pair: seen.append(pair))
    assert seen[-1] == (15, 15)


def test_thumbnails_come_in_order(dataset) -> None:
    sheet = thumbnail_sheet(dataset, [13, 0], 50)
    sizes = [Image.open(io.BytesIO(data)).size for data in sheet]
    assert sizes == [(12, 50), (50, 30)]
