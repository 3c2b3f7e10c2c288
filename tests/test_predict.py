"""Predictions on new pictures: odd files, many at once, one answer everywhere, sorted."""

from __future__ import annotations

import io
import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_runs import lab
from pictures import class_folders, pixels, zip_of
from PIL import Image
from untrained import CLASSES, KINDS, untrained_run

from lab.analysis.predicted import (
    THUMBS,
    Answer,
    Predicted,
    frame,
    ordered,
    read_answers,
    read_thumb,
    write_answers,
)
from lab.data.csvsafe import safe_csv
from lab.errors import LabError, Stopped
from lab.runs.folder import RunFolder
from lab.scoring.inference import predict_images
from lab.scoring.many_pictures import predict_many
from lab.scoring.new_pictures import answers, pictures_in
from lab.scoring.stages import LoadedStage, load_stage
from lab.scoring.views import tta_picture
from lab.workers import ops
from lab.workspace import Workspace

slow = pytest.mark.slow
LEAF = pixels(90, 120, seed=5)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("predict")).create()


@pytest.fixture(scope="module")
def run(workspace: Workspace) -> RunFolder:
    return untrained_run(workspace, second=KINDS)


@pytest.fixture(scope="module")
def loaded(run: RunFolder) -> LoadedStage:
    return load_stage(run)


def packed(image: Image.Image | np.ndarray, kind: str = "PNG", **saving) -> bytes:
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **saving)
    return file.getvalue()


def one(loaded: LoadedStage, data: bytes, name: str = "leaf.png", **more) -> Answer:
    return next(answers(loaded, [(name, data)], **more))


def same(loaded: LoadedStage, data: bytes, shown: np.ndarray, name: str = "leaf.png") -> Answer:
    """The answer, which must be that to the pixels `shown` as a plain PNG."""
    found = one(loaded, data, name)
    assert found.error == ""
    assert found.plain is not None
    assert found.plain.tolist() == one(loaded, packed(shown)).plain.tolist()
    return found


# Odd pictures: the right one, and a word about it


def test_different_pictures_get_different_answers(loaded: LoadedStage) -> None:
    other = one(loaded, packed(pixels(90, 120, seed=6))).plain
    assert np.abs(one(loaded, packed(LEAF)).plain - other).max() > 0.01


def test_an_ordinary_picture_needs_no_words(loaded: LoadedStage) -> None:
    assert one(loaded, packed(LEAF)).notes == ()


def test_a_cmyk_jpeg_is_its_colours(loaded: LoadedStage) -> None:
    cmyk = Image.fromarray(LEAF).convert("CMYK")
    data = packed(cmyk, "JPEG", quality=100, subsampling=0)
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert same(loaded, data, shown, "leaf.jpg").notes == ("CMYK inks as RGB",)


def test_a_16_bit_png_is_scaled_by_its_full_range(loaded: LoadedStage) -> None:
    grey = LEAF[..., 0].astype(np.uint16) * 257  # 255 becomes 65535
    shown = np.repeat(LEAF[..., :1], 3, axis=2)
    found = same(loaded, packed(Image.fromarray(grey)), shown)
    assert found.notes == ("more than 8 bits a pixel, scaled to 8",)


def test_a_turned_photo_is_looked_at_upright(loaded: LoadedStage) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    found = same(loaded, packed(LEAF, exif=exif), np.rot90(LEAF, -1).copy())
    assert found.notes == ("turned upright, as its EXIF data say",)


def test_what_is_transparent_is_white(loaded: LoadedStage) -> None:
    clear = np.dstack([LEAF, np.full(LEAF.shape[:2], 255, np.uint8)])
    clear[:40, :, 3] = 0
    white = LEAF.copy()
    white[:40] = 255
    assert same(loaded, packed(clear), white).notes == ("what is transparent shows white",)


def test_of_an_animation_the_first_frame_is_looked_at_and_it_says_so(loaded: LoadedStage) -> None:
    frames = [Image.new("RGB", (60, 60), colour) for colour in ((200, 10, 10), (10, 200, 10))]
    data = packed(frames[0], "GIF", save_all=True, append_images=frames[1:])
    found = same(loaded, data, np.asarray(frames[0]), "leaf.gif")
    assert found.notes == ("the first frame of an animation",)


def test_a_file_with_the_wrong_ending_is_what_its_bytes_are(loaded: LoadedStage) -> None:
    found = same(loaded, packed(LEAF), LEAF, "leaf.jpg")
    assert found.notes == ("a PNG file, whatever its name says",)


