"""keras-fixres: train at 128 px, then adapt only the last norm and the classifier to 224 px."""

from lab.recipe.presets.preset import Preset

_KERAS = {"schedule": "constant", "batch_size": 32}
_FLIP = {"flip": "horizontal", "rotate_deg": 0, "zoom_max": 1, "warp": 0, "lighting": 0}

KERAS_FIXRES = Preset(
    name="keras-fixres",
    title="Keras example: FixRes",
    story=(
        "Random crops make things look larger in training than in testing. FixRes trains small, "
        "then lets just the last norm and the classifier meet the test size and its transform."
    ),
    source="Keras example on tf_flowers, after Touvron et al. 2019",
    departures=(
        "ResNet50V2 becomes timm's resnetv2_50.",
        "Pictures are kept at 217 px for the first stage: crops below a third of the area are "
        "enlarged from there, not from the original.",
        "fp32 or bf16, whichever is faster here.",
        "tf_flowers (3,303 + 367 images) becomes the data set you choose.",
    ),
    published=(
        "75.48 % after 30 epochs at 128 px; 75.20 % after FixRes at 224 px.",
        "30 epochs at 224 px: 71.39 % at the last epoch, 78.20 % one epoch earlier, on 367 "
        "images: the reported gain is the accident of the last epoch.",
    ),
    values={
        "model": {"name": "resnetv2_50", "weights": "none", "normalise": "half"},
        "optimizer": {
            "name": "adam",
            "beta1": 0.9,
            "beta2": 0.999,
            "eps": 1e-7,
            "weight_decay": 0.0,
            "cycle_momentum": False,
        },
        "stages": [
            {
                "size": 128,
                "epochs": 30,
                "lr": 1e-3,
                "resize": "random-resized-crop",
                "min_scale": 0.05,
                "valid_resize": "squash",
                "augment": _FLIP,
                **_KERAS,
            },
            {
                "size": 224,
                "epochs": 10,
                "lr": 1e-4,
                "trainable": "last-norm+head",
                "resize": "as-test",
                "valid_resize": "squash",
                "valid_crop_pct": 224 / 392,
                "augment": _FLIP,
                **_KERAS,
            },
        ],
    },
)
