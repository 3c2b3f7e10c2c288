"""A finished stage of a run as a network that predicts: weights verified, safetensors only.

loaded = load_stage(run)                  # the last finished stage; load_stage(run, 0) the first
loaded.predict(pictures)                  # float32 (n, classes), eval mode, fp32
data = open_run(workspace, loaded)        # the pictures that it was trained and scored on
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load

from lab.data.transform import TestTransform
from lab.errors import LabError
from lab.recipe.model import ModelSpec
from lab.recipe.stage import Stage
from lab.runs.folder import RunFolder
from lab.train.checkpoint import sha256
from lab.train.evaluation import BATCH, Probabilities, answers
from lab.train.model import Network, create
from lab.train.sizes import size_kind
from lab.vision.loader import Normalisation, TestPictures
from lab.vision.rundata import RunData, open_run_data
from lab.workspace import Workspace

WEIGHTS = "model.safetensors"
Progress = Callable[[int, int], None]  # done, total


def quiet(done: int, total: int) -> None:
    """A progress that shows nothing."""


def never() -> bool:
    """A stop flag that nobody sets."""
    return False


@dataclass
class LoadedStage:
    """A stage's network with what scores.json says of it. One thread at a time: sizes are state."""

    run: RunFolder
    number: int
    network: Network
    info: dict[str, Any]
    weights: dict[str, torch.Tensor]
    device: str = "cpu"
    size: tuple[int, int] = (0, 0)  # that the network is at now

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the outputs."""
        return list(self.info["model"]["classes"])

    @property
    def second_classes(self) -> list[str]:
        """Those of a second target, whose outputs follow; empty where none was learnt."""
        return list(self.info["model"].get("second_classes", []))

    @property
    def stage(self) -> Stage:
        """The recipe's stage that it was trained by."""
        return self.run.recipe().stages[self.number]

    @property
    def norm(self) -> Normalisation:
        """How its inputs are normalised."""
        return Normalisation(self.network.mean, self.network.std, self.device)

    def transform(self, size: tuple[int, int] | None = None) -> TestTransform:
        """The test transform at (height, width); at other sizes than it was scored at, the final
        one with that size. None: the final size."""
        final = transform_of(self.info["final_transform"])
        own = transform_of(self.info["transform"])
        if size is None or size == (final.height, final.width):
            return final
        if size == (own.height, own.width):
            return own
        changed = {**final.as_dict(), "height": size[0], "width": size[1]}
        return transform_of(changed)

    def at(self, size: tuple[int, int]) -> None:
        """Take inputs of (height, width), always from the stored weights: resampling a position
        embedding to one size and then to another is not the same as once."""
        if size == self.size:
            return
        if self.size != (0, 0) and self.network.size_is_built_in:
            self.network.at_size(*self.info["size"])
            self.network.model.load_state_dict(self.weights)
        self.network.at_size(*size)
        self.size = size

    def predict(self, pictures: TestPictures, stop: Callable[[], bool] = never) -> np.ndarray:
        """Probabilities of exact test pictures: float32 (n, classes)."""
        self.at(pictures.hw)
        return self._answers(pictures.batches(BATCH, self.norm), stop).first

    def softmax(self, x: torch.Tensor, stop: Callable[[], bool] = never) -> np.ndarray:
        """Probabilities of a normalised batch (n, 3, h, w): float32 (n, classes)."""
        return self.both(x, stop).first

    def both(self, x: torch.Tensor, stop: Callable[[], bool] = never) -> Probabilities:
        """The same with those of a second target, where one was learnt."""
        self.at((x.shape[-2], x.shape[-1]))
        return self._answers([(x, x)], stop)

    def _answers(self, batches: Iterable[Any], stop: Callable[[], bool]) -> Probabilities:
        second = len(self.second_classes)
        return answers(self.network.model, batches, self.device, "fp32", stop, second)


def transform_of(values: dict[str, Any]) -> TestTransform:
    """A test transform from its JSON values."""
    return TestTransform(**{**values, "fill": tuple(values["fill"])})


def load_stage(run: RunFolder, stage: int | None = None, device: str = "cpu") -> LoadedStage:
    """The network of a finished stage, the last by default, in eval mode at its own size.

    Raises LabError for a stage that is not finished and for weights that are not what was written:
    of 200 flipped bits in a safetensors file, 198 load without an error.
    """
    number = _finished(run, stage)
    info = run.scores(number)
    weights = load(verified(run.stage(number) / WEIGHTS, info["sha256"]))
    facts = info["model"]
    spec = run.recipe().model.but(weights="none", file="")
    network = Network(
        model=create(spec, facts["num_classes"], size=_built_for(spec, info)),
        spec=spec,
        n_classes=facts["num_classes"],
        groups=spec.groups,
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
        interpolation=facts["interpolation"],
        second_classes=len(facts.get("second_classes", [])),
        size=_built_for(spec, info),
    )
    network.at_size(*info["size"])
    try:
        network.model.load_state_dict(weights)
    except RuntimeError as error:
        raise LabError(
            f"The weights of stage {number} of {run.id} do not fit {facts['name']}.",
            "They were made with another version of timm: install that one.",
        ) from error
    network.model.eval().to(device, memory_format=torch.channels_last)
    return LoadedStage(run, number, network, info, weights, device)


def _built_for(spec: ModelSpec, info: dict[str, Any]) -> tuple[int, int] | None:
    """The size to construct with, for networks that take it there only."""
    return tuple(info["size"]) if size_kind(spec.name) == "build" else None


def verified(path: Path, digest: str) -> bytes:
    """The bytes of a file whose sha256 is as promised. Raises LabError otherwise."""
    try:
        intact = sha256(path) == digest
        data = path.read_bytes() if intact else b""
    except OSError as error:
        raise LabError(
            f"{path.name} cannot be read ({error.strerror}).", "Check the disk."
        ) from error
    if not intact:
        raise LabError(
            f"The weights {path.parent.name}/{path.name} are damaged: their checksum is another "
            "than was written down.",
            "Train the run again as a clone, or use another of its stages.",
        )
    return data


def _finished(run: RunFolder, stage: int | None) -> int:
    done = run.finished_stages()
    if not done:
        raise LabError(
            f"Run {run.id} has no finished stage yet.", f"Go on: python -m lab resume {run.id}"
        )
    if stage is None:
        return done[-1]
    if stage not in done:
        names = ", ".join(map(str, done))
        raise LabError(
            f"Stage {stage} of {run.id} is not finished.",
            f"Finished, from 0: {names}.",
            where="stage",
        )
    return stage


def open_run(workspace: Workspace, loaded: LoadedStage) -> RunData:
    """The run's data set and split. LabError where its pictures are not those it was trained on."""
    run, model = loaded.run, loaded.info["model"]
    data = open_run_data(workspace, run.recipe())
    data.mean, data.interpolation = loaded.network.mean, model["interpolation"]
    trained_on = run.resolved().get("data")
    if trained_on and trained_on != data.dataset.fingerprint:
        raise LabError(
            f"The pictures have changed since run {run.id} was trained.",
            "Bring them back, or score it on the new ones with --data.",
        )
    return data
