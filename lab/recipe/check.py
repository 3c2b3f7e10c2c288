"""All that is wrong or doubtful with a recipe, before anything is paid for.

problems = check(recipe, facts)       # errors and warnings, each with where, what, fix
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from lab.errors import Problem
from lab.recipe.check_stage import stage_problems, warn
from lab.recipe.facts import DataFacts, Facts, ModelFacts
from lab.recipe.model import Recipe
from lab.recipe.models import SMALL_BODY
from lab.recipe.stage import Stage, hw


def check(recipe: Recipe, facts: Facts = Facts()) -> list[Problem]:  # noqa: B008 (frozen)
    """Every problem, in the order of the stages. What is unknown in `facts` is not judged."""
    found = list(_recipe_problems(recipe))
    for index, stage in enumerate(recipe.stages):
        found += stage_problems(recipe, index, stage)
        if facts.model:
            found += _size_problems(facts.model, index, stage)
        if facts.data:
            found += _data_problems(facts.data, index, stage)
    if facts.data:
        found += _set_problems(recipe, facts.data)
    if facts.device and facts.device.kind == "cpu" and recipe.precision == "fp16":
        found.append(
            warn(
                "precision",
                "fp16 on a CPU is many times slower than fp32.",
                "Set precision to auto.",
            )
        )
    if facts.model:
        found += _small_first(recipe, facts.model)
    if facts.model and recipe.model.weights == "hub" and not facts.model.hub:
        found.append(
            Problem(
                "model.weights",
                f"timm has no pretrained weights for {recipe.model.name}.",
                "Set model.weights to none, or choose another architecture.",
            )
        )
    return found


def errors_of(problems: list[Problem]) -> list[Problem]:
    """Those that forbid a launch."""
    return [problem for problem in problems if problem.level == "error"]


def _recipe_problems(recipe: Recipe) -> Iterator[Problem]:
    data = recipe.dataset
    if data.source == "path" and not data.path:
        yield Problem("dataset.path", "No data set is chosen.", "Choose one, or use the leaves.")
    if data.source == "imported" and not data.id:
        yield Problem("dataset.id", "No data set is chosen.", "Choose one on the Data page.")
    if data.split.method == "column" and not data.split.column:
        yield Problem("dataset.split.column", "The split's column has no name.", "Name it.")
    if data.split.valid_fraction + data.split.test_fraction >= 0.95:
        yield Problem(
            "dataset.split",
            "Validation and test parts leave almost nothing to train on.",
            "Lower valid_fraction or test_fraction.",
        )
    if recipe.model.weights == "file" and not recipe.model.file:
        yield Problem("model.file", "No weights file is named.", "Name a .safetensors file.")
    if recipe.model.weights == "small-body" and recipe.model.name.split(".")[0] != SMALL_BODY:
        yield Problem(
            "model.name",
            f"The lab's small body is a {SMALL_BODY}, not a {recipe.model.name}.",
            f"Set model.name to {SMALL_BODY}, or model.weights to none.",
        )
    if recipe.model.weights == "run" and not recipe.model.run:
        yield Problem("model.run", "No run is named to take weights from.", "Name a finished run.")
    second = recipe.dataset.second_target
    if second and second == recipe.dataset.target:
        yield Problem(
            "dataset.second_target", f"Both targets are {second}.", "Choose another, or none."
        )
    if recipe.same_time_as:
        yield from _same_time_problems(recipe)
    yield from _rule_problems(recipe)
    sizes = [stage.hw[0] * stage.hw[1] for stage in recipe.stages]
    if any(later < earlier for earlier, later in pairwise(sizes)):
        yield warn("stages", "A later stage is smaller than one before it.", "Usually sizes grow.")


def _small_first(recipe: Recipe, model: ModelFacts) -> Iterator[Problem]:
    """The book's caution: fastbook ch. 7."""
    first, last = recipe.stages[0], recipe.stages[-1]
    small = max(first.hw) <= 0.75 * model.native_px and max(first.hw) < max(last.hw)
    if small and recipe.model.weights == "hub":
        yield warn(
            "stages.0.size",
            f"{model.name} was pretrained at {model.native_px} px: on pictures like those it knows "
            f"already, {first.label} px first may hurt.",
            "Compare with a baseline at the final size.",
        )


