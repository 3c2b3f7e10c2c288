"""What is special about a stage, in words: no Streamlit, so that each sentence can be tested.

specials(stage)         # "cycles of 1, 2 and 4 epochs, ends after one without gain; MixUp 0.2"
matched_words(stage)    # at which test size things look as large as in training
"""

from __future__ import annotations

from lab.recipe.stage import Stage, hw
from lab.schedules.growth import matched_test_px
from lab.ui import format as fmt


def specials(stage: Stage) -> list[str]:
    """What the front of a card does not show and is not as usual; empty for an ordinary stage."""
    return [words for words in (*_course(stage), *_pictures(stage), *_head(stage)) if words]


def _course(stage: Stage) -> list[str]:
    shapes = {"flat-cosine": "rate flat, then falling", "cosine": "rate falls as a cosine",
              "constant": "the same rate all along"}  # fmt: skip
    decays = {"layer-decay": f"each layer at {stage.layer_decay:g} of the next one's rate",
              "tenth": "earlier layers at a tenth of the rate"}  # fmt: skip
    return [
        cycles_words(stage) or shapes.get(stage.schedule, ""),
        "" if stage.frozen_epochs else decays.get(stage.group_rates, ""),
        ramp_words(stage),
    ]


def cycles_words(stage: Stage) -> str:
    """`cycles of 1, 2 and 4 epochs, ends after one without gain`; '' under another schedule."""
    if not stage.cycles:
        return ""
    *most, last = [str(epochs) for epochs in stage.cycles]
    lengths = f"{', '.join(most)} and {last}" if most else last
    one = not most and last == "1"
    words = f"cycle{'s' if most else ''} of {lengths} epoch{'' if one else 's'}"
    n = stage.cycle_patience
    ends = "" if not n else f", ends after {'one' if n == 1 else n} without gain"
    return words + ends


def epochs_words(stage: Stage) -> str:
    """`7 in 3 cycles`, for a stage whose cycles say how long it is."""
    n = len(stage.cycles)
    return f"{stage.open_epochs} in {n} cycle{'' if n == 1 else 's'}"


def ramp_words(stage: Stage) -> str:
    """`grows from 112 px with every batch`; '' where there is one size."""
    if stage.ramp_from is None:
        return ""
    begin, end = stage.ramp_start, stage.ramp_end
    while_ = f", between {100 * begin:.0f} and {100 * end:.0f} %" if (begin, end) != (0, 1) else ""
    of = " of the stage" if while_ else ""
    return f"grows from {fmt.size(*hw(stage.ramp_from))} with every {stage.ramp_by}{while_}{of}"


def _pictures(stage: Stage) -> list[str]:
    augment, off = stage.augment, stage.augment_off_epochs
    last = "the last epoch" if off == 1 else f"the last {off} epochs"
    still = augment.is_off and not stage.cached_activations
    return [
        "weighted sampling" if stage.sampling == "weighted" else "",
        "no augmentation" if still else f"{last} without augmentation" if off else "",
        f"RandAugment {augment.rand_magnitude:.3g}" if augment.rand_magnitude else "",
        f"MixUp {augment.mixup:.3g}" if augment.mixup else "",
        f"CutMix {augment.cutmix:.3g}" if augment.cutmix else "",
    ]


def _head(stage: Stage) -> list[str]:
    n = stage.cached_views
    views = f" with {n} augmented view{'' if n == 1 else 's'}" if n else ""
    return [
        f"cached activations{views}" if stage.cached_activations else "",
        f"label smoothing {stage.label_smoothing:.3g}" if stage.label_smoothing else "",
        f"dropout {stage.dropout:.3g}" if stage.dropout is not None else "",
        f"weight decay {stage.weight_decay:.3g}" if stage.weight_decay is not None else "",
    ]


def matched_words(stage: Stage) -> str:
    """At which test size things look as large as in training; '' where nothing is cropped."""
    if stage.resize != "random-resized-crop" or stage.min_scale >= 1:
        return ""
    side = matched_test_px(max(stage.hw), stage.min_scale, stage.valid_crop_pct)
    return (
        f"Random crops make things look larger: a test at about {side:.0f} px shows them as large "
        f"as training at {stage.label} px does (FixRes)."
    )