def test_one_pixel_is_a_picture_and_it_says_how_small(loaded: LoadedStage) -> None:
    dot = np.full((1, 1, 3), (10, 200, 30), np.uint8)
    found = same(loaded, packed(dot), np.full((9, 9, 3), (10, 200, 30), np.uint8))
    assert found.notes == ("only 1 × 1 px, enlarged to 48 × 48",)


def test_a_picture_of_20000_px_is_looked_at_whole(loaded: LoadedStage) -> None:
    wide = np.repeat(pixels(100, 200, seed=8), 100, axis=1)
    found = one(loaded, packed(wide))
    small = one(loaded, packed(pixels(100, 200, seed=8)))
    assert wide.shape[1] == 20_000
    assert np.abs(found.plain - small.plain).max() < 0.05


def test_a_crop_of_a_wide_picture_says_that_its_ends_are_lost(workspace: Workspace) -> None:
    loaded = load_stage(untrained_run(workspace, resize="crop"))
    found = one(loaded, packed(pixels(60, 300)))
    assert found.notes == ("far from square: only its middle is looked at",)


def test_a_picture_too_thin_to_be_cropped_is_refused_in_words(workspace: Workspace) -> None:
    loaded = load_stage(untrained_run(workspace, resize="crop"))
    found = one(loaded, packed(np.zeros((1, 60_000, 3), np.uint8)), tta=True)
    assert "too thin" in found.error
    assert found.fix


