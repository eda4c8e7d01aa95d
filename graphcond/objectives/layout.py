"""Boxes and masks from a graph (sg2im, arXiv 1804.01622), and boxes that keep what the graph states."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import NonNegativeFloat
from torch import nn

from graphcond.objectives.base import Need, Objective, ObjectiveConfig, ObjectiveResult, PretrainBatch


class LayoutObjective(Objective):
    """Work in progress."""

    needs: ClassVar[frozenset[Need]] = frozenset({"boxes"})
    asks: ClassVar[str] = "predicted_boxes"

    def __init__(self, *, box: float, mask: float, relation: float, overlap: float) -> None:
        super().__init__()
        self.weights = {"box": box, "mask": mask, "relation": relation, "overlap": overlap}

    def forward(self, encoder: Any, batch: PretrainBatch) -> ObjectiveResult:
        """The loss of ``encoder`` on ``batch``."""
        raise NotImplementedError


class LayoutObjectiveConfig(ObjectiveConfig):
    """Predict boxes and masks; keep the spatial relations that the graph states."""

    component: ClassVar = LayoutObjective
    kind: Literal["layout"] = "layout"
    box: NonNegativeFloat = 1.0
    """Weight of the distance to the known boxes."""
    mask: NonNegativeFloat = 0.1
    """Weight of the masks' cross-entropy."""
    relation: NonNegativeFloat = 1.0
    """Weight of the stated relations that predicted boxes break."""
    overlap: NonNegativeFloat = 0.1
    """Weight of the overlap of objects that are not nested."""

    def build(self, *, encoder: nn.Module, picture_width: int | None = None) -> LayoutObjective:
        """The objective for an encoder that predicts boxes."""
        return LayoutObjective(box=self.box, mask=self.mask, relation=self.relation, overlap=self.overlap)
