"""What samplers and encoders leave out of scene graphs, in words: nothing is cut without being said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphcond.bases.base import Base
from graphcond.bases.cut_prompts import note_on_cut
from graphcond.context import SampledScene
from graphcond.data.scene_features import graph_of
from graphcond.recipe import ConditionConfig
from graphcond.scene_graph import SceneGraph, sentence_of


def notes_on_limits(
    condition: ConditionConfig, graphs: Sequence[SceneGraph], sampled: Sequence[SampledScene], base: Base
) -> Iterator[str]:
    """A sentence for each limit of a condition that scene graphs exceed.

    Args:
        condition: of the recipe.
        graphs: the scene graphs.
        sampled: what the condition's sampler keeps of each.
        base: reads the sentences of encoders that write scenes out.
    """
    place, encoder = f"conditions.{condition.name}", condition.encoder
    reduced = sum(
        len(graph) > scene.objects
        or len(graph.relationships) > sum(triple.object < scene.objects for triple in scene.triples)
        for graph, scene in zip(graphs, sampled, strict=True)
    )
    if reduced:
        yield (
            f"{reduced} of {len(graphs)} scenes have more objects or relations than {place}.sampler keeps: "
            "raise its limits"
        )
    read, most = encoder.most_triples(), max(map(_items, sampled), default=0)
    if read is not None and most > read:
        cut = sum(_items(scene) > read for scene in sampled)
        yield (
            f"{cut} of {len(graphs)} scenes have more triples than the {read} that the encoder reads, up to "
            f"{most}: raise {place}.encoder.triples"
        )
    if encoder.token_count() == "prompt":
        sentences = {sentence_of(graph_of(scene)) for scene in sampled}
        note = note_on_cut(base.cut_prompts(sorted(sentences)), len(sentences), base.facts.token_count)
        if note is not None:
            yield f"the sentences of scenes ({place}): {note}"


def _items(scene: SampledScene) -> int:
    """Triples, attributes among them, and objects in no triple."""
    named = {end for triple in scene.triples for end in (triple.subject, triple.object)}
    return len(scene.triples) + len(set(range(scene.objects)) - named)
