"""OOR, the object occurrence ratio: how many of the graph's objects are in the picture?"""

from __future__ import annotations

from graphcond.evaluation.scene_match import match_scene
from graphcond.evaluation.scene_metric import SceneMetric
from graphcond.types import SceneGraph


class ObjectOccurrence(SceneMetric):
    """Share of the graphs' objects that the detector finds, by label, 0..1.

    Two objects of one label need two to be seen. Mishra and Subramanyam report it (arXiv 2401.14111).
    """

    name = "object_occurrence"
    counted = "objects"

    def chances(self, wanted: SceneGraph) -> int:
        """Every object counts."""
        return len(wanted)

    def tally(self, wanted: SceneGraph, seen: SceneGraph) -> tuple[float, float]:
        """Objects seen, and objects."""
        places = match_scene(wanted, seen).places
        return sum(place is not None for place in places), len(places)
