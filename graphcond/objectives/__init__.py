"""Objectives that pretrain an encoder: boxes and masks, the base's words, or a CLIP space."""

from typing import TYPE_CHECKING

from graphcond import lazy_names

if TYPE_CHECKING:
    from graphcond.objectives.base import Objective as Objective
    from graphcond.objectives.base import ObjectiveResult as ObjectiveResult
    from graphcond.objectives.base import PretrainBatch as PretrainBatch
    from graphcond.objectives.clip_alignment import ClipAlignment as ClipAlignment
    from graphcond.objectives.clip_alignment import ClipGan as ClipGan
    from graphcond.objectives.config import OBJECTIVES as OBJECTIVES
    from graphcond.objectives.config import AnyObjectiveConfig as AnyObjectiveConfig
    from graphcond.objectives.config import ClipAlignmentConfig as ClipAlignmentConfig
    from graphcond.objectives.config import ClipGanConfig as ClipGanConfig
    from graphcond.objectives.config import LayoutObjectiveConfig as LayoutObjectiveConfig
    from graphcond.objectives.config import Need as Need
    from graphcond.objectives.config import ObjectiveConfig as ObjectiveConfig
    from graphcond.objectives.config import PhrasesObjectiveConfig as PhrasesObjectiveConfig
    from graphcond.objectives.config import TripleContrastConfig as TripleContrastConfig
    from graphcond.objectives.layout import LayoutObjective as LayoutObjective
    from graphcond.objectives.phrases import PhrasesObjective as PhrasesObjective
    from graphcond.objectives.triple_contrast import TripleContrast as TripleContrast
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__)
