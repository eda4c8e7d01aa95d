"""Recipes: strict YAML that composes a base, conditions, guidance and training."""

from graphcond.recipe.load import load_recipe, parse_recipe
from graphcond.recipe.recipe import ConditionConfig, Recipe
from graphcond.recipe.sections import GuidanceConfig, TrainingConfig
from graphcond.recipe.yaml_files import find_recipe, shipped_recipes

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
