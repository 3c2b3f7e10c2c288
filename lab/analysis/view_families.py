"""Test-time augmentation in names: families of views, what each shows, and ways of averaging.

    FAMILIES["d4"].words            # "the eight flips and quarter turns"
    titles("flips")                 # ("Flipped left-right",): the views besides the plain picture

The pictures themselves are made by lab/scoring/families.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.errors import LabError

RANDOM = "training"  # the one family whose number of views is free
CORNERS = ("upper left", "upper right", "lower left", "lower right", "middle")
SCALES = (0.8, 1.2)
MIRRORED = ", flipped"
WAYS = {
    "fastai": "fastai's: plain and the mean of the views",
    "mean": "mean of probabilities",
    "geometric": "geometric mean of probabilities",
    "logits": "mean of logits",
    "max": "largest probability of any look",
}


@dataclass(frozen=True)
class Family:
    """`label` for menus, `words` for sentences; `titles` of its views besides the plain picture."""

    label: str
    words: str
    titles: tuple[str, ...] = ()


_PARTS = tuple(f"Part, {corner}" for corner in CORNERS)
_SCALES = tuple(f"{scale:g} × the size" for scale in SCALES)
FAMILIES = {
    RANDOM: Family("As in training (random)", "through the random changes of the training"),
    "flips": Family("Flip", "flipped left-right", ("Flipped left-right",)),
    "d4": Family(
        "Flips and quarter turns (d4)",
        "in all eight flips and quarter turns",
        (
            "Flipped left-right",
            "Flipped up-down",
            "Turned by 180°",
            "Turned by 90° to the left",
            "Turned by 90° to the right",
            "Mirrored at the falling diagonal",
            "Mirrored at the rising diagonal",
        ),
    ),
    "five-crop": Family("Five parts", "at its four corners and its middle", _PARTS),
    "ten-crop": Family(
        "Five parts, each also flipped",
        "at its four corners and its middle, each also flipped",
        (*_PARTS, *(f"{part}{MIRRORED}" for part in _PARTS)),
    ),
    "scales": Family("Several sizes", "at a smaller and at a larger size", _SCALES),
    "scale-flips": Family(
        "Several sizes, each also flipped",
        "at three sizes, each also flipped",
        ("Flipped left-right", *_SCALES, *(f"{scale}{MIRRORED}" for scale in _SCALES)),
    ),
}


def family_of(name: str) -> Family:
    """A family by its name. Raises LabError for another one."""
    if name not in FAMILIES:
        raise LabError(
            f"There is no family of views called {name!r}.",
            f"Use {', '.join(FAMILIES)}.",
            where="family",
        )
    return FAMILIES[name]


def kind_of(family: str) -> str:
    """How the predictions with these views are filed: `tta`, `tta-d4` ..."""
    return "tta" if family == RANDOM else f"tta-{family}"
