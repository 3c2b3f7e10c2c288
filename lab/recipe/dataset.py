"""Which pictures, which labels, and which of them are trained on, validated on, and locked away."""

from __future__ import annotations

from typing import Literal

from lab.recipe.base import Part, field


class Leaves(Part):
    """The embedded set: diseased leaves that the lab draws itself from a seed."""

    n: int = field(1200, ge=100, le=5000, unit="images", help="How many leaves to draw.")
    size_px: int = field(
        192, ge=64, le=512, unit="px", help="Side of the drawn pictures. Nothing finer exists."
    )
    form: Literal["demo", "hard"] = field(
        "demo",
        help="How fine the fine traits are: in `demo` they show from about 96-128 px, in `hard` "
        "from about 160-224 px.",
    )
    fine_scale: float | None = field(
        None, gt=0, le=1, help="Scale of the fine traits as a fraction of the side; none: by form."
    )
    seed: int = field(0, ge=0, help="Another seed draws other leaves.")


class Split(Part):
    """How items are divided. The test part is locked: no choice is ever made on it."""

    method: Literal["auto", "random", "folders", "column", "kfold"] = field(
        "auto",
        help="auto: the train/valid/test folders or column where the data bring them, else "
        "random. kfold: the k-th of n parts validates.",
    )
    valid_fraction: float = field(
        0.2, gt=0, lt=0.9, help="Share of the images that validate, where the data bring none."
    )
    test_fraction: float = field(
        0.1, ge=0, lt=0.9, help="Share locked away for a last look, where the data bring none."
    )
    stratified: bool = field(True, help="Keep the class proportions in every part.")
    column: str = field("", help="CSV column that says train, valid or test.")
    folds: int = field(5, ge=2, le=50, help="Number of parts for kfold.")
    fold: int = field(0, ge=0, le=49, help="Which part validates, from 0.")
    seed: int = field(0, ge=0, help="Seed of the division. Not the seed of the training.")
    test_seed: int | None = field(
        None, ge=0,
        help="Seed of the locked test part; none: the division's own. Keep it while another seed "
        "divides the rest anew, so that no ensemble member has seen it.",
    )  # fmt: skip


class DataSpec(Part):
    """Where the pictures come from and how they are used."""

    source: Literal["leaves", "path", "imported"] = field(
        "leaves",
        help="leaves: the embedded set. path: a folder, a zip or a CSV on this machine. "
        "imported: a data set that the workspace holds.",
    )
    path: str = field("", help="Folder of class folders, a zip of one, or a CSV of file names.")
    id: str = field("", help="Name of an imported data set, as the Data page lists it.")
    leaves: Leaves = field(default_factory=Leaves, help="What to draw.")
    target: str = field("", help="Which label to learn; empty: the first the data bring.")
    second_target: str = field(
        "", help="A second label to learn beside it, with one linear head for both. Empty: none."
    )
    second_weight: float = field(
        1.0, gt=0, le=10, help="Weight of the second label's loss beside the first's."
    )
    split: Split = field(default_factory=Split, help="Train, validation and locked test parts.")
