"""Box IoU: do the objects stand where the graph puts them?"""

from __future__ import annotations

from graphcond.evaluation.scene_match import match_scene, overlaps
from graphcond.evaluation.scene_metric import SceneMetric
from graphcond.types import SceneGraph


class BoxIoU(SceneMetric):
    """Mean intersection over union of the boxes that a graph gives and those the detector sees, 0..1.

    An object that is not in the picture, or has no box there, counts as 0. Objects whose box the graph
    leaves open do not count.
    """

    name = "box_iou"
    counted = "boxes"

    def chances(self, wanted: SceneGraph) -> int:
        """Every box that is given counts."""
        return sum(box is not None for box in wanted.boxes)

    def tally(self, wanted: SceneGraph, seen: SceneGraph) -> tuple[float, float]:
        """The sum over given boxes, and their number."""
        return overlaps(wanted, match_scene(wanted, seen).places, seen), self.chances(wanted)
