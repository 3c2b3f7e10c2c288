"""Progressive resizing as other systems do it: EfficientNetV2, Composer, FFCV, DAWNBench."""

from lab.recipe.presets.preset import Preset

_CROPS = {"resize": "random-resized-crop", "min_scale": 0.08}
_FLIP = {"flip": "horizontal", "rotate_deg": 0, "zoom_max": 1, "warp": 0, "lighting": 0}
_SGD = {"name": "sgd", "beta1": 0.9, "cycle_momentum": False}
_IMAGENET = "ImageNet becomes the data set you choose."

_SIZES, _MAGNITUDES = (128, 185, 243, 300), (5.0, 8.33, 11.67, 15.0)  # linear in the stage
_DROPOUTS, _MIXUPS = (0.1, 0.167, 0.233, 0.3), (0.0, 0.067, 0.133, 0.2)

EFFICIENTNETV2 = Preset(
    name="efficientnetv2",
    title="EfficientNetV2: regularisation grows with the size",
    story=(
        "Four stages of equal length. Size, RandAugment, dropout and mixup all grow together: "
        "small pictures need little regularisation, large ones much. Switch the growth of one off "
        "and see what it was worth."
    ),
    source="Tan and Le 2021 (arXiv 2104.00298), progressive learning",
    departures=(
        "350 epochs become 20, divided by 17.5: 5 a stage.",
        "EfficientNetV2-S becomes tf_efficientnetv2_b0, which is four times cheaper.",
        "RMSProp with an exponential decay becomes AdamW, one cycle per stage.",
        "The paper's formula for the sizes; the released code uses another.",
        _IMAGENET,
    ),
    published=("Top-1 on ImageNet: S 83.9 %, L 85.7 %.",),
    values={
        "model": {"name": "tf_efficientnetv2_b0", "normalise": "half"},
        "stages": [
            {
                "size": size, "epochs": 5, "lr": 2e-3, "batch_size": 64, "dropout": dropout,
                "augment": {
                    "flip": "horizontal", "rotate_deg": 0, "zoom_max": 1, "warp": 0, "lighting": 0,
                    "rand_magnitude": magnitude, "mixup": mixup,
                },
                **_CROPS,
            }
            for size, magnitude, dropout, mixup in zip(_SIZES, _MAGNITUDES, _DROPOUTS, _MIXUPS)
        ],
    },
)  # fmt: skip

COMPOSER = Preset(
    name="composer",
    title="Composer: the size grows with every batch",
    story=(
        "Half the size for half of the training; then it grows batch by batch; the last fifth is "
        "at the full size. One learning-rate curve runs over all of it."
    ),
    source="MosaicML Composer, progressive resizing (initial scale .5, delay .5, finetune .2)",
    departures=(
        "Their code resizes by the nearest pixel; here by antialiased bilinear.",
        "90 epochs become 18, divided by 5; SGD becomes AdamW with one cycle.",
        _IMAGENET,
    ),
    published=(
        "ResNet-50 76.6 % in about 27 minutes on 8 A100, with other methods at work as well.",
        "Pixels .50 to .66 of those of the full size.",
    ),
    values={
        "model": {"name": "resnet50"},
        "stages": [
            {
                "size": 224, "ramp_from": 112, "ramp_start": 0.5, "ramp_end": 0.8,
                "ramp_by": "batch", "ramp_multiple": 4,
                "epochs": 18, "lr": 3e-3, "batch_size": 64, "augment": _FLIP, **_CROPS,
            }
        ],
    },
)  # fmt: skip

FFCV = Preset(
    name="ffcv",
    title="FFCV: a late ramp, tested larger",
    story=(
        "Three quarters of the epochs at 160 px, a short ramp to 192 px, and a test at 256 px, "
        "which is what a network that was trained on random crops likes best."
    ),
    source="FFCV, ResNet-50 configurations (160 to 192 px, ramp from 74 to 86 %)",
    departures=(
        "16 epochs, their shortest recipe, with the ramp of their longer ones.",
        "One cycle for their linear rise and fall; batches of 64, the rate scaled with them.",
        "They add the mirrored picture's logits in every test; here scores are of the plain "
        "picture, and test-time augmentation averages probabilities, on request.",
        "No blur pooling; Nesterov's momentum.",
        _IMAGENET,
    ),
    published=(
        "On 8 A100: 16 epochs 73.8 % in 14.9 minutes; 32 epochs 76.6 % in 28.7; 88 epochs 78.4 % "
        "in 77.2.",
    ),
    values={
        "model": {"name": "resnet50"},
        "optimizer": {**_SGD, "weight_decay": 1e-4},
        "stages": [
            {
                "size": 192, "ramp_from": 160, "ramp_start": 0.74, "ramp_end": 0.86,
                "ramp_by": "epoch", "ramp_multiple": 32,
                "epochs": 16, "lr": 0.125, "pct_start": 0.125, "batch_size": 64,
                "label_smoothing": 0.1, "augment": _FLIP, **_CROPS,
            }
        ],
        "evaluation": {"size": 256, "resize": "center", "crop_pct": 0.875},
    },
)  # fmt: skip

DAWNBENCH = Preset(
    name="dawnbench",
    title="DAWNBench: 128, 224, 288",
    story=(
        "The schedule that trained ImageNet on one machine in under two hours: most epochs small, "
        "a few at 288 px to finish. The rate is scaled with the batch."
    ),
    source="fast.ai's DAWNBench entry (128 px for 14 epochs, 224 for 18, 288 for 3)",
    departures=(
        "35 epochs become 12, divided by 3 and rounded: 5, 6 and 1.",
        "Batches of 128, 64 and 32, the rate in proportion.",
        "Validation of the last stage on squares; theirs kept each picture's shape.",
        "One cycle per stage for their own curve.",
        _IMAGENET,
    ),
    published=("93 % top-5 in 109 minutes on one machine.",),
    values={
        "model": {"name": "resnet50"},
        "optimizer": {**_SGD, "weight_decay": 1e-4},
        "stages": [
            {"size": 128, "epochs": 5, "lr": 0.2, "batch_size": 128, "augment": _FLIP, **_CROPS},
            {"size": 224, "epochs": 6, "lr": 0.1, "batch_size": 64, "augment": _FLIP, **_CROPS},
            {
                "size": 288, "epochs": 1, "lr": 0.05, "batch_size": 32, "augment": _FLIP,
                "resize": "random-resized-crop", "min_scale": 0.5,
            },
        ],
    },
)  # fmt: skip
