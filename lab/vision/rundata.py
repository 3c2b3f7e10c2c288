"""The pictures of one run: its data set, its split, and the stores that its stages read.

data = open_run_data(workspace, recipe, progress)      # draws or imports where needed
data.build(interpolation, progress)                    # one decode pass writes every store
data.train(0), data.valid(0), data.final(), data.ragged("valid", stage)
data.classes, data.second_classes                      # names; the second's empty without one
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from lab.data.catalog import materialise
from lab.data.dataset import Dataset
from lab.data.split import Parts, data_facts, parts
from lab.data.store_build import StoreRequest
from lab.data.store_files import TestStore, TrainStore
from lab.data.stores import build_stores
from lab.data.transform import TestTransform
from lab.errors import LabError
from lab.recipe.facts import DataFacts
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage
from lab.vision.loader import TestPictures, TrainPictures
from lab.vision.transforms import final_transform, test_transform
from lab.workspace import Workspace

Progress = Callable[[str, int, int], None]  # what, done, total


def quiet(what: str, done: int, total: int) -> None:
    """A progress that shows nothing."""


@dataclass
class RunData:
    """Train and test pictures by stage. `build` first.

    `second`: labels of the second target for ALL items, int64, -1 where missing; None without one.
    """

    workspace: Workspace
    recipe: Recipe
    dataset: Dataset
    parts: Parts
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    interpolation: str = "bicubic"
    skipped: list[tuple[str, str]] = field(default_factory=list)
    _train: dict[int, TrainStore] = field(default_factory=dict)
    _test: dict[TestTransform, TestPictures] = field(default_factory=dict)
    _locked: dict[TestTransform, TestPictures] = field(default_factory=dict)
    second: np.ndarray | None = None
    second_classes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the (first) target's classes, in the order of its labels."""
        return self.parts.classes

    def build(self, progress: Progress = quiet) -> None:
        """Build or open every store the run reads, decoding each original once.

        Raises LabError where too many pictures cannot be read, and for a full disk.
        """
        sides = sorted({stage.stored_px for stage in self.recipe.stages}, reverse=True)
        wanted = [self._kept(self.parts.train, side) for side in sides]
        transforms = list(dict.fromkeys([*map(self.transform, self.recipe.stages), self.last()]))
        wanted += [StoreRequest(self.parts.valid, transform=t) for t in transforms]
        looks = self.recipe.evaluation.test_every_epoch and len(self.parts.test) > 0
        own = list(dict.fromkeys(map(self.transform, self.recipe.stages))) if looks else []
        wanted += [StoreRequest(self.parts.test, transform=t) for t in own]
        built = build_stores(
            self.workspace, self.dataset, wanted, lambda d, n: progress("Preparing pictures", d, n)
        )
        self._train = dict(zip(sides, built[: len(sides)]))
        tests = [self._labelled(store) for store in built[len(sides) :]]
        self._test = dict(zip(transforms, tests))
        self._locked = dict(zip(own, tests[len(transforms) :]))
        self.skipped = sorted({tuple(bad) for store in built for bad in store.skipped})

    def train(self, stage: int) -> TrainPictures:
        """What a stage trains on: labels (n,), or (n, 2) with a second target."""
        store = self._train[self.recipe.stages[stage].stored_px]
        return TrainPictures(store, both_labels(self.parts.labels, self.second)[store.items])

    def valid(self, stage: int) -> TestPictures:
        """What a stage is validated on, at its own size."""
        return self._test[self.transform(self.recipe.stages[stage])]

    def final(self) -> TestPictures:
        """What every stage is also scored on: the final size and transform."""
        return self._test[self.last()]

    def locked(self, stage: int) -> TestPictures | None:
        """The locked test part at a stage's size; None where the recipe does not ask for it, or
        where the data have none."""
        return self._locked.get(self.transform(self.recipe.stages[stage]))

    @property
    def n_train(self) -> int:
        """Training images that could be read."""
        return len(self.train(0))

    def facts(self) -> DataFacts:
        """Facts of the data, counting only what could be read."""
        known = data_facts(self.dataset, self.parts)
        return replace(known, n_train=self.n_train, n_valid=len(self.final()))

    def transform(self, stage: Stage) -> TestTransform:
        """The exported test transform of a stage, at its own size."""
        return test_transform(stage, self.mean, self.interpolation)

    def last(self) -> TestTransform:
        """The test transform of the final scores."""
        return final_transform(self.recipe, self.mean, self.interpolation)

    def test_pictures(
        self, transform: TestTransform, part: str = "valid", progress: Progress = quiet
    ) -> TestPictures:
        """Pictures of a part through any test transform, built where they are not there yet."""
        request = StoreRequest(getattr(self.parts, part), transform=transform)
        stores = build_stores(
            self.workspace, self.dataset, [request], lambda d, n: progress("Pictures", d, n)
        )
        return self._labelled(stores[0])

    def ragged(self, part: str, stage: Stage, progress: Progress = quiet) -> TrainStore:
        """Pictures of a part as training keeps them: for views of test-time augmentation."""
        request = self._kept(getattr(self.parts, part), stage.stored_px)
        stores = build_stores(
            self.workspace, self.dataset, [request], lambda d, n: progress("Pictures", d, n)
        )
        return stores[0]

    def _kept(self, items: np.ndarray, side: int) -> StoreRequest:
        """A train store; smaller ones are made from the largest, which is decoded once."""
        largest = max(stage.stored_px for stage in self.recipe.stages)
        return StoreRequest(items, side, derive_from_px=largest if side < largest else None)

    def _labelled(self, store: TestStore) -> TestPictures:
        second = None if self.second is None else self.second[store.items]
        labels = self.parts.labels[store.items]
        return TestPictures(store.images, labels, np.asarray(store.items), second)


def open_run_data(workspace: Workspace, recipe: Recipe, progress: Progress = quiet) -> RunData:
    """The data set of a recipe, drawn or imported where needed, and split."""
    dataset = materialise(workspace, recipe.dataset, lambda d, n: progress("Reading data", d, n))
    divided = parts(dataset, recipe.dataset.split, recipe.dataset.target)
    second = second_target(dataset, recipe.dataset.second_target, divided.target)
    if not second:
        return RunData(workspace, recipe, dataset, divided)
    labels, classes = dataset.labels(second), dataset.targets[second]
    return RunData(workspace, recipe, dataset, divided, second=labels, second_classes=classes)


def second_target(dataset: Dataset, name: str, first: str) -> str:
    """The second target's name; "" for none. Raises LabError for the first, or one not there."""
    if not name or (name in dataset.targets and name != first):
        return name
    others = [target for target in dataset.targets if target != first]
    what = "is the first one already" if name == first else "is not among its labels"
    raise LabError(
        f"The second target of {dataset.name} cannot be {name!r}: it {what}.",
        f"Use {' or '.join(others)}." if others else "Leave it empty: there is only one label.",
        where="dataset.second_target",
    )


def both_labels(labels: np.ndarray, second: np.ndarray | None) -> np.ndarray:
    """int64 (n,), or (n, 2) where there is a second target."""
    return labels if second is None else np.stack([labels, second], axis=1)
