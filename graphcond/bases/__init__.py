"""Frozen models: the bases that draw and the extractors that look."""

from graphcond.bases.stable_diffusion import StableDiffusionBase, StableDiffusionConfig, TinyConfig
from graphcond.config import by_kind, tagged_union

BASES = by_kind((StableDiffusionConfig, TinyConfig), "graphcond.bases")
"""Every base config by its kind, plug-ins included."""

BaseConfig = tagged_union(BASES)
"""The pydantic type of a base in a recipe."""

__all__ = ["BASES", "BaseConfig", "StableDiffusionBase", "StableDiffusionConfig", "TinyConfig"]
