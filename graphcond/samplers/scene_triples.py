"""Objects and triples of a scene graph, all that fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int64

from graphcond.context import SampledScene, SceneContext
from graphcond.samplers.base import SceneSampler
from graphcond.scene_graph import Relationship, SceneGraph

ATTRIBUTE_PREDICATE = "is"
"""What relates an object to its attribute."""


class SceneTriplesSampler(SceneSampler):
    """Keeps objects, relations and attributes; where there are more than fit, a part that belongs together.

    Objects are taken relation by relation, both ends at once, then those in no relation; relations whose
    ends are not both kept are left out. With a generator the order is drawn anew for each scene, from the
    generator and what the scene says; without one it is the order in which the graph is written, relations
    before attributes. What is kept stays in the graph's order.

    Args:
        objects: how many objects are kept at most.
        triples: how many relations and attributes are kept at most, together.
        attributes: whether attributes are kept at all.
    """

    def __init__(self, *, objects: int = 30, triples: int = 60, attributes: bool = True) -> None:
        self._objects, self._triples, self._attributes = objects, triples, attributes

    def sample(self, scenes: Sequence[SceneGraph], generator: np.random.Generator | None) -> SceneContext:
        """Choose what to keep of each scene; one seed is drawn from ``generator``."""
        seed = None if generator is None else int(generator.integers(2**63))
        return SceneContext(tuple(self._keep(scene, seed) for scene in scenes))

    def _keep(self, scene: SceneGraph, seed: int | None) -> SampledScene:
        draws = None if seed is None else np.random.default_rng((seed, _content(scene)))
        objects = self._choose_objects(scene, draws)
        place = {old: new for new, old in enumerate(objects)}
        relations = [
            Relationship(place[subject], predicate, place[target])
            for subject, predicate, target in scene.relationships
            if subject in place and target in place
        ]
        words = [(place[old], word) for old in objects for word in scene.attributes_of(old)]
        words = words if self._attributes else []
        kept = np.sort(_order(len(relations) + len(words), draws)[: self._triples]).tolist()
        described = [words[number - len(relations)] for number in kept if number >= len(relations)]
        return SampledScene(
            words=(*(scene.objects[old] for old in objects), *(word for _, word in described)),
            objects=len(objects),
            triples=(
                *(relations[number] for number in kept if number < len(relations)),
                *(
                    Relationship(owner, ATTRIBUTE_PREDICATE, len(objects) + number)
                    for number, (owner, _) in enumerate(described)
                ),
            ),
            boxes=tuple(scene.box_of(old) for old in objects),
            masks=None if scene.masks is None else scene.masks[objects],
        )

    def _choose_objects(self, scene: SceneGraph, draws: np.random.Generator | None) -> list[int]:
        if len(scene) <= self._objects:
            return list(range(len(scene)))
        relations = [scene.relationships[number] for number in _order(len(scene.relationships), draws)]
        chosen: set[int] = set()
        groups: Iterable[set[int]] = ({subject, target} for subject, _, target in relations)
        for group in (*groups, *({old} for old in _order(len(scene), draws).tolist())):
            if len(chosen | group) <= self._objects:
                chosen |= group
        return sorted(chosen)


def _order(count: int, draws: np.random.Generator | None) -> Int64[np.ndarray, " count"]:
    return np.arange(count) if draws is None else draws.permutation(count)


def _content(scene: SceneGraph) -> int:
    """A number that two scenes share only if they say the same."""
    said = repr((scene.objects, scene.relationships, scene.attributes))
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:8], "little")
