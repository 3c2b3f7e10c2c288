"""What a preset is: a recipe, where it comes from, how it departs from that, what was published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab.recipe.base import parse
from lab.recipe.model import Recipe


@dataclass(frozen=True)
class Preset:
    """A recipe with its story."""

    name: str
    title: str
    story: str  # what it shows, in a few sentences
    source: str  # where it comes from; '' for the lab's own
    departures: tuple[str, ...]  # where the lab's form differs from the original
    published: tuple[str, ...]  # figures that the source reports
    values: dict[str, Any]
    caution: str = ""

    def recipe(self) -> Recipe:
        """The preset as a recipe."""
        return parse(Recipe, {"preset": self.name, "name": self.title, **self.values})
