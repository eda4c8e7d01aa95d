"""Captions of the scene world: its objects, a relation, everything, "an image", or nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from graphcond.scene_graph import Relationship, SceneGraph, list_of, name_of, sentence_of
from graphcond.worlds.scene_relations import relation_holds

ANY_SCENE = "an image"
"""The prompt that says nothing about the scene."""

KINDS: tuple[str, ...] = ("objects", "relation", "sentence", "image", "empty")
SHARES: tuple[float, ...] = (0.42, 0.13, 0.10, 0.25, 0.10)
"""Probability of each kind. About a third of the captions that say something state a relation."""

BARE_SHARE = 0.2
"""Share of the lists of objects without colours."""


@dataclass(frozen=True)
class SceneCaption:
    """A sentence and the part of a scene graph that it states, without boxes."""

    text: str
    told: SceneGraph

    def fits(self, scene: SceneGraph) -> bool:
        """True if a scene shows all that is stated: the objects as often, each relation for some pair."""
        told, looks = _looks(self.told), _looks(scene)
        if self.told.attributes:
            counts = Counter(told) <= Counter(looks)
        else:
            counts = Counter(self.told.objects) <= Counter(scene.objects)
        boxes = [scene.box_of(place) for place in range(len(scene))]
        return counts and all(
            any(
                relation_holds(predicate, first, second)
                for (n, first), (m, second) in permutations(enumerate(boxes), 2)
                if [looks[n], looks[m]] == [told[subject], told[target]]
                and first is not None
                and second is not None
            )
            for subject, predicate, target in self.told.relationships
        )


def caption_of(graph: SceneGraph, kind: str, rng: np.random.Generator) -> SceneCaption:
    """One caption of a kind; ``rng`` determines the order of objects and which relation is stated."""
    if kind == "relation" and graph.relationships:
        subject, predicate, target = graph.relationships[rng.integers(len(graph.relationships))]
        told = _part(graph, [subject, target], (Relationship(0, predicate, 1),))
        return SceneCaption(sentence_of(told), told)
    if kind in ("objects", "relation"):
        told = _part(graph, rng.permutation(len(graph)).tolist())
        told = SceneGraph(told.objects) if rng.random() < BARE_SHARE else told
        return SceneCaption(list_of([name_of(told, place) for place in range(len(told))]), told)
    if kind == "sentence":
        return SceneCaption(
            sentence_of(graph), SceneGraph(graph.objects, graph.relationships, graph.attributes)
        )
    return SceneCaption(ANY_SCENE if kind == "image" else "", SceneGraph(()))


def draw_caption(
    graph: SceneGraph, rng: np.random.Generator, shares: tuple[float, ...] = SHARES
) -> SceneCaption:
    """One caption of a kind drawn by ``shares``, a probability for each of `KINDS`."""
    return caption_of(graph, KINDS[rng.choice(len(KINDS), p=shares)], rng)


def _part(graph: SceneGraph, places: list[int], relationships: tuple[Relationship, ...] = ()) -> SceneGraph:
    return SceneGraph(
        tuple(graph.objects[place] for place in places),
        relationships,
        tuple(graph.attributes_of(place) for place in places),
    )


def _looks(graph: SceneGraph) -> list[tuple[str, tuple[str, ...]]]:
    return [(label, graph.attributes_of(place)) for place, label in enumerate(graph.objects)]
