"""All that is wrong or doubtful with a recipe, before anything is paid for.

problems = check(recipe, facts)       # errors and warnings, each with where, what, fix
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from lab.errors import Problem
from lab.recipe.facts import DataFacts, Facts, ModelFacts
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage


def check(recipe: Recipe, facts: Facts = Facts()) -> list[Problem]:  # noqa: B008 (frozen)
    """Every problem, in the order of the stages. What is unknown in `facts` is not judged."""
    found = list(_recipe_problems(recipe))
    for index, stage in enumerate(recipe.stages):
        found += _stage_problems(recipe, index, stage)
        if facts.model:
            found += _size_problems(facts.model, index, stage)
        if facts.data:
            found += _data_problems(facts.data, index, stage)
    if facts.data:
        found += _set_problems(recipe, facts.data)
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
    sizes = [stage.hw[0] * stage.hw[1] for stage in recipe.stages]
    if any(later < earlier for earlier, later in pairwise(sizes)):
        yield _warn("stages", "A later stage is smaller than one before it.", "Usually sizes grow.")


def _stage_problems(recipe: Recipe, index: int, stage: Stage) -> Iterator[Problem]:
    place = f"stages.{index}"
    if stage.total_epochs == 0:
        yield Problem(f"{place}.epochs", "The stage trains nothing: no epochs.", "Give it one.")
    if stage.frozen_epochs and recipe.model.groups == 1:
        yield _warn(
            f"{place}.frozen_epochs",
            "With one parameter group there is nothing to freeze: the frozen epochs train all.",
            "Set model.groups to 2, or take it as it is (the book's run was made so).",
        )
    if stage.trainable != "all" and index == 0 and recipe.model.weights == "none":
        yield _warn(
            f"{place}.trainable",
            "The body's weights are random, and this stage does not train them.",
            "Train all first, or start from pretrained weights.",
        )
    if stage.frozen_epochs and stage.trainable != "all":
        yield Problem(
            f"{place}.frozen_epochs",
            f"Frozen epochs have no meaning where only the {stage.trainable} learns.",
            "Set frozen_epochs to 0.",
        )
    if stage.lr > 0.1:
        yield _warn(f"{place}.lr", f"A rate of {stage.lr:g} is very high for Adam.", "Try 0.003.")
    if stage.presize_px and stage.presize_px < max(stage.hw):
        yield _warn(
            f"{place}.presize_px",
            f"Pictures are kept at {stage.presize_px} px and then enlarged to {stage.label}.",
            f"Set presize_px to {max(stage.hw)} or more.",
        )


def _size_problems(model: ModelFacts, index: int, stage: Stage) -> Iterator[Problem]:
    place, (height, width) = f"stages.{index}.size", stage.hw
    if model.sizes == "fixed" and (height, width) != (model.native_px, model.native_px):
        yield Problem(
            place,
            f"{model.name} takes {model.native_px} px only, not {stage.label}.",
            "Choose a network that takes any size, such as resnet18.",
        )
    elif min(height, width) < model.min_px:
        yield Problem(
            place,
            f"{stage.label} px is too small for {model.name}.",
            f"It takes {model.min_px} px or more.",
        )
    elif model.step_px > 1 and (height % model.step_px or width % model.step_px):
        near = max(model.step_px, round(height / model.step_px) * model.step_px)
        yield _warn(
            place,
            f"{stage.label} is no multiple of {model.step_px}: {model.name} drops edge pixels.",
            f"Use {near}.",
        )


def _data_problems(data: DataFacts, index: int, stage: Stage) -> Iterator[Problem]:
    if stage.batch_size > data.n_train:
        yield _warn(
            f"stages.{index}.batch_size",
            f"A batch of {stage.batch_size} is larger than the {data.n_train} training images.",
            f"Every step then sees all of them; {max(2, data.n_train // 8)} would give 8 steps.",
        )
    median = data.short_px[1]
    if median and min(stage.hw) > median:
        yield _warn(
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
        yield _warn(
            "dataset.split",
            f"{data.n_valid} validation images tell little: one image is "
            f"{100 / data.n_valid:.1f} points of error.",
            "Raise valid_fraction, or read the intervals.",
        )


def _warn(where: str, what: str, fix: str) -> Problem:
    return Problem(where, what, fix, level="warning")
