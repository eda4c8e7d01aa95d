"""Hard negatives: scenes that say something else in the same words (Structure-CLIP, arXiv 2305.06152)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np

from graphcond.scene_graph import Relationship, SceneGraph, sentence_of

SwapKind: TypeAlias = Literal["relation", "attributes"]
"""Subject and object of a relation change places, or two objects exchange their attributes."""


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.split(","))


BESIDE = _phrases("""
    across from, adjacent to, alongside, attached to, away from, beside, close to, connected to, each other,
    equal to, far from, in contact with, in line with, joined to, level with, near, near to, nearby, next to,
    on the side of, one another, opposite, opposite of, opposite to, parallel to, shaking hands with,
    side by side, similar to, together with, touching
""")
"""Ends of predicates that hold both ways, whatever stands before them: "grazing close to"."""

MUTUAL = _phrases("""
    among, and, as big as, as large as, as tall as, by, different from, facing each other, holding hands with,
    hugging, intersecting, kissing, meeting, meets, overlapping, overlaps, speaking to, talking to, touches,
    with
""")
"""Predicates that hold both ways alone or behind `LEADING` words: "walking with", but not "filled with"."""

INVERSES = tuple(
    (_phrases(forward), _phrases(backward))
    for forward, backward in (
        line.split(" | ")
        for line in """
left of, left side of, left hand side of, left from | right of, right side of, right hand side of, right from
above, over, on, on top of, atop, upon, higher than | below, under, beneath, underneath, lower than
in front of, ahead of, before | behind, in back of, at the back of, after
inside, in, inside of, within, surrounded by, enclosed by, contained in | surrounding, surrounds, enclosing, \
encloses, containing, contains, around
bigger than, larger than, greater than | smaller than
taller than, longer than | shorter than
older than | younger than
has, have, having | of, part of, belonging to, belongs to
wearing, wears | worn by
holding, holds | held by
carrying, carries | carried by
riding, rides | ridden by
eating, eats | eaten by
pulling, pulls | pulled by
pushing, pushes | pushed by
following, follows | followed by
covering, covers | covered by, covered with, covered in
""".strip().splitlines()
    )
)
"""Predicates that state the same relation, and those that state it from the other end."""

LEADING = _phrases("""
    is, are, was, were, be, been, being, am, s, can, seen, that, which, who, to, on, at, the, right, directly,
    just, immediately, closely, very, so, quite, also, both, far, slightly, partially, parked, seated,
    located, placed, positioned, situated, sits, sit, sat, stands, stand, stood, lies, lie, laying, laid,
    hangs, hung, walks, walk, runs, run, mounted, resting, rests, visible
""")
"""Words before the one that says the relation; so are all that end in -ing ("standing", "sitting")."""

MOST_PAIRS = 1_000
"""Most pairs of objects that are tried for a swap of attributes; a large scene has more."""

Look: TypeAlias = tuple[str, frozenset[str]]
Fact: TypeAlias = tuple[Look, str, Look] | Look


class Meaning(NamedTuple):
    """The relation that a predicate states, and from which end.

    ``direction`` is 1 from the subject to the object, -1 from the object to the subject ("right of" is "left
    of" backwards), and 0 if the relation holds both ways.
    """

    relation: str
    direction: int


@dataclass(frozen=True)
class HardNegative:
    """A scene with one swap, and its kind; objects keep their positions, boxes and masks."""

    scene: SceneGraph
    kind: SwapKind

    @property
    def sentence(self) -> str:
        """The scene written out."""
        return sentence_of(self.scene)


@lru_cache(maxsize=4096)
def meaning_of(predicate: str) -> Meaning:
    """The meaning of a predicate, judged by its words alone.

    The relation is in the last words, if those before them are `LEADING`. So "is standing to the left of"
    means "left of", and "filled with" does not mean "with". Of a relation that is not listed, the words from
    the first that is not `LEADING` count, else from the last in -ing: "is looking at" means "looking at".
    """
    words = re.findall(r"\w+", predicate.lower().replace("_", " "))
    if "same" in words:
        return Meaning(" ".join(words), 0)
    for start in range(len(words)):
        end = " ".join(words[start:])
        if end in BESIDE:
            return Meaning(end, 0)
        if all(map(_leads, words[:start])):
            if end in MUTUAL:
                return Meaning(end, 0)
            for forward, backward in INVERSES:
                if end in forward or end in backward:
                    return Meaning(forward[0], 1 if end in forward else -1)
    said = [start for start, word in enumerate(words) if not _leads(word)][:1]
    said = said or [start for start, word in enumerate(words) if word.endswith("ing")][-1:] or [0]
    return Meaning(" ".join(words[said[0] :]) or predicate, 1)


def _leads(word: str) -> bool:
    """True for a word that may stand before the one that says the relation."""
    return word in LEADING or word.endswith("ing")


def is_symmetric(predicate: str) -> bool:
    """True if "A predicate B" says the same as "B predicate A", judged by the words alone."""
    return meaning_of(predicate).direction == 0


def swapped(scene: SceneGraph, generator: np.random.Generator) -> HardNegative | None:
    """``scene`` with one swap after which it states something new.

    A swap counts only if the scene then states a fact (an object with its attributes, or a relation between
    two such objects) that it did not state before, in these words or in others of the same meaning
    (`meaning_of`). So nothing is swapped along a symmetric predicate, between two objects that look alike, or
    where the other direction is stated as well: such a negative would be as true as the scene, and teach that
    two equal sentences differ. Where a relation is stated from both ends ("A left of B", "B right of A"),
    both are turned.

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
    """The scene with one relation reversed, wherever and however it is stated, and the objects concerned."""
    distinct = list(dict.fromkeys(scene.relationships))
    for number in generator.permutation(len(distinct)):
        chosen = distinct[number]
        stated = _stated(chosen.subject, chosen.predicate, chosen.object)
        relations = tuple(
            Relationship(r.object, r.predicate, r.subject)
            if _stated(r.subject, r.predicate, r.object) == stated
            else r
            for r in scene.relationships
        )
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
        yield _stated(ends[0], predicate, ends[1])
        if is_symmetric(predicate):
            yield _stated(ends[1], predicate, ends[0])


End = TypeVar("End")


def _stated(subject: End, predicate: str, target: End) -> tuple[End, str, End]:
    """A statement in the words of its relation's own direction."""
    relation, direction = meaning_of(predicate)
    return (target, relation, subject) if direction < 0 else (subject, relation, target)


def _look(scene: SceneGraph, place: int) -> Look:
    return scene.objects[place].lower(), frozenset(word.lower() for word in scene.attributes_of(place))
