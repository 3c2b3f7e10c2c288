"""An experiment: a reference recipe, other arms beside it, each with the same seeds.

design = Design(recipe, arms_of(recipe, ["fixed-same-epochs"], {"stages.0.lr": [1e-3, 3e-3]}),
                seeds=(0, 1, 2), epochs=5)
for cell in design.cells(): cell.arm.name, cell.seed, cell.recipe
problems_of(design, facts_of)          # by arm, before anything is launched

An arm is a matched baseline of the reference, or "own": the reference with other values somewhere.
Nothing here knows of folders or queues.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.errors import LabError, Problem
from lab.recipe.baselines import ANSWERS, KINDS, SAME_TIME, baseline, first_size, grows, refusal
from lab.recipe.check import check
from lab.recipe.facts import Facts
from lab.recipe.model import Recipe
from lab.recipe.stage import Size, hw
from lab.recipe.sweep import said, with_values

REFERENCE, OWN = "reference", "own"
MOST_RUNS = 200
# A field at these places changes what the program chooses for a run; the reference's choices
# (precision, groups, a rate from the finder) or its pictures do not hold for such an arm.
CHOOSES = (
    "model.name", "model.weights", "model.file", "model.run", "model.groups", "precision",
    "threads", "optimizer.name", "dataset.source", "dataset.path", "dataset.id", "dataset.leaves",
)  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """One of the things that are compared. `settings`: values at paths, on top of the kind."""

    name: str
    kind: str = OWN
    words: str = ""
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def takes_over(self) -> bool:
        """Whether its runs go by the choices that were made for the reference."""
        return self.kind != REFERENCE and not any(
            path.startswith(CHOOSES) for path, _ in self.settings
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        about = {"name": self.name, "kind": self.kind, "words": self.words}
        return {**about, **({"settings": dict(self.settings)} if self.settings else {})}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Arm:
        """From the JSON values of `as_dict`."""
        words = {key: str(values.get(key, "")) for key in ("name", "kind", "words")}
        settings = values.get("settings") or {}
        return cls(**words, settings=tuple((str(k), _fixed(v)) for k, v in settings.items()))


@dataclass(frozen=True)
class Cell:
    """One run to be: an arm with a seed. Of a same-time arm `recipe` is not yet told of its run."""

    arm: Arm
    seed: int
    recipe: Recipe

    @property
    def same_time(self) -> bool:
        """Whether the recipe has to name the reference's run."""
        return self.arm.kind == SAME_TIME

    def beside(self, reference: str) -> Recipe:
        """The recipe to launch, where `reference` is the reference's run of the same seed."""
        return self.recipe.but(same_time_as=reference) if self.same_time else self.recipe


@dataclass(frozen=True)
class Design:
    """What is compared. `epochs`: about how long a same-time arm will be."""

    recipe: Recipe
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    epochs: int = 1

    def cells(self) -> list[Cell]:
        """Seed by seed, the reference first: after each seed all arms can be compared."""
        several = len(self.seeds) > 1
        return [
            Cell(arm, seed, self.recipe_of(arm, seed, several))
            for seed in self.seeds
            for arm in self.arms
        ]

    def recipe_of(self, arm: Arm, seed: int, several: bool = False) -> Recipe:
        """The recipe of one cell; the name tells arm and seed. LabError where it cannot be."""
        made = arm_recipe(self.recipe, arm, self.epochs)
        base = plain_name(self.recipe)
        name = base if arm.kind == REFERENCE else f"{base}: {arm.name}"
        end = f" seed {seed}" if several else ""
        return made.but(seed=seed, name=name[: 120 - len(end)] + end)


def arm_recipe(recipe: Recipe, arm: Arm, epochs: int = 1) -> Recipe:
    """The recipe of an arm, with the reference's seed. LabError where it cannot be made."""
    if arm.kind not in (REFERENCE, OWN):
        recipe = baseline(arm.kind, recipe, "", epochs)
    return with_values(recipe, dict(arm.settings))


def plain_name(recipe: Recipe) -> str:
    """The recipe's name without a seed at its end."""
    return re.sub(r" seed \d+$", "", recipe.name or recipe.preset or "run")


def arms_of(
    recipe: Recipe,
    kinds: Iterable[str] = (),
    vary: Mapping[str, Sequence[Any]] | None = None,
    grid: bool = False,
) -> tuple[Arm, ...]:
    """The reference and what is compared with it. LabError with everything that cannot be."""
    wanted = set(kinds)
    if unknown := sorted(wanted - set(KINDS)):
        raise LabError(f"There is no baseline {unknown[0]!r}.", f"Use {', '.join(KINDS)}.")
    reference = Arm(REFERENCE, REFERENCE, "The schedule itself.")
    baselines = [Arm(kind, kind, ANSWERS[kind]) for kind in KINDS if kind in wanted]
    return (reference, *baselines, *own_arms(recipe, vary or {}, grid))


def own_arms(recipe: Recipe, vary: Mapping[str, Sequence[Any]], grid: bool = False) -> list[Arm]:
    """An arm a value of each field; with `grid` one a combination of all fields' values.

    What the reference is already makes no arm of its own. LabError with all values that do not fit.
    """
    known = {_matter(recipe)}
    found, problems = [], []
    for settings in _combinations(vary, grid):
        try:
            made = with_values(recipe, dict(settings))
        except LabError as error:
            problems += error.problems
            continue
        if _matter(made) not in known:
            known.add(_matter(made))
            found.append(Arm(_own_name(settings), OWN, _own_words(settings), settings))
    if problems:
        raise LabError.of(dict.fromkeys(problems))
    return found


