"""Attribute accuracy: do the objects look as the graph says?"""

from __future__ import annotations

from graphcond.evaluation.scene_match import match_scene
from graphcond.evaluation.scene_metric import SceneMetric
from graphcond.types import SceneGraph


class AttributeAccuracy(SceneMetric):
    """Share of the graphs' attributes that the detector sees on their object, 0..1.

    The attributes of an object that is not in the picture are wrong.
    """

    name = "attribute_accuracy"
    counted = "attributes"

    def chances(self, wanted: SceneGraph) -> int:
        """Every attribute of every object counts."""
        return sum(map(len, wanted.attributes))

    def tally(self, wanted: SceneGraph, seen: SceneGraph) -> tuple[float, float]:
        """Attributes seen, and attributes."""
        right = [word for row in match_scene(wanted, seen).attributes for word in row]
        return sum(right), len(right)
