"""lesson-6: the pets chapter of the fastai book, in its three forms; one size, pretrained."""

from typing import Any

from lab.recipe.models import SMALL_BODY
from lab.recipe.presets.preset import Preset

_STAGE = {
    "size": 224,
    "batch_size": 64,
    "resize": "crop",
    "min_scale": 0.75,
    "presize_px": 460,
    "augment": {"lighting_space": "logit"},
}
_SOURCE = "Howard and Gugger, Deep Learning for Coders, chapter 5 (pets), and notes on lesson 6"
_DEPARTURES = (
    "fastai's head (two linear layers over mean and largest) becomes timm's single linear layer.",
    "Pets become the data set you choose.",
    f"The weights come from timm's hub; offline, set model.weights to small-body and model.name to "
    f"{SMALL_BODY}.",
)


def _form(name: str, title: str, story: str, model: str, stages: list[Any], **more: Any) -> Preset:
    """One of the three; the network is pretrained and has fastai's three parameter groups."""
    return Preset(
        name=name,
        title=title,
        story=story,
        source=_SOURCE,
        departures=_DEPARTURES,
        published=(),
        values={
            "model": {"name": model, "weights": "hub", "groups": 3, "normalise": "imagenet"},
            "stages": [{**_STAGE, **stage} for stage in stages],
            **more,
        },
    )


LESSON_6_TUNE = _form(
    "lesson-6-tune",
    "Pets, first form: fine_tune",
    "fine_tune(2) with all its defaults: an epoch of the head, then two of everything with earlier "
    "layers a hundred times slower. What you compare everything else with.",
    "resnet34",
    [{"epochs": 2, "frozen_epochs": 1, "lr": 2e-3, "lr_ratio": 100}],
)

LESSON_6 = _form(
    "lesson-6",
    "Pets, second form: slices by hand",
    "What fine_tune does, step by step: the head for three epochs, then everything for twelve with "
    "rates spread from 1e-6 for the first layers to 1e-4 for the head.",
    "resnet34",
    [
        {"epochs": 3, "trainable": "head", "lr": 3e-3, "group_rates": "same"},
        {"epochs": 12, "lr": 1e-4, "group_rates": "geometric", "lr_ratio": 100},
    ],
)

LESSON_6_DEEPER = _form(
    "lesson-6-deeper",
    "Pets, third form: deeper, half precision",
    "A deeper network in half precision, the head first for three epochs. Where memory runs out, "
    "halve the batch, or let the lab take it in parts.",
    "resnet50",
    [{"epochs": 6, "frozen_epochs": 3, "lr": 2e-3, "lr_ratio": 100}],
    precision="fp16",
)
