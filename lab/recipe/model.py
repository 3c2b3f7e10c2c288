"""The recipe: all that decides a run. Two runs of one recipe differ by nothing but the machine.

recipe = load_recipe(Path("recipe.json"))
recipe.identity()            # name and notes do not count
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from lab.errors import LabError
from lab.recipe.base import Part, field, parse
from lab.recipe.dataset import DataSpec
from lab.recipe.stage import Size, Stage, hw

SCHEMA_VERSION = 1


class ModelSpec(Part):
    """The network and where its weights start."""

    name: str = field("resnet18", min_length=1, help="A timm architecture, such as resnet18.")
    weights: Literal["none", "hub", "small-body", "file", "run"] = field(
        "none",
        help="none: random, from the seed. hub: timm's pretrained weights (needs the network "
        "once). small-body: the lab's own small network, trained on pictures that it drew. file: "
        "a local safetensors file of the same architecture. run: a stage of another run.",
    )
    file: str = field("", help="The safetensors file, for weights = file.")
    run: str = field("", help="The run whose weights are taken, for weights = run.")
    run_stage: int | None = field(
        None, ge=0, help="Which of its stages, from 0. None: its last finished one."
    )
    groups: int = field(
        1, ge=1, le=100,
        help="Parameter groups: 1, everything alike, nothing to freeze. 2: body, head. "
        "3: early body, late body, head. More: the body's layers in so many parts, and the head.",
    )  # fmt: skip
    frozen_norms_train: bool = field(
        True,
        help="Norm layers of a frozen body go on learning and following their statistics.",
        source="fastai train_bn",
    )
    drop_rate: float = field(0.0, ge=0, le=0.9, help="Dropout before the classifier.")
    drop_path_rate: float = field(0.0, ge=0, le=0.9, help="Stochastic depth.")
    normalise: Literal["auto", "imagenet", "half"] = field(
        "auto",
        help="auto: what the pretrained weights expect. imagenet: ImageNet mean and deviation. "
        "half: x / 127.5 - 1.",
    )


class Optimizer(Part):
    """The optimizer; the defaults are fastai's."""

    name: Literal["adamw", "adam", "sgd"] = field(
        "adamw", help="AdamW decays weights apart from Adam. sgd: with Nesterov momentum beta1."
    )
    beta1: float = field(
        0.9, ge=0, lt=1, help="Momentum where it does not cycle.", source="Adam paper"
    )
    cycle_momentum: bool = field(
        True, help="Under one-cycle, momentum goes 0.95 to 0.85 and back.", source="fastai"
    )
    beta2: float = field(0.99, ge=0, lt=1, help="Decay of the squared gradients.", source="fastai")
    eps: float = field(1e-5, gt=0, le=1, help="Keeps the division finite.", source="fastai")
    weight_decay: float = field(
        0.01, ge=0, le=1, help="Not applied to norms and biases.", source="fastai"
    )


class Evaluation(Part):
    """How the finished network is scored."""

    size: Size | None = field(
        None, unit="px", help="The size that every stage is also scored at. None: the last stage's."
    )
    resize: Literal["auto", "squash", "center", "border"] = field(
        "auto", help="timm's crop_mode at the final size. auto: the last stage's."
    )
    crop_pct: float | None = field(
        None, gt=0.3, le=1, help="Centre share at the final size. None: the last stage's."
    )
    tta_views: int = field(
        4, ge=0, le=64, help="Random training views averaged in test-time augmentation."
    )
    tta_beta: float = field(
        0.25, ge=0, le=1, help="Weight of the plain picture in the average.", source="fastai tta"
    )
    test_every_epoch: bool = field(
        False,
        help="Keep what every epoch's weights say of the locked test part as well. No choice may "
        "use it; afterwards it shows what choosing an epoch by validation would really have given.",
    )


class Rules(Part):
    """Ends and choices that look at validation. Off by default: see each one's help."""

    early_stop_epochs: int = field(
        0, ge=0, le=200, unit="epochs",
        help="End a stage after this many epochs without a better error rate. 0: never. It does "
        "not sit well with one-cycle: the rate has not come down yet.",
        source="fastai walk-through",
    )  # fmt: skip
    keep_best: bool = field(
        False,
        help="Go back to the stage's epoch with the lowest error rate. The best-looking epoch is "
        "mostly an accident of a small validation set, and its score is too good.",
        source="fastai walk-through",
    )


