"""The dropout before the classifier, changed for a stage.

set_dropout(model, 0.2); classifier_dropout(model)  -> 0.2

timm keeps it in one of three places: the model's `head_drop`, the head's `drop`, or a number
`drop_rate` that the forward pass reads. Dropout of tokens, attention and paths stays.
"""

from __future__ import annotations

from torch import nn

from lab.errors import LabError

NAMES = ("drop", "head_drop", "dropout")


def set_dropout(model: nn.Module, rate: float) -> None:
    """Drop this share (0 to 1) of the classifier's inputs in training.

    Raises LabError where the network has no such place and the rate is not 0.
    """
    places = _places(model)
    for parent, name in places:
        present = getattr(parent, name)
        if isinstance(present, nn.Dropout):
            present.p = rate
        elif rate:  # an Identity, where the network was made without dropout
            fresh = nn.Dropout(rate)
            fresh.training = model.training
            setattr(parent, name, fresh)
    if isinstance(getattr(model, "drop_rate", None), int | float):
        model.drop_rate = rate
    elif not places and rate:
        raise LabError(
            f"{type(model).__name__} has no dropout before its classifier.",
            "Set dropout to 0, or choose another network.",
            where="stages",
        )


def classifier_dropout(model: nn.Module) -> float:
    """The share of the classifier's inputs that is dropped in training now."""
    rates = [
        module.p
        for parent, name in _places(model)
        if isinstance(module := getattr(parent, name), nn.Dropout)
    ]
    return rates[-1] if rates else float(getattr(model, "drop_rate", None) or 0.0)


def _places(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """(module, attribute) of the dropout layers beside or above a classifier, outermost first."""
    classifiers = model.get_classifier()
    classifiers = classifiers if isinstance(classifiers, list | tuple) else [classifiers]
    ids = {id(classifier) for classifier in classifiers}
    paths = [name for name, module in model.named_modules() if id(module) in ids]
    above = dict.fromkeys(
        ".".join(path.split(".")[:depth])
        for path in paths
        for depth in range(len(path.split(".")) + 1)
    )
    return [
        (parent, name)
        for parent in map(model.get_submodule, above)
        for name, child in parent.named_children()
        if name in NAMES and isinstance(child, nn.Dropout | nn.Identity)
    ]
