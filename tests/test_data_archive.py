"""A zip from outside writes nothing outside, fills no disk, and says in words why it is refused."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pictures import pixels
from PIL import Image

from lab.data.archive import Caps, unpack
from lab.errors import LabError

Fill = Callable[[zipfile.ZipFile], object]


def jpeg(seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(seed=seed)).save(file, "JPEG")
    return file.getvalue()


def zipped(path: Path, fill: Fill, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        fill(archive)
    return path


def names(*listed: str) -> Fill:
    return lambda archive: [archive.writestr(name, jpeg(at)) for at, name in enumerate(listed)]


def unpacked(tmp_path: Path, fill: Fill, **caps):
    folder = tmp_path / "out"
    folder.mkdir()
    return unpack(zipped(tmp_path / "a.zip", fill), folder, caps=Caps(**caps))


def refusal(tmp_path: Path, fill: Fill, **caps) -> str:
    with pytest.raises(LabError) as caught:
        unpacked(tmp_path, fill, **caps)
    assert caught.value.fix
    assert files_below(tmp_path) - {"a.zip"} == files_below(tmp_path / "out", "out/")
    return caught.value.what


def files_below(folder: Path, prefix: str = "") -> set[str]:
    found = (Path(base) / name for base, _, names in os.walk(folder) for name in names)
    return {prefix + path.relative_to(folder).as_posix() for path in found}


def test_the_names_of_an_archive_never_become_names_on_disk(tmp_path: Path) -> None:
    listing = unpacked(tmp_path, names("cat/a.jpg", "dog/CON.jpg", "dog/a*?.png"))
    assert [entry.name for entry in listing.images] == ["cat/a.jpg", "dog/CON.jpg", "dog/a*?.png"]
    assert files_below(tmp_path / "out") == {"000/000000.jpg", "000/000001.jpg", "000/000002.png"}


def test_the_folder_that_wraps_everything_is_left_off_the_names(tmp_path: Path) -> None:
    listing = unpacked(tmp_path, names("set-main/data/cat/a.jpg", "set-main/data/dog/b.jpg"))
    assert [entry.name for entry in listing.images] == ["cat/a.jpg", "dog/b.jpg"]


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "cat/../../evil.jpg", "/etc/evil.jpg", "C:\\evil.jpg", "a\\..\\b.jpg"]
)
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    assert "outside" in refusal(tmp_path, names("cat/a.jpg", name))


def test_a_symlink_is_refused(tmp_path: Path) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        link = zipfile.ZipInfo("cat/a.jpg")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")

    assert "link" in refusal(tmp_path, fill)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "plain.zip", names("cat/a.jpg"), zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag in the local header
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # and in the table of contents
    with pytest.raises(LabError, match="encrypted"):
        unpack(io.BytesIO(bytes(data)), tmp_path)


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        archive.writestr("cat/a.bmp", b"\0" * 60_000_000)

    assert "bomb" in refusal(tmp_path, fill)


def test_a_bomb_that_lies_about_its_size_is_stopped_while_it_unpacks(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", lambda a: a.writestr("cat/a.bmp", b"\0" * 5_000_000))
    data = path.read_bytes().replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    folder = tmp_path / "out"
    folder.mkdir()
    listing = unpack(io.BytesIO(data), folder)
    assert not listing.images
    assert listing.skipped == [("cat/a.bmp", "it is damaged inside the archive")]
    assert files_below(folder) == set()


def test_a_small_set_of_plain_drawings_may_shrink_a_lot(tmp_path: Path) -> None:
    flat = io.BytesIO()
    Image.new("RGB", (600, 600)).save(flat, "BMP")
    listing = unpacked(tmp_path, lambda archive: archive.writestr("cat/a.bmp", flat.getvalue()))
    assert len(listing.images) == 1


def test_entries_bytes_and_depth_are_capped(tmp_path: Path) -> None:
    for at, (caps, word) in enumerate(
        [({"entries": 2}, "3 entries"), ({"total": 900}, "GB"), ({"per_file": 100}, "MB"),
         ({"depth": 1}, "deep")]
    ):  # fmt: skip
        place = tmp_path / str(at)
        place.mkdir()
        assert word in refusal(place, names("cat/a.jpg", "cat/b.jpg", "dog/c.jpg"), **caps)


def test_twenty_thousand_entries_of_no_use_are_counted_and_not_written(tmp_path: Path) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        for number in range(20_000):
            archive.writestr(f"{number}.txt", "")

    listing = unpacked(tmp_path, fill)
    assert listing.others[".txt"] == 20_000
    assert files_below(tmp_path / "out") == set()


def test_names_that_differ_by_case_only_are_both_kept(tmp_path: Path) -> None:
    listing = unpacked(tmp_path, names("cat/A.jpg", "cat/a.jpg", "dog/b.jpg"))
    assert {entry.name for entry in listing.images} >= {"cat/A.jpg", "cat/a.jpg"}
    assert len({entry.path.casefold() for entry in listing.images}) == 3


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_gets_a_number_and_overwrites_nothing(tmp_path: Path) -> None:
    listing = unpacked(tmp_path, names("cat/a.jpg", "cat/a.jpg", "dog/b.jpg"))
    assert [entry.name for entry in listing.images] == ["cat/a (2).jpg", "cat/a.jpg", "dog/b.jpg"]
    first = (tmp_path / "out" / listing.images[1].path).read_bytes()
    assert first == jpeg(0)


def test_what_operating_systems_leave_behind_is_skipped(tmp_path: Path) -> None:
    listing = unpacked(
        tmp_path, names("cat/a.jpg", "__MACOSX/cat/._a.jpg", "cat/.hidden.jpg", "dog/b.jpg")
    )
    assert [entry.name for entry in listing.images] == ["cat/a.jpg", "dog/b.jpg"]


def test_an_archive_in_the_archive_is_not_opened_and_said(tmp_path: Path) -> None:
    listing = unpacked(tmp_path, lambda archive: archive.writestr("inner.zip", b"PK"))
    assert "not opened" in listing.notes()[0]


def test_one_damaged_entry_is_listed_and_the_rest_is_taken(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", names("cat/a.jpg", "dog/b.jpg"), zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF  # inside of the first picture
    folder = tmp_path / "out"
    folder.mkdir()
    listing = unpack(io.BytesIO(bytes(data)), folder)
    assert [entry.name for entry in listing.images] == ["dog/b.jpg"]
    assert [name for name, _ in listing.skipped] == ["cat/a.jpg"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (b"Rar!\x1a\x07\0", "a RAR archive"),
        (b"\x1f\x8b\x08\0", "a gzip or tar.gz archive"),
        (b"just text", "some other file"),
    ],
)
def test_what_is_no_zip_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(LabError, match=words):
        unpack(io.BytesIO(data), tmp_path)


def test_a_zip_cut_in_half_is_refused(tmp_path: Path) -> None:
    data = zipped(tmp_path / "a.zip", names("cat/a.jpg", "dog/b.jpg")).read_bytes()
    with pytest.raises(LabError, match="not a whole zip"):
        unpack(io.BytesIO(data[: len(data) // 2]), tmp_path)


def test_names_in_utf_8_without_the_mark_are_read_as_people_wrote_them(tmp_path: Path) -> None:
    data = zipped(tmp_path / "a.zip", names("wäsche/a.jpg", "dog/b.jpg")).read_bytes()
    unmarked = bytearray(data)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = unmarked.find(magic)
        while at >= 0:
            unmarked[at + offset + 1] &= ~0x08
            at = unmarked.find(magic, at + 4)
    folder = tmp_path / "out"
    folder.mkdir()
    listing = unpack(io.BytesIO(bytes(unmarked)), folder)
    assert "wäsche/a.jpg" in {entry.name for entry in listing.images}