def _combinations(
    vary: Mapping[str, Sequence[Any]], grid: bool
) -> list[tuple[tuple[str, Any], ...]]:
    lines = [[(path, _fixed(value)) for value in values] for path, values in vary.items()]
    if grid and lines:
        return list(itertools.product(*lines))
    return [(pair,) for line in lines for pair in line]


def _fixed(value: Any) -> Any:
    """The value with its lists as tuples: nobody can change it under an arm's feet."""
    return tuple(map(_fixed, value)) if isinstance(value, list | tuple) else value


def _matter(recipe: Recipe) -> str:
    """What decides a run, as one text: two arms that agree in it are one."""
    return recipe.but(name="", notes="", preset="").model_dump_json()


def _own_name(settings: tuple[tuple[str, Any], ...]) -> str:
    parts = [f"{said(path)} = {_shown(value)}" for path, value in settings]
    return ", ".join(parts)[:80]


def _own_words(settings: tuple[tuple[str, Any], ...]) -> str:
    what = " and ".join(f"{said(path)} {_shown(value)}" for path, value in settings)
    return f"The same schedule with {what}."


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def problems_of(
    design: Design, facts_of: Callable[[Recipe], Facts] = lambda recipe: Facts()
) -> list[tuple[str, Problem]]:
    """(arm's name, problem) of everything that is wrong or doubtful; what the reference has is
    said of it alone."""
    found: list[tuple[str, Problem]] = [("", problem) for problem in _whole(design)]
    known: set[str] = set()
    for arm in design.arms:
        try:
            recipe = arm_recipe(design.recipe, arm, design.epochs)
            mine = check(recipe, facts_of(recipe))
        except LabError as error:
            mine = list(error.problems)
        found += [(arm.name, problem) for problem in mine if problem.what not in known]
        if arm.kind == REFERENCE:
            known = {problem.what for problem in mine}
    return found


def _whole(design: Design) -> list[Problem]:
    """What is wrong with the experiment as a whole."""
    found, runs = [], len(design.arms) * len(design.seeds)
    if not design.seeds or runs < 2:
        found.append(
            Problem("", "There is nothing to compare.", "Choose another arm, or several seeds.")
        )
    if len(set(design.seeds)) < len(design.seeds):
        found.append(Problem("seeds", "A seed is there twice.", "Give each seed once."))
    if any(not 0 <= seed < 2**31 for seed in design.seeds):
        found.append(Problem("seeds", "A seed is out of bounds.", "Use 0 to 2147483647."))
    if runs > MOST_RUNS:
        words = f"{len(design.arms)} arms with {len(design.seeds)} seeds are {runs} runs."
        found.append(Problem("", words, f"Leave something out: at most {MOST_RUNS}."))
    rules = design.recipe.rules.early_stop_epochs or any(
        stage.cycle_patience for stage in design.recipe.stages
    )
    if rules and {arm.kind for arm in design.arms} & {"fixed-same-epochs", "fixed-same-pixels"}:
        found.append(
            Problem(
                "rules",
                "The reference may end before its last epoch, and its baselines of equal epochs "
                "and pixels are made for its full length.",
                "Compare at the same time, or launch them when it has finished.",
                level="warning",
            )
        )
    return found


def refusals(recipe: Recipe) -> dict[str, Problem]:
    """Baselines that would answer nothing here, each with the reason."""
    found = {kind: refusal(kind, recipe) for kind in KINDS}
    return {kind: problem for kind, problem in found.items() if problem}


def suggested_question(design: Design) -> str:
    """The question that an experiment of these arms answers, in words."""
    kinds = [arm.kind for arm in design.arms if arm.kind not in (REFERENCE, OWN)]
    own = [arm for arm in design.arms if arm.kind == OWN]
    if not kinds and not own:
        return f"How much does {plain_name(design.recipe)} differ from seed to seed?"
    first, last = _px(first_size(design.recipe)), _px(design.recipe.stages[-1].size)
    parts = [_opponent(kind, first, last) for kind in kinds]
    fields = dict.fromkeys(said(path) for arm in own for path, _ in arm.settings)
    if not kinds:
        return f"What does another {' or '.join(fields)} change?"
    subject = f"growing from {first} to {last}" if grows(design.recipe) else "this schedule"
    *most, end = [*parts, *(f"another {field}" for field in fields)]
    return f"Is {subject} better than {', '.join(most)}{' or ' if most else ''}{end}?"


def _opponent(kind: str, first: str, last: str) -> str:
    return {
        "fixed-same-epochs": f"as many epochs at {last}",
        "fixed-same-pixels": f"as many pixels at {last}",
        SAME_TIME: f"as much time at {last}",
        "small-only": f"{first} alone",
        "fixres": f"adapting from {first} to {last} at the end (FixRes)",
        "head-only": "training the head alone",
        "single-target": "learning the first label alone",
    }[kind]


def _px(size: Size) -> str:
    height, width = hw(size)
    return f"{height if height == width else f'{height}×{width}'} px"
