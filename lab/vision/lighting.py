"""Brightness and contrast, then normalisation: one multiply-add where the space is linear.

Brightness b is drawn around 0.5, contrast c log-uniformly around 1, as fastai draws them.
"""

from __future__ import annotations

import numpy as np
import torch

from lab.recipe.augment import Augment
from lab.vision.resident import sent

DRAWS = 4


def light_changes(augment: Augment, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness change in (0, 1), 0.5 for none, and contrast factor, 1 for none. u: (n, 4)."""
    strength = augment.lighting
    brightness = 0.5 + 0.5 * strength * (2 * u[:, 1] - 1) * (u[:, 0] < augment.lighting_p)
    exponent = (2 * u[:, 3] - 1) * (u[:, 2] < augment.lighting_p)
    return brightness, (1 - strength) ** exponent


def relight(x: torch.Tensor, augment: Augment, u: np.ndarray) -> torch.Tensor:
    """Change the light of pictures in [0, 1], (n, 3, h, w), in the augmentation's space."""
    if augment.lighting == 0 or augment.lighting_p == 0:
        return x
    brightness, contrast = light_changes(augment, u)
    if augment.lighting_space == "logit":
        shift = np.log(brightness / (1 - brightness))
        return torch.sigmoid(torch.logit(x, eps=1e-7) * _column(contrast, x) + _column(shift, x))
    shift = 0.5 - 0.5 * contrast + (brightness - 0.5)
    return torch.addcmul(_column(shift, x), x, _column(contrast, x)).clamp_(0, 1)


def normalise(x: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """(x - mean) / std per channel. Shapes (n, 3, h, w), (3,), (3,)."""
    return (x - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


def _column(values: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    return sent(np.asarray(values, dtype=np.float32), like.device).view(-1, 1, 1, 1)
