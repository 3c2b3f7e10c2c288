"""Every kind of picture file comes out as correct RGB, or as an error that says what it is."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import photo, pixels
from PIL import Image
from timm.data import create_transform

from lab.data.images import open_rgb, read_picture, what_is
from lab.data.preview import thumbnail
from lab.data.transform import TestTransform, fill_of
from lab.errors import LabError


def packed(image: Image.Image, kind: str = "PNG", **saving) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **saving)
    return file.getvalue()


def rgb(data: bytes) -> np.ndarray:
    return np.asarray(open_rgb(data, name="x"))


def refusal(data: bytes, name: str = "shirt.jpg") -> str:
    with pytest.raises(LabError) as caught:
        open_rgb(data, name=name)
    assert caught.value.fix
    return caught.value.what


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_a_lossless_picture_comes_out_as_its_own_pixels(kind: str) -> None:
    flat = np.full((9, 7, 3), (200, 30, 90), dtype=np.uint8)
    saving = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(rgb(packed(Image.fromarray(flat), kind, **saving)), flat)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind: str) -> None:
    grey = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    assert rgb(packed(Image.fromarray(grey), kind))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_big_endian_16_bit_grey_is_scaled_too() -> None:
    grey = np.array([[0, 32896, 65535]], dtype=">u2")
    image = Image.frombytes("I;16B", (3, 1), grey.tobytes())
    assert rgb(packed(image, "TIFF"))[0, :, 1].tolist() == [0, 128, 255]


def test_floating_point_grey_is_stretched_from_smallest_to_largest() -> None:
    image = Image.fromarray(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32))
    assert rgb(packed(image, "TIFF"))[0, :, 2].tolist() == [0, 128, 255]


def test_cmyk_comes_out_in_its_colours() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow ink: red
    red = rgb(packed(cmyk, "JPEG", quality=95))[8, 8]
    assert red[0] > 230
    assert max(red[1:]) < 40


def test_a_palette_comes_out_in_its_colours() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert rgb(packed(image))[0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_shows_white_and_not_its_hidden_colour(mode: str) -> None:
    hidden = (0, 0, 0, 0) if mode == "RGBA" else (0, 0)
    assert rgb(packed(Image.new(mode, (3, 3), hidden)))[1, 1].tolist() == [255, 255, 255]


def test_half_transparent_black_over_white_is_mid_grey() -> None:
    grey = rgb(packed(Image.new("RGBA", (2, 2), (0, 0, 0, 128))))[0, 0]
    assert np.abs(grey.astype(int) - 127).max() <= 1


def test_a_transparent_palette_entry_shows_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert rgb(packed(image, transparency=1))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (5, 5), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    saving = {"lossless": True} if kind == "WEBP" else {}
    data = packed(frames[0], kind, save_all=True, append_images=frames[1:], **saving)
    assert rgb(data)[2, 2].tolist() == [250, 0, 0]


def test_a_phones_jpeg_of_several_pictures_is_its_first_one() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    data = packed(frames[0], "MPO", save_all=True, append_images=frames[1:])
    picture = read_picture(data, "x", short_px=8)
    assert picture.format == "JPEG"
    assert np.asarray(picture.image)[4, 4, 0] > 240


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_applied_once(orientation: int, kind: str) -> None:
    upright = np.zeros((16, 32, 3), dtype=np.uint8)
    upright[:8, :16] = 255  # the upper left quarter is white
    undo = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7}[orientation]
    turns = [
        lambda a: a, np.fliplr, lambda a: np.rot90(a, 2), np.flipud,
        lambda a: a.transpose(1, 0, 2), np.rot90, lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        lambda a: np.rot90(a, 3),
    ]  # fmt: skip
    stored = Image.fromarray(np.ascontiguousarray(turns[undo](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_picture(packed(stored, kind, exif=exif), "x")
    assert np.abs(np.asarray(picture.image).astype(int) - upright).mean() < 4
    assert (picture.width, picture.height) == (32, 16)


def test_the_size_of_a_reduced_and_turned_jpeg_is_its_full_upright_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = packed(Image.fromarray(pixels(400, 640)), "JPEG", exif=exif)
    picture = read_picture(data, "x", short_px=50)
    assert (picture.width, picture.height) == (400, 640)
    assert picture.image.size == (50, 80)


def test_metadata_is_dropped(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    image = open_rgb(photo(tmp_path / "a.jpg", exif=exif, comment=b"secret"))
    image.save(tmp_path / "b.jpg")
    written = (tmp_path / "b.jpg").read_bytes()
    assert b"a camera" not in written
    assert b"secret" not in written


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.98])
@pytest.mark.parametrize("short_px", [None, 1])
def test_a_truncated_jpeg_is_an_error(share: float, short_px: int | None) -> None:
    whole = packed(Image.fromarray(pixels(200, 200)), "JPEG")
    with pytest.raises(LabError, match=r"shirt\.jpg is"):
        open_rgb(whole[: int(len(whole) * share)], name="shirt.jpg", short_px=short_px)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_any_picture_cut_in_half_is_an_error(kind: str) -> None:
    whole = packed(Image.fromarray(pixels(100, 100)), kind)
    assert refusal(whole[: len(whole) // 2]).startswith("shirt.jpg is")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello, this is no picture", "is not an image: it is text."),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "it is an SVG drawing."),
        (b"<!DOCTYPE html><html><script>alert(1)</script></html>", "it is a web page."),
        (b"", "is empty, 0 bytes."),
        (b"%PDF-1.7 ...", "it is a PDF."),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "it is a HEIC photo."),
        (bytes(range(128, 256)) * 4, "is of an unknown kind."),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, words: str) -> None:
    assert refusal(data).endswith(words)


def test_text_with_letters_of_any_script_is_called_text() -> None:
    assert what_is("Привет, мир! ".encode() * 300) == "text"


def test_a_picture_of_one_pixel_is_read() -> None:
    assert rgb(packed(Image.new("RGB", (1, 1), (1, 2, 3)))).tolist() == [[[1, 2, 3]]]


@pytest.mark.filterwarnings("ignore:Image size")
def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    size = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert "pixels" in refusal(bomb)


def test_the_cap_on_pixels_is_an_argument() -> None:
    with pytest.raises(LabError, match="10 × 10 pixels"):
        open_rgb(packed(Image.new("RGB", (10, 10))), max_pixels=99)


def test_formats_outside_of_the_list_are_refused() -> None:
    assert "is" in refusal(packed(Image.new("RGB", (8, 8)), "PPM"))


def test_a_missing_file_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"gone\.jpg cannot be read"):
        open_rgb(tmp_path / "gone.jpg")


def test_a_thumbnail_of_a_bad_file_is_grey_and_not_an_error() -> None:
    image = Image.open(io.BytesIO(thumbnail(b"no picture", 20)))
    assert image.size == (20, 20)


def test_a_thumbnail_keeps_the_aspect_and_is_never_enlarged(tmp_path: Path) -> None:
    wide = thumbnail(photo(tmp_path / "a.jpg", 100, 400), 64)
    small = thumbnail(photo(tmp_path / "b.png", 10, 20), 64)
    assert Image.open(io.BytesIO(wide)).size == (64, 16)
    assert Image.open(io.BytesIO(small)).size == (20, 10)


MEAN = (0.485, 0.456, 0.406)
SIZES = [(64, 64), (96, 64), (63, 97), (224, 224)]
SHAPES = [(48, 64), (533, 400), (64, 64), (300, 301), (37, 740), (50, 3), (7, 5)]


@pytest.mark.parametrize("crop_pct", [1.0, 0.95, 0.875, 0.7131])
@pytest.mark.parametrize("resize", ["squash", "center", "border"])
@pytest.mark.parametrize("size", SIZES)
def test_the_test_transform_is_timms_bit_for_bit(
    size: tuple[int, int], resize: str, crop_pct: float
) -> None:
    for interpolation in ("bicubic", "bilinear", "nearest", "lanczos"):
        ours = TestTransform(*size, resize, crop_pct, interpolation, fill_of(MEAN))
        theirs = create_transform(
            (3, *size), is_training=False, interpolation=interpolation, crop_pct=crop_pct,
            crop_mode=resize, mean=MEAN, normalize=False,
        )  # fmt: skip
        for seed, shape in enumerate(SHAPES):
            image = Image.fromarray(pixels(*shape, seed=seed))
            expected = theirs(image).permute(1, 2, 0).numpy()
            assert np.array_equal(ours.apply(image), expected), (interpolation, shape)


def test_a_picture_that_is_far_too_thin_is_an_error_and_not_gigabytes() -> None:
    with pytest.raises(LabError, match="too thin"):
        TestTransform(224, 224, "center").apply(Image.new("RGB", (60_000, 1)))


def test_a_thin_picture_fits_into_a_border() -> None:
    assert TestTransform(64, 64, "border").apply(Image.new("RGB", (6_000, 1))).shape == (64, 64, 3)


@pytest.mark.parametrize("bad", [{"crop_pct": 0}, {"crop_pct": 1.1}, {"resize": "stretch"}])
def test_a_test_transform_that_timm_cannot_express_is_refused(bad: dict) -> None:
    with pytest.raises(LabError):
        TestTransform(64, 64, **bad)
