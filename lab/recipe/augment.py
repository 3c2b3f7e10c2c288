"""Random changes to training pictures: one warp, then light, then mixing within the batch."""

from __future__ import annotations

from typing import Literal

from lab.recipe.base import Part, field


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

    rand_ops: int = field(
        2, ge=1, le=8, help="RandAugment: how many operations a picture gets.",
        source="Cubuk et al. 2019",
    )  # fmt: skip
    rand_magnitude: float = field(
        0.0, ge=0, le=30,
        help="RandAugment: strength of each operation, 0 to 30; 0 switches it off. "
        "EfficientNetV2 lets it grow with the size.",
        source="Cubuk et al. 2019; Tan and Le 2021",
    )  # fmt: skip
    mixup: float = field(
        0.0, ge=0, le=4,
        help="Mix each picture and its label with another: share ~ Beta(a, a). 0: off; fastai 0.4.",
        source="Zhang et al. 2017; fastai MixUp",
    )  # fmt: skip
    cutmix: float = field(
        0.0, ge=0, le=4,
        help="Paste a rectangle of another picture, labels by area: share ~ Beta(a, a). 0: off. "
        "With mixup as well, each step takes one of the two at random.",
        source="Yun et al. 2019",
    )  # fmt: skip

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
        dark = self.lighting == 0 or self.lighting_p == 0
        mixed = self.rand_magnitude > 0 or self.mixup > 0 or self.cutmix > 0
        return self.flip == "none" and still and dark and not mixed