class Recipe(Part):
    """Everything that decides a run."""

    schema_version: Literal[1] = field(SCHEMA_VERSION, help="The version of this format.")
    name: str = field("", max_length=120, help="What you call it.")
    notes: str = field("", max_length=10_000, help="Anything worth remembering.")
    preset: str = field("", help="The preset it was made from.")
    seed: int = field(0, ge=0, lt=2**31, help="Decides first weights, order and augmentation.")
    dataset: DataSpec = field(default_factory=DataSpec, help="The pictures.")
    model: ModelSpec = field(default_factory=ModelSpec, help="The network.")
    stages: tuple[Stage, ...] = field(min_length=1, max_length=24, help="The schedule.")
    optimizer: Optimizer = field(default_factory=Optimizer, help="The optimizer.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = field(
        "auto",
        help="auto: fp32 or bf16, whichever is faster here by timing a few steps. fp16 scales its "
        "gradients. Scores are fp32.",
    )
    ema_decay: float = field(
        0.0, ge=0, lt=1,
        help="A running average of the weights: each step keeps this share of the old average "
        "(0.999 is usual). The average is what is validated, scored and exported. 0: off.",
    )  # fmt: skip
    rules: Rules = field(default_factory=Rules, help="Early stopping, keep best.")
    threads: int = field(0, ge=0, le=256, help="CPU threads for training. 0: all cores.")
    evaluation: Evaluation = field(default_factory=Evaluation, help="Final scores.")
    same_time_as: str = field(
        "",
        help="A finished run. The only stage is made as long, in steps, as that run trained: both "
        "are timed in turns at the start, and the epochs above are a guess until then.",
    )

    @property
    def final_hw(self) -> tuple[int, int]:
        """(height, width) of the final scores, pixels."""
        return hw(self.evaluation.size or self.stages[-1].size)

    @property
    def total_epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.total_epochs for stage in self.stages)

    def identity(self) -> str:
        """A sha256 over everything but the words: name, notes and the preset's name.

        Fields at their defaults do not count either, so that a field added later changes nothing.
        """
        words = {"name", "notes", "preset"}
        values = self.model_dump(mode="json", exclude=words, exclude_defaults=True)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def dump(self) -> dict[str, Any]:
        """Plain JSON values."""
        return self.model_dump(mode="json")


def recipe_from(values: Any) -> Recipe:
    """A recipe from JSON values. Raises LabError with all problems."""
    if not isinstance(values, dict):
        raise LabError("A recipe is a JSON object.", 'It starts with {"stages": [...]}.')
    return parse(Recipe, values)


def load_recipe(path: Path) -> Recipe:
    """A recipe from a file. Raises LabError with all problems."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror}).", "Check the path.") from error
    except ValueError as error:
        raise LabError(f"{path} is not JSON ({error}).", "Mend the file.") from error
    return recipe_from(values)


def with_settings(recipe: Recipe, settings: list[str]) -> Recipe:
    """The recipe with `a.b.0.c=JSON` settings applied. LabError for a path not there."""
    values = recipe.dump()
    for setting in settings:
        path, found, text = setting.partition("=")
        if not found:
            raise LabError(f"--set {setting} has no '='.", "Write --set stages.0.epochs=3")
        _put(values, path.split("."), _json_or_text(text), path)
    return recipe_from(values)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _put(values: Any, keys: list[str], value: Any, path: str) -> None:
    try:
        for key in keys[:-1]:
            values = values[int(key)] if isinstance(values, list) else values[key]
        last = int(keys[-1]) if isinstance(values, list) else keys[-1]
        if isinstance(values, list):
            values[last]
        values[last] = value
    except (KeyError, IndexError, TypeError, ValueError):
        raise LabError(
            f"--set {path}: there is no such place in this recipe.",
            "Stages count from 0: stages.0.epochs",
        ) from None
