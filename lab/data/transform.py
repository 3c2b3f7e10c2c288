"""timm's evaluation transform on PIL pictures, without torch: what a network is scored on.

    pixels = TestTransform(128, 128, "center", 0.95).apply(image)

Bit for bit what `timm.data.create_transform(is_training=False, ...)` feeds to ToTensor; a test
compares them. Arithmetic from timm.data.transforms_factory.transforms_imagenet_eval and from
torchvision.transforms.functional (resize, center_crop), which both use Pillow's resize.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from lab.errors import LabError

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
# A 1 x 60,000 picture, its short side brought to 224, would take 9 GB.
MAX_SCALED_PIXELS = 100_000_000


def fill_of(mean: Sequence[float]) -> tuple[int, int, int]:
    """The border's colour for a normalisation mean in 0..1: what timm fills with."""
    red, green, blue = (round(255 * value) for value in mean)
    return red, green, blue


@dataclass(frozen=True)
class TestTransform:
    """Size in pixels; `resize`: timm's crop_mode; `crop_pct` in (0, 1]; `fill`: border, 0..255."""

    height: int
    width: int
    resize: Literal["squash", "center", "border"] = "center"
    crop_pct: float = 1.0
    interpolation: str = "bicubic"
    fill: tuple[int, int, int] = (124, 116, 104)

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __post_init__(self) -> None:
        if self.resize not in ("squash", "center", "border"):
            raise LabError(f"resize is {self.resize!r}.", "Use squash, center or border.")
        if self.interpolation not in INTERPOLATIONS:
            raise LabError(
                f"interpolation is {self.interpolation!r}.",
                f"Use one of {', '.join(INTERPOLATIONS)}.",
            )
        if not 0 < self.crop_pct <= 1:
            raise LabError(f"crop_pct is {self.crop_pct}.", "Use a value above 0, at most 1.")

    def apply(self, image: Image.Image) -> np.ndarray:
        """RGB picture in, uint8 (height, width, 3) out. LabError for one that is far too thin."""
        return np.asarray(self.picture(image))

    def picture(self, image: Image.Image) -> Image.Image:
        """The same as a PIL picture."""
        height, width = self._scaled(image.height, image.width)
        if height * width > MAX_SCALED_PIXELS:
            raise LabError(
                f"A picture of {image.width} × {image.height} is too thin to be scaled.",
                "Crop it, or use resize = squash or border.",
            )
        if (width, height) != image.size:
            image = image.resize((width, height), INTERPOLATIONS[self.interpolation])
        return self._crop_or_pad(image, self.fill if self.resize == "border" else (0, 0, 0))

    def timm(self) -> dict[str, Any]:
        """The same transform in the words of timm's data config."""
        return {
            "input_size": (3, self.height, self.width),
            "crop_mode": self.resize,
            "crop_pct": self.crop_pct,
            "interpolation": self.interpolation,
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "fill": list(self.fill)}

    def _scaled(self, image_height: int, image_width: int) -> tuple[int, int]:
        """(height, width) before the crop."""
        height = math.floor(self.height / self.crop_pct)
        width = math.floor(self.width / self.crop_pct)
        if self.resize == "squash":
            return height, width
        if self.resize == "center" and height == width:
            return _short_side_to(height, image_height, image_width)
        ratios = image_height / height, image_width / width
        ratio = max(ratios) if self.resize == "border" else min(ratios)
        # At least one pixel: timm itself fails on a picture as thin as that.
        return max(1, round(image_height / ratio)), max(1, round(image_width / ratio))

    def _crop_or_pad(self, image: Image.Image, fill: tuple[int, int, int]) -> Image.Image:
        more_w, more_h = max(0, self.width - image.width), max(0, self.height - image.height)
        if more_w or more_h:
            border = (more_w // 2, more_h // 2, (more_w + 1) // 2, (more_h + 1) // 2)
            image = ImageOps.expand(image, border=border, fill=fill)
        if image.size == (self.width, self.height):
            return image
        top = round((image.height - self.height) / 2.0)
        left = round((image.width - self.width) / 2.0)
        return image.crop((left, top, left + self.width, top + self.height))


def _short_side_to(side: int, image_height: int, image_width: int) -> tuple[int, int]:
    """torchvision's Resize(int): the long side is cut to a whole number, not rounded."""
    if image_width <= image_height:
        return int(side * image_height / image_width), side
    return side, int(side * image_width / image_height)
