"""fastbook-7: progressive resizing as the fastai book's chapter 7 makes it, from scratch."""

from lab.recipe.presets.preset import Preset

_FASTAI = {
    "resize": "crop",
    "min_scale": 0.75,
    "presize_px": 460,
    "pad_mode": "reflection",
    "augment": {"lighting_space": "logit"},
}

FASTBOOK_7 = Preset(
    name="fastbook-7",
    title="fastai book, chapter 7",
    story=(
        "Four epochs at 128 px, then fine_tune(5) at 224 px, from scratch. The book compares it "
        "with five epochs at 224: ten epochs against five, so not an equal budget."
    ),
    source="Howard and Gugger, Deep Learning for Coders, chapter 7 (Imagenette)",
    departures=(
        "xresnet50 becomes timm's resnet50d.",
        "The random crop is drawn per image; the book's draws one box per batch.",
        "Turn and zoom are composed in the other order, and a picture's two tilts come together.",
        "fp32 or bf16, whichever is faster here; the book's run was fp32.",
        "Imagenette (13,394 images, a random fifth validates) becomes the data set you choose.",
    ),
    published=(
        "Accuracy .7980 after 4 epochs at 128 px, 2:00.",
        "Accuracy .8633 after fine_tune at 224 px, another 6:39.",
        "With test-time augmentation .8738.",
        "Baseline, 5 epochs at 224 px, batches of 64, rate 3e-3: .3913 .5172 .6572 .7718 .8245, "
        "5:19 in all.",
    ),
    caution=(
        "With pretrained weights progressive resizing may hurt: when the network is close to the "
        "task and was trained on images of similar size, small images may damage weights that "
        "need little change. It probably helps where size, shape or style differ. Nothing is "
        "gained above the size on disk. Try it."
    ),
    values={
        "model": {"name": "resnet50d", "weights": "none", "groups": 1, "normalise": "imagenet"},
        "stages": [
            {"size": 128, "epochs": 4, "lr": 3e-3, "batch_size": 128, **_FASTAI},
            {"size": 224, "epochs": 5, "frozen_epochs": 1, "lr": 1e-3, "batch_size": 64, **_FASTAI},
        ],
    },
)
