"""Recipes: strict YAML that composes a base, conditions, guidance and training."""

from typing import TYPE_CHECKING

from graphcond import lazy_names

if TYPE_CHECKING:
    from graphcond.recipe.load import load_recipe as load_recipe
    from graphcond.recipe.load import parse_recipe as parse_recipe
    from graphcond.recipe.recipe import ConditionConfig as ConditionConfig
    from graphcond.recipe.recipe import Recipe as Recipe
    from graphcond.recipe.sections import GuidanceConfig as GuidanceConfig
    from graphcond.recipe.sections import TrainingConfig as TrainingConfig
    from graphcond.recipe.yaml_files import find_recipe as find_recipe
    from graphcond.recipe.yaml_files import shipped_recipes as shipped_recipes
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__)
