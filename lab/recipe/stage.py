"""One stage of a schedule: a size, how long, what is trainable, at which rate, under which warp."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from lab.recipe.base import Part, field

Side = Annotated[int, Field(ge=16, le=1024)]
Size = Side | tuple[Side, Side]


def hw(size: int | tuple[int, int] | list[int]) -> tuple[int, int]:
    """A size as (height, width) in pixels."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


class Augment(Part):
    """Random changes to training pictures: one warp, then one change of light."""

    flip: Literal["none", "horizontal", "dihedral"] = field(
        "horizontal", help="Mirror half of the pictures; dihedral: any of the eight symmetries."
    )
    rotate_deg: float = field(
        10.0, ge=0, le=180, unit="degrees", help="Turn by up to this much either way.",
        source="fastai aug_transforms",
    )  # fmt: skip
    zoom_max: float = field(
        1.1, ge=1, le=2, help="Zoom in by a factor of 1 to this.", source="fastai aug_transforms"
    )
    warp: float = field(
        0.2, ge=0, le=0.5, help="Strength of the perspective.", source="fastai aug_transforms"
    )
    affine_p: float = field(
        0.75, ge=0, le=1, help="Share of pictures that are turned; the same for zoom and warp.",
        source="fastai aug_transforms",
    )  # fmt: skip
    lighting: float = field(
        0.2, ge=0, le=0.9, help="Strength of brightness and contrast changes.",
        source="fastai aug_transforms",
    )  # fmt: skip
    lighting_p: float = field(
        0.75, ge=0, le=1, help="Share of pictures whose light changes.",
        source="fastai aug_transforms",
    )  # fmt: skip
    lighting_space: Literal["logit", "linear"] = field(
        "linear",
        help="logit is fastai's: sigmoid(c * logit(x) + b). linear: c * x + b, faster; the two "
        "differ by up to 29 grey levels.",
    )

    @classmethod
    def off(cls) -> Augment:
        """No random change at all."""
        return cls(flip="none", rotate_deg=0, zoom_max=1, warp=0, lighting=0)

    @property
    def is_off(self) -> bool:
        """Whether a picture always comes out the same."""
        still = self.affine_p == 0 or (
            self.rotate_deg == 0 and self.zoom_max == 1 and self.warp == 0
        )
        return self.flip == "none" and still and (self.lighting == 0 or self.lighting_p == 0)


class Stage(Part):
    """A stretch of training at one size. Weights carry on from the stage before."""

    size: Size = field(
        unit="px", help="What the network sees: a side, or [height, width]. The idea: start small."
    )
    epochs: int = field(3, ge=0, le=500, unit="epochs", help="Epochs with everything trainable.")
    frozen_epochs: int = field(
        0, ge=0, le=200, unit="epochs",
        help="Epochs first with the body frozen (its norm layers go on). With at least one, the "
        "stage is fastai's fine_tune: then half the rate, unfrozen.",
        source="fastai fine_tune",
    )  # fmt: skip
    trainable: Literal["all", "head", "last-norm+head"] = field(
        "all",
        help="What learns. last-norm+head is FixRes: adapt a trained network to a new size.",
        source="Touvron et al. 2019; Keras FixRes example",
    )
    lr: float = field(3e-3, gt=0, le=10, help="Peak learning rate of the last parameter group.")
    group_rates: Literal["same", "tenth", "geometric"] = field(
        "geometric",
        help="Rates of earlier groups. tenth: a tenth for all but the last. geometric: spread "
        "evenly in ratio down to lr / lr_ratio. One group: no difference.",
        source="fastai slice",
    )
    lr_ratio: float = field(
        100.0, ge=1, le=1e5, help="Last group's rate over the first group's, for geometric."
    )
    schedule: Literal["one-cycle", "constant"] = field(
        "one-cycle", help="How the rate moves within the stage."
    )
    pct_start: float | None = field(
        None, gt=0, lt=1,
        help="Share of the steps spent warming up. None: 0.25, or fine_tune's 0.99 and 0.3.",
    )  # fmt: skip
    div: float | None = field(
        None, ge=1, le=1e4, help="Peak over starting rate. None: 25, or 5 after a frozen part."
    )
    div_final: float = field(1e5, ge=1, le=1e9, help="Peak over final rate.")
    batch_size: int = field(64, ge=2, le=4096, unit="images", help="Images per step.")
    weight_decay: float | None = field(
        None, ge=0, le=1, help="Another weight decay for this stage. None: the optimizer's."
    )
    resize: Literal["squish", "crop", "pad", "random-resized-crop", "as-test"] = field(
        "crop",
        help="How a picture becomes the rectangle. squish ignores the aspect; crop covers the "
        "shorter side, random place in training, centre in validation; pad shows all of it; "
        "random-resized-crop takes a random part of the original; as-test frames just as "
        "validation does (FixRes).",
    )
    min_scale: float = field(
        1.0, gt=0, le=1,
        help="Smallest share of the area that a random crop keeps (of the framed rectangle; for "
        "random-resized-crop, of the whole picture). 1: all of it.",
    )  # fmt: skip
    pad_mode: Literal["zeros", "border", "reflection"] = field(
        "reflection", help="What fills the space around a padded or turned picture, in training."
    )
    presize_px: int | None = field(
        None, ge=16, le=2048, unit="px",
        help="Short side at which pictures are kept for the warp. None: a quarter above the size, "
        "more where crops are small.",
        source="fastbook ch. 5 (presizing)",
    )  # fmt: skip
    augment: Augment = field(default_factory=Augment, help="Random changes to training pictures.")
    valid_resize: Literal["auto", "squash", "center", "border"] = field(
        "auto", help="timm's crop_mode for validation. auto: the one that matches `resize`."
    )
    valid_crop_pct: float = field(
        1.0, gt=0.3, le=1, help="Share of the resized picture that the centre crop keeps."
    )

    @property
    def hw(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return hw(self.size)

    @property
    def test_resize(self) -> str:
        """timm's crop_mode for validation at this stage."""
        matching = {"squish": "squash", "pad": "border"}
        chosen = self.valid_resize
        return matching.get(self.resize, "center") if chosen == "auto" else chosen

    @property
    def stored_px(self) -> int:
        """Short side that pictures are kept at for this stage's warp.

        A quarter above the size; for random-resized-crop enough for an area of 0.35 to stay sharp
        (smaller crops are enlarged), and as much as the test transform enlarges before its crop.
        """
        if self.presize_px:
            return self.presize_px
        spare = max(self.min_scale, 0.35) ** -0.5 if self.min_scale < 1 else 1.0
        if self.resize == "as-test":
            spare = 1 / self.valid_crop_pct
        return math.ceil(max(self.hw) * max(1.25, spare))

    @property
    def total_epochs(self) -> int:
        """Frozen and unfrozen epochs together."""
        return self.epochs + self.frozen_epochs

    @property
    def label(self) -> str:
        """`128` or `256×192`."""
        height, width = self.hw
        return str(height) if height == width else f"{height}×{width}"
