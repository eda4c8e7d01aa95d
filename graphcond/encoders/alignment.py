"""Which tokens of a scene's sentence speak of which node and of which triple."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from graphcond.context import SceneFeatures
from graphcond.errors import InputError
from graphcond.scene_graph import Mention

Spans = Int64[Tensor, "b l 2"]
"""The characters of each token of the sentences, as `graphcond.bases.Base.token_spans` gives them."""


def node_words(context: SceneFeatures, spans: Spans) -> Bool[Tensor, "b n l"]:
    """The tokens of each node's own words: an object's article and label, an attribute's word."""
    count = context.present.shape[1]
    return _words(context, spans, count, lambda one: one.object if one.attribute is None else one.attribute)


def name_words(context: SceneFeatures, spans: Spans) -> Bool[Tensor, "b n l"]:
    """The tokens of each object's names, with their articles and attributes; none for attributes."""
    return _words(context, spans, context.present.shape[1], lambda one: one.object)


def predicate_words(context: SceneFeatures, spans: Spans) -> Bool[Tensor, "b t l"]:
    """The tokens of the predicate of each triple; none for attributes, whose predicate is not said."""
    count = context.related.shape[1]
    return _words(context, spans, count, lambda one: one.relation if one.object is None else None)


def triple_words(context: SceneFeatures, spans: Spans) -> Bool[Tensor, "b t l"]:
    """The tokens that belong to each triple: a relation's clause, the names of an attribute's object."""
    clauses = _words(context, spans, context.related.shape[1], lambda one: one.relation)
    if not context.present.shape[1]:
        return clauses
    subject, target = context.triples.unbind(-1)
    described = context.related & ~context.is_object.gather(1, target)
    names = name_words(context, spans).take_along_dim(subject[..., None], dim=1)
    return torch.where(described[..., None], names, clauses)


def names_of(context: SceneFeatures) -> list[list[str]]:
    """The name of each object, with its article and attributes, in the scenes' order."""
    named = []
    for sentence, said in _said(context):
        uses: dict[int, list[Mention]] = {}
        for one in said:
            if one.object is not None:
                uses.setdefault(one.object, []).append(one)
        # An object that is named several times says article, attributes and label each time.
        last = {place: 1 + len({one.attribute for one in ones} - {None}) for place, ones in uses.items()}
        named.append(
            [sentence[uses[place][0].start : uses[place][last[place]].end] for place in sorted(uses)]
        )
    return named


def _words(
    context: SceneFeatures, spans: Spans, count: int, item: Callable[[Mention], int | None]
) -> Bool[Tensor, "b count l"]:
    """The tokens that share a character with a mention of each item; none where a sentence is cut before."""
    start, end = spans.cpu().unbind(-1)
    found = torch.zeros(len(start), count, start.shape[1], dtype=torch.bool)
    for row, (_, said) in enumerate(_said(context)):
        for one in said:
            place = item(one)
            if place is not None:
                found[row, place] |= (start[row] < one.end) & (end[row] > one.start) & (end[row] > start[row])
    return found.to(context.present.device)


def _said(context: SceneFeatures) -> Iterator[tuple[str, tuple[Mention, ...]]]:
    if len(context.mentions) != len(context.sentences):
        raise InputError(
            "the scenes do not say which of their words speaks of which object",
            place="SceneFeatures.mentions",
            remedy="read them from scene graphs, with scene_features",
        )
    return zip(context.sentences, context.mentions, strict=True)
