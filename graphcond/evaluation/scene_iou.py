"""Entity-IoU, Relation-IoU and SG-IoU: how much do the graph and the graph seen in the picture overlap?

Defined as in LAION-SG (arXiv 2412.08580): intersection over union of what two scene graphs hold, each thing
as often as it stands there. The detected graph also counts for what the graph never asked for, so a picture
full of everything scores low.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterable

from graphcond.evaluation.scene_match import relation_words
from graphcond.evaluation.scene_metric import SceneMetric
from graphcond.types import SceneGraph


class _SceneIoU(SceneMetric):
    """Mean over the graphs that hold any of what is compared, 0..1."""

    @abstractmethod
    def items(self, graph: SceneGraph) -> Iterable[Hashable]:
        """What of a graph is compared."""

    def chances(self, wanted: SceneGraph) -> int:
        """What the graph holds."""
        return len(list(self.items(wanted)))

    def tally(self, wanted: SceneGraph, seen: SceneGraph) -> tuple[float, float]:
        """The IoU of one graph, which counts once."""
        here, there = Counter(self.items(wanted)), Counter(self.items(seen))
        return (bag_iou(here, there), 1.0) if here else (0.0, 0.0)


class EntityIoU(_SceneIoU):
    """Of the objects, by label."""

    name = "entity_iou"
    counted = "objects"

    def items(self, graph: SceneGraph) -> Iterable[Hashable]:
        """Labels."""
        return [label.casefold() for label in graph.objects]


class RelationIoU(_SceneIoU):
    """Of the predicates, whatever they relate."""

    name = "relation_iou"
    counted = "relations"

    def items(self, graph: SceneGraph) -> Iterable[Hashable]:
        """Predicates."""
        return [relation.predicate.casefold() for relation in graph.relationships]


class SceneGraphIoU(_SceneIoU):
    """Of the triples (subject, predicate, object), by their words."""

    name = "sg_iou"
    counted = "relations"

    def items(self, graph: SceneGraph) -> Iterable[Hashable]:
        """Triples."""
        return [relation_words(graph, relation) for relation in graph.relationships]


def bag_iou(first: Counter[Hashable], second: Counter[Hashable]) -> float:
    """Intersection over union of two bags, 0 where both are empty."""
    union = (first | second).total()
    return (first & second).total() / union if union else 0.0
