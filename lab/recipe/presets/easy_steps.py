"""easy-steps: the forum's recipe; the head first, on cached activations, then ever more of it."""

from lab.recipe.augment import Augment
from lab.recipe.models import SMALL_BODY
from lab.recipe.presets.preset import Preset

_SHARED = {"size": 128, "batch_size": 64, "resize": "crop", "min_scale": 0.75, "lr": "finder"}
_SLICES = {"group_rates": "geometric", "lr_ratio": 25}

EASY_STEPS = Preset(
    name="easy-steps",
    title="Easy steps (fast.ai forum)",
    story=(
        "Find a rate. Train the last layer on cached activations, two quick epochs; then with "
        "augmentation; then unfreeze, earlier layers slower, find a rate again, and let cycles "
        "grow until the error rate no longer falls."
    ),
    source="fast.ai forum, lesson 1",
    departures=(
        "The pretrained resnext101_64 becomes the lab's own small body, so that it runs offline; "
        "set model.name and model.weights for another.",
        "128 px instead of 224.",
        "A rate is looked for before each of the three parts; the forum keeps the first one for "
        "the last layer with augmentation.",
        "The optimizer is AdamW; theirs was SGD with momentum.",
        "At most three cycles (7 epochs); they end when one brings no better error rate.",
    ),
    published=(
        "The last 15 of 45 epochs of the head alone on cached activations of 180,000 furniture "
        "photos: accuracy .8312 to .8330, still improving a little.",
        "The question asked there: does a long-trained head become dependent on the old body, so "
        "that unfreezing hurts? Try 1, 5 and 45 epochs of the head, then unfreeze.",
    ),
    caution=(
        "The walk-through disagrees about the finder: leave the rate at 0.008 to 0.01, and do not "
        "search again because the size changed. Run both and compare."
    ),
    values={
        # The last layer alone learns at first: its library froze the body's norms with the body.
        "model": {
            "name": SMALL_BODY, "weights": "small-body", "groups": 3, "frozen_norms_train": False,
        },
        "stages": [
            {
                "epochs": 2, "trainable": "head", "schedule": "constant",
                "cached_activations": True, **_SHARED,
                "augment": Augment.off().model_dump(),
            },
            {
                "trainable": "head", "schedule": "restarts", "cycle_len": 1, "max_cycles": 3,
                **_SHARED,
            },
            {
                "schedule": "restarts", "cycle_len": 1, "cycle_mult": 2, "max_cycles": 3,
                "cycle_patience": 1, **_SLICES, **_SHARED,
            },
        ],
    },
)  # fmt: skip
