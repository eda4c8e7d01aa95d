"""Hard negatives: scenes that say something else in the same words (Structure-CLIP, arXiv 2305.06152)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np

from graphcond.scene_graph import Relationship, SceneGraph, sentence_of

SwapKind: TypeAlias = Literal["relation", "attributes"]
"""Subject and object of a relation change places, or two objects exchange their attributes."""

SYMMETRIC = frozenset(
    {
        "across from",
        "adjacent to",
        "alongside",
        "among",
        "and",
        "as big as",
        "as large as",
        "as tall as",
        "beside",
        "by",
        "close to",
        "different from",
        "equal to",
        "hugging",
        "in contact with",
        "intersecting",
        "kissing",
        "level with",
        "meets",
        "near",
        "near to",
        "nearby",
        "next to",
        "on the side of",
        "opposite",
        "opposite to",
        "overlapping",
        "parallel to",
        "shaking hands with",
        "side by side with",
        "similar to",
        "together with",
        "touches",
        "touching",
        "with",
    }
)
"""Predicates that hold both ways; so do all that begin with "same", "the same" or "has the same"."""

MOST_PAIRS = 1_000
"""Most pairs of objects that are tried for a swap of attributes; a large scene has more."""

Look: TypeAlias = tuple[str, frozenset[str]]
Fact: TypeAlias = tuple[Look, str, Look] | Look


@dataclass(frozen=True)
class HardNegative:
    """A scene with one swap, and its kind; objects keep their positions, boxes and masks."""

    scene: SceneGraph
    kind: SwapKind

    @property
    def sentence(self) -> str:
        """The scene written out."""
        return sentence_of(self.scene)


def is_symmetric(predicate: str) -> bool:
    """True if "A predicate B" says the same as "B predicate A", judged by the words alone."""
    words = predicate.lower()
    return words in SYMMETRIC or words.startswith(("same ", "the same ", "has the same ", "have the same "))


def swapped(scene: SceneGraph, generator: np.random.Generator) -> HardNegative | None:
    """``scene`` with one swap after which it states something new.

    A swap counts only if the scene then states a fact (an object with its attributes, or a relation between
    two such objects) that it did not state before. So nothing is swapped along a symmetric predicate,
    between two objects that look alike, or where the other direction is stated as well: such a negative
    would be as true as the scene, and teach that two equal sentences differ.

    Args:
        scene: the true scene.
        generator: chooses the kind of swap, where both are possible, and what is swapped.

    Returns:
        The swapped scene, or None if no swap changes the meaning.
    """
    kinds: list[SwapKind] = ["relation", "attributes"]
    facts = frozenset(_facts(scene, range(len(scene)), scene.relationships))
    for place in generator.permutation(len(kinds)):
        kind = kinds[place]
        candidates = _relation_swaps if kind == "relation" else _attribute_swaps
        for negative, changed in candidates(scene, generator):
            # Only facts about changed objects can be new.
            relations = [r for r in negative.relationships if r.subject in changed or r.object in changed]
            if not facts.issuperset(_facts(negative, changed, relations)):
                return HardNegative(negative, kind)
    return None


def _relation_swaps(
    scene: SceneGraph, generator: np.random.Generator
) -> Iterator[tuple[SceneGraph, set[int]]]:
    """The scene with one relation reversed, in all places where it is stated, and the objects concerned."""
    distinct = list(dict.fromkeys(scene.relationships))
    for number in generator.permutation(len(distinct)):
        chosen = distinct[number]
        turned = Relationship(chosen.object, chosen.predicate, chosen.subject)
        relations = tuple(turned if relation == chosen else relation for relation in scene.relationships)
        yield replace(scene, relationships=relations), {chosen.subject, chosen.object}


def _attribute_swaps(
    scene: SceneGraph, generator: np.random.Generator
) -> Iterator[tuple[SceneGraph, set[int]]]:
    """The scene with the attributes of two described objects exchanged, and the two objects."""
    described = [place for place in range(len(scene)) if scene.attributes_of(place)]
    order = generator.permutation(described).tolist()
    for count, (first, second) in enumerate(combinations(order, 2)):
        if count >= MOST_PAIRS:
            return
        attributes = list(scene.attributes)
        attributes[first], attributes[second] = attributes[second], attributes[first]
        if set(attributes[first]) != set(attributes[second]):
            yield replace(scene, attributes=tuple(attributes)), {first, second}


def _facts(scene: SceneGraph, objects: Iterable[int], relations: Iterable[Relationship]) -> Iterator[Fact]:
    yield from (_look(scene, place) for place in objects)
    for subject, predicate, target in relations:
        ends = (_look(scene, subject), _look(scene, target))
        if is_symmetric(predicate):
            yield from ((ends[0], predicate, ends[1]), (ends[1], predicate, ends[0]))
        else:
            yield (ends[0], predicate, ends[1])


def _look(scene: SceneGraph, place: int) -> Look:
    return scene.objects[place].lower(), frozenset(word.lower() for word in scene.attributes_of(place))
