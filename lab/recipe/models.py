"""Facts of common architectures, shipped as data so that no screen waits for torch.

models.json is written by `python -m lab.train.model_facts`; a test compares it with fresh probes.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from lab.recipe.facts import ModelFacts

SMALL_BODY = "regnetx_002"  # the architecture of lab/train/small_body; a test compares them


def shipped_model_facts(name: str) -> ModelFacts | None:
    """Facts of a timm architecture (its pretrained tag is ignored); None where not shipped."""
    values = _table().get(name.split(".")[0])
    return ModelFacts(**{**values, "name": name}) if values else None


def shipped_models() -> list[str]:
    """Names of the architectures that the lab knows without asking timm, cheapest first."""
    table = _table()
    return sorted(table, key=lambda name: table[name]["gmacs_at_native"])


@lru_cache(maxsize=1)
def _table() -> dict[str, dict]:
    return json.loads((Path(__file__).parent / "models.json").read_text(encoding="utf-8"))
