"""Scene graphs as encoders read them, their words embedded by a seeded table instead of a text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from graphcond.context import SampledScene, SceneContext, SceneFeatures
from graphcond.data.scene_features import spoken_scene
from graphcond.scene_graph import Box, Relationship, SceneGraph, predicate, sentence_of

WORD_WIDTH = 24

PARK = SceneGraph(
    ("circle", "square", "star", "circle"),
    ((0, "left of", 1), (2, "above", 1), (3, "inside", 1)),
    (("red",), ("blue",), (), ("green", "small")),
)
PAIR = SceneGraph(("circle", "square"), ((0, "left of", 1),), (("red",), ("blue",)))
LOOSE = SceneGraph(("tree", "house"))
EMPTY = SceneGraph(())


def sampled(graph: SceneGraph) -> SampledScene:
    """Everything that a graph says."""
    words, triples = list(graph.objects), list(graph.relationships)
    for place in range(len(graph)):
        for word in graph.attributes_of(place):
            triples.append(Relationship(place, "is", len(words)))
            words.append(word)
    boxes = tuple(graph.box_of(place) for place in range(len(graph)))
    return SampledScene(tuple(words), len(graph), tuple(triples), boxes, graph.masks)


def context_of(graphs: Sequence[SceneGraph]) -> SceneContext:
    """Everything that graphs say."""
    return SceneContext(tuple(sampled(graph) for graph in graphs))


def embedding(word: str, width: int = WORD_WIDTH) -> torch.Tensor:
    """A word's embedding, the same in every process."""
    return torch.randn(width, generator=torch.Generator().manual_seed(crc32(word.encode())))


def features_of(graphs: Sequence[SceneGraph], *, nodes: int = 0, triples: int = 0) -> SceneFeatures:
    """Graphs as a padded batch, with this many further empty places for nodes and triples."""
    scenes = context_of(graphs).scenes
    n = max(len(scene.words) for scene in scenes) + nodes
    t = max(len(scene.triples) for scene in scenes) + triples

    def padded(rows: list[torch.Tensor], length: int) -> torch.Tensor:
        extra = rows[0].new_zeros(length, *rows[0].shape[1:])
        return pad_sequence([*rows, extra], batch_first=True)[:-1]

    def flags(counts: list[int], length: int) -> torch.Tensor:
        return torch.arange(length)[None] < torch.tensor(counts)[:, None]

    def embedded(words: Sequence[str]) -> torch.Tensor:
        return torch.stack([embedding(w) for w in words]) if words else torch.zeros(0, WORD_WIDTH)

    boxes = [torch.tensor([box or (0.0,) * 4 for box in s.boxes]).reshape(-1, 4) for s in scenes]
    boxed = [torch.tensor([box is not None for box in s.boxes], dtype=torch.bool) for s in scenes]
    masks = [torch.zeros(s.objects, 16, 16) if s.masks is None else torch.tensor(s.masks) for s in scenes]
    ends = [torch.tensor([(r.subject, r.object) for r in s.triples]).reshape(-1, 2).long() for s in scenes]
    return SceneFeatures(
        nodes=padded([embedded(s.words) for s in scenes], n),
        present=flags([len(s.words) for s in scenes], n),
        is_object=flags([s.objects for s in scenes], n),
        triples=padded(ends, t),
        predicates=padded([embedded([r.predicate for r in s.triples]) for s in scenes], t),
        related=flags([len(s.triples) for s in scenes], t),
        boxes=padded(boxes, n),
        boxed=padded(boxed, n),
        sentences=tuple(sentence_of(graph) for graph in graphs),
        mentions=tuple(spoken_scene(scene)[1] for scene in scenes),
        masks=padded([m.float() for m in masks], n) if any(s.masks is not None for s in scenes) else None,
    )


def reordered(graph: SceneGraph, order: Sequence[int]) -> SceneGraph:
    """The same graph with object ``order[i]`` in place i, and its relations read backwards."""
    place = {old: new for new, old in enumerate(order)}
    return SceneGraph(
        tuple(graph.objects[n] for n in order),
        tuple((place[r.subject], r.predicate, place[r.object]) for r in reversed(graph.relationships)),
        tuple(graph.attributes_of(n) for n in order),
        tuple(graph.box_of(n) for n in order),
    )


def random_graph(rng: np.random.Generator, count: int) -> SceneGraph:
    """Coloured shapes in random boxes, each related to the one before it."""
    low, size = rng.uniform(0, 0.6, (count, 2)), rng.uniform(0.2, 0.4, (count, 2))
    boxes = [Box(*map(float, (*a, *(a + b)))) for a, b in zip(low, size, strict=True)]
    relations = [(n - 1, predicate(boxes[n - 1], boxes[n]), n) for n in range(1, count)]
    words = ("circle", "square", "star", "tree", "house")
    colors = ("red", "green", "blue", "yellow")
    return SceneGraph(
        tuple(str(word) for word in rng.choice(words, count)),
        tuple(relations),
        tuple((str(color),) for color in rng.choice(colors, count)),
        tuple(boxes),
        rng.random((count, 16, 16)) < 0.5,
    )
