"""The project's own pretrained body: weights that need no network connection.

    about()          where it comes from: architecture, normalisation, training, accuracy, sha256
    body_weights()   float32 tensors by name; the classifier is left out
Trained by `python -m benchmarks.small_body train` on pictures that lab.data.drawn draws.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent


def path() -> Path:
    """The safetensors file: float16, without the classifier."""
    return HERE / "body.safetensors"


def about() -> dict[str, Any]:
    """The body's record: `architecture`, `mean`, `std`, `sizes_px`, `sha256` and more."""
    return json.loads(_about_text())


def body_weights() -> dict[str, torch.Tensor]:
    """State of the body by name: float32 (counters of norm layers stay whole numbers)."""
    stored = load_file(path())
    return {name: t.float() if t.is_floating_point() else t for name, t in stored.items()}


@lru_cache(maxsize=1)
def _about_text() -> str:
    return (HERE / "about.json").read_text(encoding="utf-8")
