"""Objects and triples of a scene graph, as many as fit.

Encoders read a limited number of objects and triples, and some scenes have more. Objects are not listed in
the order of their relations, so the first objects of a large scene may have no relation among them. Such a
scene is therefore reduced along its relations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from graphcond.config import checked
from graphcond.context import SampledScene, SceneContext
from graphcond.samplers.base import SceneSampler
from graphcond.samplers.config import SceneTriplesConfig
from graphcond.scene_graph import Relationship, SceneGraph

DEFAULT = SceneTriplesConfig.model_construct()

ATTRIBUTE_PREDICATE = "is"
"""The predicate between an object and its attribute."""


@checked(SceneTriplesConfig)
class SceneTriplesSampler(SceneSampler):
    """Keeps objects, relations and attributes; if there are more than fit, a part that is connected.

    Objects are taken relation by relation, both ends at once, then those without a relation; relations whose
    ends are not both kept are left out. With a generator the order is random, seeded by the generator and by
    the content of the scene; without one it is the order of the graph, relations before attributes. The
    objects and triples that are kept stay in the graph's order.

    Args:
        objects: how many objects are kept at most.
        triples: how many relations and attributes are kept at most, together.
        attributes: False leaves attributes out.
    """

    def __init__(
        self,
        *,
        objects: int = DEFAULT.objects,
        triples: int = DEFAULT.triples,
        attributes: bool = DEFAULT.attributes,
    ) -> None:
        self._objects, self._triples, self._attributes = objects, triples, attributes

    def sample(self, scenes: Sequence[SceneGraph], generator: np.random.Generator | None) -> SceneContext:
        """Choose what to keep of each scene; one seed is drawn from ``generator``."""
        seed = None if generator is None else int(generator.integers(2**63))
        return SceneContext(tuple(self._keep(scene, seed) for scene in scenes))

    def _keep(self, scene: SceneGraph, seed: int | None) -> SampledScene:
        draws = None
        if seed is not None:
            # Seeded by content and not by position: a scene is reduced alike in whatever batch it comes.
            content = repr((scene.objects, scene.relationships, scene.attributes)).encode()
            digest = int.from_bytes(hashlib.sha256(content).digest()[:8], "little")
            draws = np.random.default_rng((seed, digest))
        objects = self._choose_objects(scene, draws)
        place = {old: new for new, old in enumerate(objects)}
        relations = [
            Relationship(place[subject], predicate, place[target])
            for subject, predicate, target in scene.relationships
            if subject in place and target in place
        ]
        words = [(place[old], word) for old in objects for word in scene.attributes_of(old)]
        words = words if self._attributes else []
        # Relations and attributes share one budget, so they are numbered through and drawn together.
        kept = np.sort(_order(len(relations) + len(words), draws)[: self._triples]).tolist()
        described = [words[number - len(relations)] for number in kept if number >= len(relations)]
        # An attribute becomes a word of its own, behind the objects, and a triple (object, "is", word).
        attributes = [
            Relationship(owner, ATTRIBUTE_PREDICATE, len(objects) + number)
            for number, (owner, _) in enumerate(described)
        ]
        return SampledScene(
            words=(*(scene.objects[old] for old in objects), *(word for _, word in described)),
            objects=len(objects),
            triples=(*(relations[number] for number in kept if number < len(relations)), *attributes),
            boxes=tuple(scene.box_of(old) for old in objects),
            masks=None if scene.masks is None else scene.masks[objects],
        )

    def _choose_objects(self, scene: SceneGraph, draws: np.random.Generator | None) -> list[int]:
        """The objects to keep, ascending."""
        if len(scene) <= self._objects:
            return list(range(len(scene)))
        groups = []
        for number in _order(len(scene.relationships), draws):
            subject, _, target = scene.relationships[number]
            groups.append({subject, target})
        groups += [{old} for old in _order(len(scene), draws).tolist()]
        # A pair that no longer fits is skipped, not the end: later pairs may need only one more place.
        chosen: set[int] = set()
        for group in groups:
            if len(chosen | group) <= self._objects:
                chosen |= group
        return sorted(chosen)


def _order(count: int, draws: np.random.Generator | None) -> Int64[np.ndarray, " count"]:
    """0 to ``count`` - 1, shuffled if ``draws`` is given."""
    return np.arange(count) if draws is None else draws.permutation(count)
