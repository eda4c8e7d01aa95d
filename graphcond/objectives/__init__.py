"""Objectives that bring an encoder somewhere before the main training: boxes and masks, a CLIP space."""

from graphcond.config import by_kind, tagged_union
from graphcond.objectives.base import Need, Objective, ObjectiveConfig, ObjectiveResult, PretrainBatch
from graphcond.objectives.layout import LayoutObjective, LayoutObjectiveConfig
from graphcond.objectives.triple_contrast import TripleContrast, TripleContrastConfig

OBJECTIVES = by_kind((LayoutObjectiveConfig, TripleContrastConfig), "graphcond.objectives")
"""Every objective config by its kind, plug-ins included."""

AnyObjectiveConfig = tagged_union(OBJECTIVES)
"""The pydantic type of an objective in a recipe."""

__all__ = [
    "OBJECTIVES",
    "AnyObjectiveConfig",
    "LayoutObjective",
    "LayoutObjectiveConfig",
    "Need",
    "Objective",
    "ObjectiveConfig",
    "ObjectiveResult",
    "PretrainBatch",
    "TripleContrast",
    "TripleContrastConfig",
]
