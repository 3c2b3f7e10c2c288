"""What the network says of validation pictures, at whatever size they have.

judge = Judge(network, "cpu", norm); judge.of(model, pictures, size, "fp32")   -> Probabilities
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from lab.methods.activations import head_logits
from lab.train.evaluation import BATCH, Probabilities, answers
from lab.train.model import Network
from lab.vision.loader import Normalisation, TestPictures


class Judge:
    """Asks a network in training, without changing it."""

    def __init__(
        self, network: Network, device: str, norm: Normalisation, stopping: Callable[[], bool]
    ):
        self.network, self.device, self.norm, self.stopping = network, device, norm, stopping

    def of(
        self,
        model: nn.Module,
        pictures: TestPictures,
        size: tuple[int, int] | None,
        precision: str,
    ) -> Probabilities:
        """Through `model`, which is at `size`; through a copy where the pictures have another size
        and the network has one built in: changing it there and back would change its weights."""
        if pictures.hw != size and self.network.size_is_built_in:
            model = replace(self.network, model=model).copy_at(*pictures.hw).model
        batches = pictures.batches(BATCH, self.norm)
        second = self.network.second_classes
        return answers(model, batches, self.device, precision, self.stopping, second)

    @torch.inference_mode()
    def of_features(self, features: torch.Tensor) -> Probabilities:
        """From cached activations (n, width), through the head alone."""
        logits = head_logits(self.network.model, features, training=False)
        return Probabilities.of(logits, self.network.second_classes)


def accuracy(probs: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose largest probability is the label's."""
    return float((probs.argmax(axis=1) == labels).mean())


def log_loss(probs: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -ln p(label), probabilities clipped at 1e-12."""
    picked = probs[np.arange(len(probs)), labels]
    return float(-np.log(np.clip(picked, 1e-12, 1)).mean())


def second_accuracy(found: Probabilities, pictures: TestPictures) -> float | None:
    """Of the pictures that have a second label; None where no second target is learnt."""
    if found.second is None or pictures.second is None:
        return None
    known = pictures.second >= 0
    return accuracy(found.second[known], pictures.second[known]) if known.any() else None
