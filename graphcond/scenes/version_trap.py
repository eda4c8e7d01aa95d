"""Whether Visual Genome's files are of the version that published scene graph models were trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from graphcond.scene_graph import SceneGraph

OBJECT_CLASSES, PREDICATE_CLASSES = 178, 45
"""Classes of sg2im's vocabulary without its two dummies: those of version 1.4."""

OFTEN = {"objects": 2_000, "predicates": 500}
"""How often a class must occur in sg2im's training split."""

TRAINING_SHARE = 0.8
"""Share of all pictures in that split."""

WHOLE = 50_000
"""Fewer scenes than this are a part of the data, of which nothing can be told."""

TOLERANCE = 1.2
"""By how much counts may exceed sg2im's: the split and its filters are not redone here."""


def version_note(graphs: Iterable[SceneGraph], *, whole: int = WHOLE) -> list[str]:
    """A warning if far more classes are frequent than in version 1.4; none otherwise.

    Another version gives 260 objects and 66 predicates where 1.4 gives 179 and 46, dummies included, and
    whoever compares with published figures compares different data.
    """
    objects: Counter[str] = Counter()
    predicates: Counter[str] = Counter()
    scenes = 0
    for graph in graphs:
        scenes += 1
        objects.update(graph.objects)
        predicates.update(relation.predicate for relation in graph.relationships)
    if scenes < whole:
        return []
    found = (_frequent(objects, OFTEN["objects"]), _frequent(predicates, OFTEN["predicates"]))
    if found[0] <= TOLERANCE * OBJECT_CLASSES and found[1] <= TOLERANCE * PREDICATE_CLASSES:
        return []
    return [
        f"{found[0]} object and {found[1]} predicate classes are frequent, but about {OBJECT_CLASSES} and "
        f"{PREDICATE_CLASSES} are in version 1.4 with its alias files: this looks like another version of "
        "Visual Genome, and figures will not compare with published ones"
    ]


def _frequent(counts: Counter[str], least: int) -> int:
    return sum(1 for count in counts.values() if count >= least / TRAINING_SHARE)
