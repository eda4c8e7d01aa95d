"""Metrics over scene graphs: the graph that a detector finds in each picture against the requested graph."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from graphcond.evaluation.metrics.base import RatioMetric
from graphcond.evaluation.samples import Samples, SceneDetector, Targets
from graphcond.evaluation.scene_match import match_scene, overlaps, relation_words
from graphcond.scene_graph import SceneGraph


class SceneMetric(RatioMetric):
    """Counts, in each picture, how much of its graph a detector sees."""

    network = "detector"
    net: SceneDetector

    counted: ClassVar[str]
    """The parts of a graph that the metric counts, in the plural; without them it says nothing."""

    @abstractmethod
    def chances(self, wanted: SceneGraph) -> int:
        """The number of ``counted`` units in a graph."""

    @abstractmethod
    def tally(self, wanted: SceneGraph, seen: SceneGraph) -> tuple[float, float]:
        """Hits and chances of one picture."""

    def count(self, samples: Samples) -> Float64[np.ndarray, "n 2"]:
        """Hits and chances of each picture."""
        graphs = samples.targets.scenes
        seen = samples.pictures.detected(self.net, graphs)
        return np.array([self.tally(*pair) for pair in zip(graphs, seen, strict=True)], np.float64)

    def check(self, targets: Targets) -> None:
        """There must be graphs, and something to count in them."""
        super().check(targets)
        if not len(targets.scenes):
            raise self.unsuited(f"{self.name} needs scene graphs to compare with", "a scene model")
        if not any(map(self.chances, targets.scenes)):
            raise self.unsuited(f"no scene graph has {self.counted}", "graphs that have")

    def basis(self, targets: Targets) -> str | None:
        """The number of units, and the number of graphs that hold them."""
        found = [count for count in map(self.chances, targets.scenes) if count]
        return f"{self.name}: {sum(found):,} {self.counted} in {len(found):,} graphs"


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


class ObjectOccurrence(SceneMetric):
    """Share of the graphs' objects that the detector finds, by label, 0..1.

    Two objects of one label need two to be seen. Mishra and Subramanyam report it (arXiv 2401.14111).
    """

    name = "object_occurrence"
    counted = "objects"

    def caution(self, n: int) -> str | None:
        """That more objects than asked for cost nothing."""
        return (
            "objects, attributes and relations that are drawn beside those of the graph cost nothing in "
            "object_occurrence, attribute_accuracy and relation_accuracy; entity_iou counts further objects"
        )

    def chances(self, wanted: SceneGraph) -> int:
        """Every object counts."""
        return len(wanted)

    def tally(self, wanted: SceneGraph, seen: SceneGraph) -> tuple[float, float]:
        """Objects seen, and objects."""
        places = match_scene(wanted, seen).places
        return sum(place is not None for place in places), len(places)


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


class RelationAccuracy(SceneMetric):
    """Share of the graphs' relations whose ends are both in the picture and related as stated, 0..1."""

    name = "relation_accuracy"
    counted = "relations"

    def chances(self, wanted: SceneGraph) -> int:
        """Every relation counts."""
        return len(wanted.relationships)

    def tally(self, wanted: SceneGraph, seen: SceneGraph) -> tuple[float, float]:
        """Relations seen, and relations."""
        relations = match_scene(wanted, seen).relations
        return sum(relations), len(relations)


class FoundRelationAccuracy(RelationAccuracy):
    """The same among the relations whose ends are both in the picture; 0 where no such relation is left.

    It distinguishes a model that draws the objects at wrong places from one that omits objects. Arms
    that show other objects are scored on other relations.
    """

    name = "relation_accuracy_found"

    def tally(self, wanted: SceneGraph, seen: SceneGraph) -> tuple[float, float]:
        """Relations seen, and relations whose ends are."""
        match = match_scene(wanted, seen)
        return sum(match.relations), sum(match.ends)


class _SceneIoU(SceneMetric):
    """Mean over the graphs that have anything to compare, 0..1."""

    @abstractmethod
    def items(self, graph: SceneGraph) -> Iterable[Hashable]:
        """The part of a graph that is compared."""

    def chances(self, wanted: SceneGraph) -> int:
        """The number of items in the requested graph."""
        return len(list(self.items(wanted)))

    def tally(self, wanted: SceneGraph, seen: SceneGraph) -> tuple[float, float]:
        """The IoU of one graph, which counts once."""
        here, there = Counter(self.items(wanted)), Counter(self.items(seen))
        return ((here & there).total() / (here | there).total(), 1.0) if here else (0.0, 0.0)


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
