"""A scene graph written out in words, as the prompt of a base that reads only text."""

from __future__ import annotations

from graphcond.scene_graph import SceneGraph


def sentence_of(graph: SceneGraph) -> str:
    """``graph`` as one sentence: "a red circle left of a blue square , a green star".

    Every relation is a clause; objects in no relation follow, each named alone. Attributes stand before
    their label. A scene without objects is the empty string.
    """
    names = [name_of(graph, position) for position in range(len(graph))]
    clauses = [f"{names[r.subject]} {r.predicate} {names[r.object]}" for r in graph.relationships]
    related = {end for r in graph.relationships for end in (r.subject, r.object)}
    return " , ".join([*clauses, *(name for place, name in enumerate(names) if place not in related)])


def list_of(names: list[str]) -> str:
    """Names as a list in words: "a star", "a star and a ring", "a star , a ring and a heart"."""
    return " and ".join(part for part in (" , ".join(names[:-1]), *names[-1:]) if part)


def name_of(graph: SceneGraph, position: int) -> str:
    """One object with its attributes and its article: "a red circle", "an orange star"."""
    words = " ".join([*graph.attributes_of(position), graph.objects[position]])
    return f"{'an' if words[0].lower() in 'aeiou' else 'a'} {words}"
