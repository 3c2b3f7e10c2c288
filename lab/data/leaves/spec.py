"""What a set of leaves is: its parameters, its classes, and which picture gets which label.

Three pairs of diseases are *fine pairs*: their members share everything a small picture can show
(colour, number, size and place of the lesions) and differ only in a texture whose period is
`fine_scale` times the picture's side. That is what makes larger pictures worth their price.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lab.errors import LabError, Problem

VERSION = 2  # raise it whenever a picture changes: it is part of every cache key

# Relative frequencies. Largest to smallest is 4 to 1; the members of a fine pair lie close
# together, so that guessing the commoner one gains a small picture little.
WEIGHTS = {
    "healthy": 4.0,
    "blight": 1.4,
    "powdery_mildew": 1.8,
    "leaf_miner": 1.0,
    "rust": 2.2,
    "scab": 1.9,
    "leaf_spot": 2.0,
    "target_spot": 1.8,
    "mosaic": 1.7,
    "streak": 1.5,
}
CLASSES = tuple(WEIGHTS)
FINE_PAIRS = (("rust", "scab"), ("leaf_spot", "target_spot"), ("mosaic", "streak"))

VARIETY_WEIGHTS = {"lanceleaf": 0.38, "sawleaf": 0.34, "starleaf": 0.28}
VARIETIES = tuple(VARIETY_WEIGHTS)

# Period of the fine textures as a fraction of the picture's side. A small network trained from
# scratch on about 1,000 pictures tells them apart from 2.5 to 3.5 pixels a period on.
FINE_SCALES = {"demo": 0.036, "hard": 0.0145}
BOUNDS = {"n": (100, 5000), "size_px": (64, 512), "fine_scale": (0.01, 0.05)}
LABEL_STREAM = 9  # first word of the label generator's seed; pictures use 0 to 3


@dataclass(frozen=True)
class LeafSet:
    """Parameters of an embedded set; raises LabError naming every value out of bounds.

    n: pictures, 100 to 5000. size_px: side, 64 to 512. form: "demo" (fine pairs told apart from
    about 96-128 px) or "hard" (from about 160-224 px). fine_scale: period of the fine textures as
    a fraction of the side, 0.01 to 0.05; None takes the form's. seed: any integer from 0.
    """

    n: int = 1500
    size_px: int = 256
    form: str = "demo"
    fine_scale: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        problems = []
        for name, (low, high) in BOUNDS.items():
            value, whole = getattr(self, name), name != "fine_scale"
            if value is None and name == "fine_scale":
                continue
            if not _is_number(value, whole) or not low <= value <= high:
                kind = "a whole number" if whole else "a number"
                fix = f"Choose {kind} from {low} to {high}."
                problems.append(Problem(name, f"{value!r} is out of bounds.", fix))
        if self.form not in FINE_SCALES:
            fix = f"Choose one of: {', '.join(FINE_SCALES)}."
            problems.append(Problem("form", f"There is no form {self.form!r}.", fix))
        if not _is_number(self.seed, whole=True) or self.seed < 0:
            fix = "Choose a whole number from 0 on."
            problems.append(Problem("seed", f"{self.seed!r} is no seed.", fix))
        if problems:
            raise LabError.of(problems)

    @property
    def period(self) -> float:
        """Period of the fine textures as a fraction of the side."""
        return FINE_SCALES[self.form] if self.fine_scale is None else float(self.fine_scale)

    def key(self) -> str:
        """Short name that is equal exactly when the pictures are; fit for a folder."""
        # The form counts only through the period it stands for.
        return f"leaves-v{VERSION}-n{self.n}-{self.size_px}px-f{self.period:.6g}-s{self.seed}"


def _is_number(value: object, whole: bool) -> bool:
    right = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    return right and math.isfinite(value)


def class_counts(n: int) -> dict[str, int]:
    """How many of n pictures each class gets: the weights' shares, by largest remainder."""
    shares = np.array(list(WEIGHTS.values())) * n / sum(WEIGHTS.values())
    counts = np.floor(shares).astype(int)
    counts[np.argsort(counts - shares, kind="stable")[: n - counts.sum()]] += 1
    return dict(zip(CLASSES, counts.tolist(), strict=True))


def labels(spec: LeafSet) -> tuple[tuple[str, str], ...]:
    """(disease, variety) of every index: a function of n and seed alone, in shuffled order."""
    return _labels(spec.n, spec.seed)


@lru_cache(maxsize=8)
def _labels(n: int, seed: int) -> tuple[tuple[str, str], ...]:
    rng = np.random.default_rng([LABEL_STREAM, seed])
    diseases = np.repeat(CLASSES, list(class_counts(n).values()))
    rng.shuffle(diseases)
    varieties = rng.choice(VARIETIES, size=n, p=list(VARIETY_WEIGHTS.values()))
    return tuple(zip(diseases.tolist(), varieties.tolist(), strict=True))