def bomb(side: int = 30_000) -> bytes:
    """A PNG that says it has 900 million pixels, in 1 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        end = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + end

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("data", "words"), [
    (b"", "is empty, 0 bytes"), (b"hello world " * 9, "is not an image: it is text"),
    (b"%PDF-1.7 ...", "it is a PDF"), (packed(LEAF)[:2000], "cut off or damaged"),
    (packed(LEAF, "JPEG")[:-900], "cut off or damaged"), (bomb(), "too many pixels"),
    (bomb(9_200), "9200 × 9200 pixels; at most 80 million"),
])  # fmt: skip
def test_what_cannot_be_read_says_what_it_is(loaded: LoadedStage, data: bytes, words: str) -> None:
    found = one(loaded, data, "leaf.png")
    assert words in found.error
    assert found.error.startswith("leaf.png ")
    assert found.fix
    assert found.probs is None


def test_a_bomb_takes_no_memory(loaded: LoadedStage) -> None:
    one(loaded, packed(LEAF), tta=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    one(loaded, bomb(), tta=True)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


@pytest.mark.parametrize("name", [
    "../../etc/passwd.png", "<img src=x>.png", "a\nb.png", "=cmd().png", "Ä" * 300, "", "\0.png",
])  # fmt: skip
def test_a_hostile_name_is_only_a_name(loaded: LoadedStage, name: str) -> None:
    found = one(loaded, packed(LEAF), name)
    assert (found.name, found.error) == (name, "")
    assert found.plain is not None


def test_a_name_that_is_no_utf8_is_shown_with_backslashes(
    loaded: LoadedStage, tmp_path: Path
) -> None:
    place = os.fsencode(tmp_path) + b"/\xff.png"
    Path(os.fsdecode(place)).write_bytes(packed(LEAF))
    found = next(answers(loaded, [Path(os.fsdecode(place))]))
    assert found.name.endswith("\\udcff.png")
    assert found.error == ""


def test_a_bad_file_keeps_nobody_from_an_answer(loaded: LoadedStage) -> None:
    found = list(answers(loaded, [("a", b""), ("b", packed(LEAF)), ("c", b"x")]))
    assert [bool(answer.error) for answer in found] == [True, False, True]


# Views and the second target


def test_with_views_the_answer_is_their_average_and_the_plain_one_is_kept(
    loaded: LoadedStage,
) -> None:
    found = one(loaded, packed(LEAF), tta=True)
    expected = tta_picture(loaded, Image.fromarray(LEAF))["average"]
    assert found.average == pytest.approx(expected, abs=1e-7)
    assert found.plain.tolist() == one(loaded, packed(LEAF)).plain.tolist()
    assert np.abs(np.asarray(found.average) - found.plain).max() > 1e-4


def test_the_second_target_is_answered_too(loaded: LoadedStage, run: RunFolder) -> None:
    found = predict_images(run, [("leaf.png", packed(LEAF))], loaded=loaded, tta=True)[0]
    assert found["second"]["target"] == "kind"
    assert set(found["second"]["probabilities"]) == set(KINDS)
    assert sum(found["second"]["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert set(found["probabilities"]) == set(found["plain"]["probabilities"]) == set(CLASSES)


# One answer everywhere


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = class_folders(tmp_path_factory.mktemp("new") / "new", {"a": 3, "b": 2})
    (root / "a" / "broken.jpg").write_bytes(b"no picture")
    return root


@pytest.mark.parametrize("tta", [False, True])
def test_page_folder_and_python_give_the_same_numbers_to_the_last_bit(
    workspace: Workspace, run: RunFolder, folder: Path, tmp_path: Path, tta: bool
) -> None:
    named, _ = pictures_in([folder], tmp_path / "none")
    straight = Predicted.of(
        {"classes": CLASSES, "tta": 3 if tta else 0}, list(answers(load_stage(run), named, tta))
    )
    place = workspace.uploads / "predict-test"
    place.mkdir(exist_ok=True)
    asked = []
    for at, (name, path) in enumerate(named):
        (place / str(at)).write_bytes(path.read_bytes())
        asked.append({"name": name, "file": f"predict-test/{at}"})
    values, thumbs = ops.predict({"run": run.id, "tta": tta, "pictures": asked}, workspace)
    predict_many(run, folder, tmp_path, tta=tta)
    stored = read_answers(tmp_path)
    for row, (name, path) in enumerate(named):
        page = values["pictures"][row]
        probs = page["average"] if tta else page["plain"]
        if path.name == "broken.jpg":
            assert probs is None
            assert "not an image" in page["error"]
            assert thumbs[row] == b""
            continue
        assert np.float32(probs).tolist() == straight.probs[row].tolist()
        assert stored.probs[row].tolist() == straight.probs[row].tolist()
        assert stored.names[row] == name
        assert Image.open(io.BytesIO(thumbs[row])).size == (64, 48)


def test_the_helper_looks_at_uploads_only(workspace: Workspace, run: RunFolder) -> None:
    asked = {"run": run.id, "pictures": [{"name": "x", "file": "../runs/x"}]}
    with pytest.raises(LabError, match="Only uploads"):
        ops.predict(asked, workspace)


# Many pictures: folders, zips, progress, stop


def test_a_folder_and_a_zip_of_it_give_the_same_answers(
    run: RunFolder, folder: Path, tmp_path: Path
) -> None:
    places = tmp_path / "one", tmp_path / "two"
    packed_up = zip_of(folder, tmp_path / "new.zip")
    for place, source in zip(places, (folder, packed_up)):
        place.mkdir()
        predict_many(run, source, place)
    one_, two = (read_answers(place) for place in places)
    assert one_.names == two.names
    assert np.array_equal(one_.plain, two.plain, equal_nan=True)
    assert not (places[1] / "unpacked").exists()


def test_a_stopped_folder_keeps_what_is_done(run: RunFolder, folder: Path, tmp_path: Path) -> None:
    def stop_after_two(what: str, done: int, total: int) -> None:
        if done == 2:
            raise Stopped

    value = predict_many(run, folder, tmp_path, progress=stop_after_two)
    assert (value["stopped"], value["n"], value["of"]) == (True, 2, 6)
    assert len(read_answers(tmp_path)) == 2


def test_a_folder_without_pictures_is_refused_in_words(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "shirt.heic").write_bytes(b"x")
    with pytest.raises(LabError, match=r"no pictures in empty.*1 \.heic files are not read"):
        predict_many(run, tmp_path / "empty", tmp_path)


def test_thumbnails_are_found_by_their_row(run: RunFolder, folder: Path, tmp_path: Path) -> None:
    predict_many(run, folder, tmp_path)
    found = read_answers(tmp_path)
    with open(tmp_path / THUMBS, "rb") as file:
        made = [read_thumb(file, found, row) for row in range(len(found))]
    bad = found.names.index("a/broken.jpg")
    assert [at for at, thumb in enumerate(made) if not thumb] == [bad]
    assert all(thumb.startswith(b"\xff\xd8") for at, thumb in enumerate(made) if at != bad)


# Sorting, filtering, the table

ABOUT = {"classes": ["cat", "dog"], "target": "pet", "tta": 2}
SAID = Predicted.of(ABOUT, [
    Answer("p10", np.array([0.9, 0.1]), np.array([0.8, 0.2])),
    Answer("p9", np.array([0.4, 0.6]), np.array([0.55, 0.45])),
    Answer("bad", error="It is empty.", fix="Leave it out."),
    Answer("p2", np.array([0.3, 0.7]), np.array([0.1, 0.9]), notes=("one", "two")),
])  # fmt: skip


@pytest.mark.parametrize(("sort", "names"), [
    ("unsure", ["p9", "p10", "p2"]), ("sure", ["p2", "p10", "p9"]),
    ("class", ["p10", "p9", "p2"]), ("name", ["p2", "p9", "p10"]),
    ("changed", ["p9", "p10", "p2"]),
])  # fmt: skip
def test_answers_are_sorted_and_unreadable_ones_left_out(sort: str, names: list[str]) -> None:
    assert [SAID.names[row] for row in ordered(SAID, sort)] == names


def test_answers_are_filtered_by_class_and_by_confidence() -> None:
    assert ordered(SAID, "name", of_class=0).tolist() == [1, 0]
    assert ordered(SAID, "name", below=0.8).tolist() == [1]


def test_the_table_has_every_picture_with_and_without_views() -> None:
    table = frame(SAID).set_index("image")
    assert table.loc["p9", ["label", "label without views"]].tolist() == ["cat", "dog"]
    assert table.loc["p9", ["p(cat)", "p(cat) without views"]].tolist() == pytest.approx(
        [0.55, 0.4]
    )
    assert table.loc["bad", "label"] == ""
    assert table.loc["bad", "problem"] == "It is empty. Leave it out."
    assert table.loc["p2", "note"] == "one; two"


def test_no_cell_of_the_table_is_a_formula() -> None:
    about = {"classes": ["=1+1", "+x"], "target": "=t", "tta": 0}
    text = safe_csv(frame(Predicted.of(about, [Answer("@name", np.array([0.9, 0.1]))])))
    cells = [cell for line in text.splitlines() for cell in line.split(",")]
    assert not [cell for cell in cells if cell[:1] in "=+@" and cell]


def test_answers_survive_the_disk(tmp_path: Path) -> None:
    given = [Answer("ä", np.array([0.25, 0.75]), thumb=b"xy"), Answer("b", error="No.", thumb=b"")]
    write_answers(tmp_path, {"classes": ["c", "d"], "tta": 0}, given)
    found = read_answers(tmp_path)
    assert found.names == ("ä", "b")
    assert found.plain[0].tolist() == [0.25, 0.75]
    assert found.good.tolist() == [True, False]


def test_damaged_answers_are_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "predictions.json").write_text("{")
    with pytest.raises(LabError, match="cannot be read"):
        read_answers(tmp_path)


# The command


@slow
def test_the_command_writes_the_same_numbers_as_table_and_submission(
    workspace: Workspace, run: RunFolder, folder: Path, tmp_path: Path
) -> None:
    template = tmp_path / "sample.csv"
    template.write_text("id,rust,blight,healthy\n000,0,0,0\n77,0,0,0\n")
    small = folder / "a"
    done = lab(
        "predict", run.id, small, "--tta", "--csv", tmp_path / "all.csv",
        "--template", template, "--to", tmp_path / "out.csv", workspace=workspace.root,
    )  # fmt: skip
    named, _ = pictures_in([small], tmp_path / "none")
    expected = list(answers(load_stage(run), named, True))
    table = pd.read_csv(tmp_path / "all.csv").set_index("image")
    rows = {line["image"]: line for line in done.lines}
    assert done.code == 1  # broken.jpg
    for answer in expected:
        if answer.error:
            assert rows[answer.name]["error"]
            continue
        said = [rows[answer.name]["probabilities"][name] for name in CLASSES]
        assert said == pytest.approx(list(answer.average), abs=1e-6)
        written = [table.loc[answer.name, f"p({name})"] for name in CLASSES]
        assert written == pytest.approx(list(answer.average), abs=1e-6)
    sent = pd.read_csv(tmp_path / "out.csv", dtype={"id": str}).set_index("id")
    first = next(answer for answer in expected if answer.name == "000.jpg")
    assert sent.loc["000", list(CLASSES)].tolist() == pytest.approx(list(first.average), abs=1e-6)
    assert sent.loc["77"].tolist() == [0, 0, 0]
    assert "1 id has no picture: 77." in done.err


@slow
def test_a_template_without_a_place_to_go_is_a_wrong_argument(
    workspace: Workspace, tmp_path: Path
) -> None:
    done = lab("predict", "last", "x.jpg", "--template", "t.csv", workspace=workspace.root)
    assert done.code == 2
    assert "--template and --to go together" in done.err


@slow
def test_reading_answers_imports_no_torch() -> None:
    code = (
        "import lab.analysis.predicted, lab.analysis.submission, lab.ui.predict_results, "
        "lab.ui.predict_folder, lab.ui.predict_sources, sys; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
