"""One stage of a schedule: a size, how long, what is trainable, at which rate, under which warp."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from lab.recipe.augment import Augment
from lab.recipe.base import Part, field

Side = Annotated[int, Field(ge=16, le=1024)]
Size = Side | tuple[Side, Side]
Rate = Annotated[float, Field(gt=0, le=10)]
Batch = Annotated[int, Field(ge=2, le=4096)]


def hw(size: int | tuple[int, int] | list[int]) -> tuple[int, int]:
    """A size as (height, width) in pixels."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


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
    trainable: Literal["all", "head", "last-norm+head", "last-norm-statistics+head"] = field(
        "all",
        help="What learns. last-norm+head is FixRes: adapt a trained network to a new size; with "
        "-statistics the norm only follows its pictures, as the authors' code does; without, its "
        "scale and shift learn too, as in the Keras example.",
        source="Touvron et al. 2019; Keras FixRes example",
    )
    lr: Rate | Literal["finder"] = field(
        3e-3,
        help="Peak learning rate of the last parameter group, or `finder`: the learning-rate "
        "finder's valley at the beginning of this stage.",
    )
    group_rates: Literal["same", "tenth", "geometric", "layer-decay"] = field(
        "geometric",
        help="Rates of earlier groups. tenth: a tenth for all but the last. geometric: spread "
        "evenly in ratio down to lr / lr_ratio. layer-decay: each group layer_decay times the "
        "next. One group: no difference.",
        source="fastai slice; BEiT",
    )
    lr_ratio: float = field(
        100.0, ge=1, le=1e5, help="Last group's rate over the first group's, for geometric."
    )
    layer_decay: float = field(
        0.75, gt=0, le=1, help="A group's rate over the next later group's, for layer-decay."
    )
    schedule: Literal["one-cycle", "restarts", "flat-cosine", "cosine", "constant"] = field(
        "one-cycle",
        help="How the rate moves within the stage. restarts: cosine cycles, and their lengths say "
        "how long the stage is (`epochs` does not count).",
        source="fastai; Loshchilov and Hutter 2016",
    )
    cycle_len: int = field(
        1, ge=1, le=100, unit="epochs", help="restarts: length of the first cycle."
    )
    cycle_mult: int = field(
        1, ge=1, le=4, help="restarts: each cycle lasts this many times the one before."
    )
    max_cycles: int = field(3, ge=1, le=12, help="restarts: at most this many cycles.")
    cycle_patience: int = field(
        0, ge=0, le=12, unit="cycles",
        help="restarts: end after this many cycles without a better error rate. 0: run them all.",
    )  # fmt: skip
    pct_start: float | None = field(
        None, gt=0, lt=1,
        help="Share of the steps spent warming up. None: 0.25, or fine_tune's 0.99 and 0.3.",
    )  # fmt: skip
    div: float | None = field(
        None, ge=1, le=1e4, help="Peak over starting rate. None: 25, or 5 after a frozen part."
    )
    div_final: float = field(1e5, ge=1, le=1e9, help="Peak over final rate.")
    batch_size: Batch | Literal["auto"] = field(
        64, unit="images",
        help="Images per step. auto: chosen when the run begins, by the memory and the number of "
        "images, and written down.",
    )  # fmt: skip
    sampling: Literal["all", "weighted"] = field(
        "all",
        help="all: every image once an epoch. weighted: as many draws with replacement, rare "
        "classes as often as common ones. Never throw data away to balance classes.",
        source="fastai weighted_dataloaders",
    )
    cached_activations: bool = field(
        False,
        help="The body looks at every picture once, in eval mode; the head then trains on what it "
        "said. Needs trainable = head. Augmentation has no effect while it is on.",
        source="fast.ai lesson 1 (precompute)",
    )
    cached_views: int = field(
        0,
        ge=0,
        le=16,
        help="Augmented views of each picture that are cached besides the plain one; every epoch "
        "takes one of them at random for each picture. Only with cached activations.",
    )
    label_smoothing: float = field(
        0.0, ge=0, lt=1, help="Share of the target spread over all classes.",
        source="Szegedy et al. 2015; fastai",
    )  # fmt: skip
    dropout: float | None = field(
        None, ge=0, le=0.9, help="Another dropout for this stage. None: the model's."
    )
    augment_off_epochs: int = field(
        0, ge=0, le=200, unit="epochs",
        help="The last epochs of the stage without augmentation.",
    )  # fmt: skip
    ramp_from: Size | None = field(
        None, unit="px",
        help="Begin the stage at this size and let it grow to `size`. None: one size throughout.",
        source="Composer and FFCV progressive resizing",
    )  # fmt: skip
    ramp_start: float = field(
        0.0, ge=0, lt=1, help="Share of the stage's steps after which the size begins to grow."
    )
    ramp_end: float = field(
        1.0, gt=0, le=1, help="Share of the stage's steps at which it is fully grown."
    )
    ramp_by: Literal["epoch", "batch"] = field(
        "epoch", help="Whether the size changes between epochs only, or at any step."
    )
    ramp_multiple: int = field(
        4, ge=1, le=64, unit="px", help="Sizes on the way are rounded to multiples of this."
    )
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
        help="Smallest share of the area that a random crop keeps: of the framed rectangle, in its "
        "shape; for random-resized-crop, of the whole picture in any shape from 3:4 to 4:3.",
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
    def cycles(self) -> tuple[int, ...]:
        """Epochs of each cycle under restarts; empty otherwise."""
        if self.schedule != "restarts":
            return ()
        return tuple(self.cycle_len * self.cycle_mult**i for i in range(self.max_cycles))

    @property
    def open_epochs(self) -> int:
        """Epochs after the frozen part; under restarts the sum of the cycles (at most)."""
        return sum(self.cycles) if self.schedule == "restarts" else self.epochs

    def still(self) -> Stage:
        """The stage without any random change: framed as validation frames, not augmented."""
        changes = {"augment": Augment.off(), "resize": "as-test", "valid_resize": self.test_resize}
        return self.model_copy(update=changes)

    @property
    def total_epochs(self) -> int:
        """Frozen and unfrozen epochs together."""
        return self.open_epochs + self.frozen_epochs

    def at(self, height: int, width: int) -> Stage:
        """The stage as it is at another size on the way of its ramp."""
        return (
            self
            if (height, width) == self.hw
            else self.model_copy(update={"size": (height, width)})
        )

    @property
    def label(self) -> str:
        """`128` or `256×192`."""
        height, width = self.hw
        return str(height) if height == width else f"{height}×{width}"
