"""Relation accuracy: do the objects stand to each other as the graph says?"""

from __future__ import annotations

from graphcond.evaluation.scene_match import match_scene
from graphcond.evaluation.scene_metric import SceneMetric
from graphcond.types import SceneGraph


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

    It tells a model that draws the objects but puts them anywhere from one that leaves objects out. Arms
    that show other objects are scored on other relations.
    """

    name = "relation_accuracy_found"

    def tally(self, wanted: SceneGraph, seen: SceneGraph) -> tuple[float, float]:
        """Relations seen, and relations whose ends are."""
        match = match_scene(wanted, seen)
        return sum(match.relations), sum(match.ends)
