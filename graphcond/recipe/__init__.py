"""Recipes: strict YAML that composes a base, conditions, guidance and training."""

from graphcond.recipe.load import find_recipe, load_recipe, parse_recipe, shipped_recipes
from graphcond.recipe.recipe import ConditionConfig, Recipe
from graphcond.recipe.sections import GuidanceConfig, TrainingConfig

__all__ = [
    "ConditionConfig",
    "GuidanceConfig",
    "Recipe",
    "TrainingConfig",
    "find_recipe",
    "load_recipe",
    "parse_recipe",
    "shipped_recipes",
]
