"""What a run is: the recipe, its presets and baselines, and what is checked before a launch."""

from lab.recipe.model import Recipe, load_recipe, recipe_from

__all__ = ["Recipe", "load_recipe", "recipe_from"]
