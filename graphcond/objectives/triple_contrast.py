"""A graph's embedding beside its sentence's, against its picture (Structure-CLIP, arXiv 2305.06152)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import NonNegativeFloat
from torch import nn

from graphcond.objectives.base import Need, Objective, ObjectiveConfig, ObjectiveResult, PretrainBatch


class TripleContrast(Objective):
    """Work in progress."""

    needs: ClassVar[frozenset[Need]] = frozenset({"pictures", "texts", "negatives"})
    asks: ClassVar[str] = "embed_scenes"

    def forward(self, encoder: Any, batch: PretrainBatch) -> ObjectiveResult:
        """The loss of ``encoder`` on ``batch``."""
        raise NotImplementedError


class TripleContrastConfig(ObjectiveConfig):
    """Bring a graph and its sentence to their picture, and away from the swapped graph."""

    component: ClassVar = TripleContrast
    kind: Literal["triple_contrast"] = "triple_contrast"
    graph_weight: NonNegativeFloat = 0.2
    """Weight of the graph's embedding beside the text's."""
    margin: NonNegativeFloat = 0.2
    """How much nearer the right pair must be."""
    swap: NonNegativeFloat = 5.0
    """Weight of the loss against the swapped scene."""

    def build(self, *, encoder: nn.Module, picture_width: int | None = None) -> TripleContrast:
        """The objective for an encoder that embeds whole scenes."""
        return TripleContrast()
