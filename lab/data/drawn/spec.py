"""What a drawn set is: its parameters and its 80 classes, and which picture gets which label.

60 classes are an outline with a fill, 10 a surface that covers everything, 10 a fractal. Colour,
place, size, turn, light, ground and clutter are random in all of them and tell nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1  # raise it whenever a picture changes: the body's record names it

OUTLINES = (
    "disc", "ring", "triangle", "square", "cross", "star", "crescent", "heart", "arrow", "flower",
)  # fmt: skip
FILLS = ("plain", "stripes", "checks", "dots", "net", "marble")
SURFACES = (
    "waves", "plaid", "mosaic", "walls", "bumps", "pits", "blobs", "wood", "clouds", "spiral",
)  # fmt: skip
FRACTALS = (
    "triangles", "carpet", "fern", "dragon", "levy", "coast", "tree", "pentagons", "vicsek",
    "snail",
)  # fmt: skip
CLASSES = (
    *(f"{outline} {fill}" for outline in OUTLINES for fill in FILLS),
    *(f"surface {name}" for name in SURFACES),
    *(f"fractal {name}" for name in FRACTALS),
)


@dataclass(frozen=True)
class DrawnSet:
    """n pictures of size_px, a pure function of the seed and the picture's number."""

    n: int = 20_000
    size_px: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        # Only the project's own scripts and tests draw these: bad values are our own mistakes.
        assert self.n >= 1, self.n
        assert 32 <= self.size_px <= 512, self.size_px
        assert self.seed >= 0, self.seed

    def key(self) -> str:
        """Short name that is equal exactly when the pictures are."""
        return f"drawn-v{VERSION}-n{self.n}-{self.size_px}px-s{self.seed}"


def label_of(index: int) -> int:
    """The classes take turns, so that every run of 80 pictures holds each of them once."""
    return index % len(CLASSES)
