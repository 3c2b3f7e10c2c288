"""walkthrough-12: rice diseases with a pretrained network, another resize at every size."""

from lab.recipe.presets.preset import Preset

_TUNE = {
    "frozen_epochs": 1,
    "lr": 0.01,
    "lr_ratio": 100,
    "batch_size": 64,
    "min_scale": 0.75,
    "augment": {"lighting_space": "logit"},
}

WALKTHROUGH_12 = Preset(
    name="walkthrough-12",
    title="Live-coded walk-through, part 12",
    story=(
        "fine_tune at every size with the same rate; the head is re-frozen for an epoch each time. "
        "The way of resizing changes from stage to stage, which is itself augmentation."
    ),
    source="fastai live coding, rice diseases (10 classes, 480x640 px), pretrained ConvNeXt",
    departures=(
        "Without the network the hub's ConvNeXt cannot be had: set the weights to none, which is "
        "another experiment.",
        "fp16 becomes bf16 or fp32, whichever is faster here.",
        "The data set becomes the one you choose; one target at a time.",
    ),
    published=(
        "Error about .0418 after 128 px.",
        "At 160 px .09 in the frozen epoch, .0336 on the way, .029 at the end.",
        "At the end .0221 (.0216 on the way), hardly better than without the small sizes: the "
        "gain is mostly time.",
    ),
    values={
        "model": {"name": "convnext_small.fb_in22k", "weights": "hub", "groups": 2},
        "stages": [
            {"size": 128, "epochs": 5, "resize": "squish", "presize_px": 192, **_TUNE},
            {"size": 160, "epochs": 5, "resize": "pad", "pad_mode": "zeros", **_TUNE},
            {"size": 192, "epochs": 5, "resize": "squish", **_TUNE},
            {"size": [256, 192], "epochs": 12, "resize": "squish", **_TUNE},
        ],
    },
)