def _same_time_problems(recipe: Recipe) -> Iterator[Problem]:
    """A length in steps stretches one curve at one size, and nothing else."""
    stage = recipe.stages[0]
    simple = stage.schedule != "restarts" and not stage.frozen_epochs and stage.ramp_from is None
    if len(recipe.stages) > 1 or not simple or stage.cached_activations:
        yield Problem(
            "same_time_as",
            "Only a single stage of one size, without frozen epochs, restarts or cached "
            "activations, can be made as long as another run.",
            "Leave same_time_as empty, or keep one plain stage.",
        )


def _rule_problems(recipe: Recipe) -> Iterator[Problem]:
    rules, shapes = recipe.rules, {stage.schedule for stage in recipe.stages}
    if rules.early_stop_epochs and shapes & {"one-cycle", "cosine", "flat-cosine"}:
        yield warn(
            "rules.early_stop_epochs",
            "Early stopping ends a stage before its rate has come down.",
            "Use fewer epochs instead, or restarts with cycle_patience.",
        )
    if rules.keep_best:
        yield warn(
            "rules.keep_best",
            "The best-looking epoch is chosen on the validation images, so its score is too good.",
            "Compare on the locked test part.",
        )


def _size_problems(model: ModelFacts, index: int, stage: Stage) -> Iterator[Problem]:
    yield from _one_size(model, f"stages.{index}.size", stage.hw)
    if stage.ramp_from is not None:
        yield from _one_size(model, f"stages.{index}.ramp_from", hw(stage.ramp_from))
        if model.step_px > 1 and stage.ramp_multiple % model.step_px:
            yield warn(
                f"stages.{index}.ramp_multiple",
                f"Sizes on the way are multiples of {stage.ramp_multiple}; {model.name} drops "
                f"edge pixels unless they are multiples of {model.step_px}.",
                f"Use {model.step_px}.",
            )


def _one_size(model: ModelFacts, place: str, size: tuple[int, int]) -> Iterator[Problem]:
    height, width = size
    label = str(height) if height == width else f"{height}×{width}"
    if model.sizes == "fixed" and (height, width) != (model.native_px, model.native_px):
        yield Problem(
            place,
            f"{model.name} takes {model.native_px} px only, not {label}.",
            "Choose a network that takes any size, such as resnet18.",
        )
    elif min(height, width) < model.min_px:
        yield Problem(
            place,
            f"{label} px is too small for {model.name}.",
            f"It takes {model.min_px} px or more.",
        )
    elif model.step_px > 1 and (height % model.step_px or width % model.step_px):
        near = max(model.step_px, round(height / model.step_px) * model.step_px)
        yield warn(
            place,
            f"{label} is no multiple of {model.step_px}: {model.name} drops edge pixels.",
            f"Use {near}.",
        )


def _data_problems(data: DataFacts, index: int, stage: Stage) -> Iterator[Problem]:
    if stage.batch_size != "auto" and stage.batch_size > data.n_train:
        yield warn(
            f"stages.{index}.batch_size",
            f"A batch of {stage.batch_size} is larger than the {data.n_train} training images.",
            f"Every step then sees all of them; {max(2, data.n_train // 8)} would give 8 steps.",
        )
    median = data.short_px[1]
    if median and min(stage.hw) > median:
        yield warn(
            f"stages.{index}.size",
            f"{stage.label} px is above what is on disk (median short side {median} px).",
            "Enlarging adds pixels, not detail: cost without gain.",
        )


def _set_problems(recipe: Recipe, data: DataFacts) -> Iterator[Problem]:
    if data.n_train < 2:
        yield Problem("dataset", f"Only {data.n_train} images to train on.", "Add images.")
    if data.n_valid == 0:
        yield Problem(
            "dataset.split",
            "Nothing is left to validate on.",
            "Raise valid_fraction or add images.",
        )
    elif data.n_valid < 100:
        yield warn(
            "dataset.split",
            f"{data.n_valid} validation images tell little: one image is "
            f"{100 / data.n_valid:.1f} points of error.",
            "Raise valid_fraction, or read the intervals.",
        )
