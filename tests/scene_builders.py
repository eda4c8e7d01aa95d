"""Scene graphs and their features, for tests of several rooms."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from graphcond.context import SceneFeatures
from graphcond.data.scene_contexts import SceneReader
from graphcond.samplers import SceneTriplesSampler
from graphcond.scene_graph import SceneGraph
from tests.builders import FEATURE_WIDTH

SHEEP = SceneGraph(
    ["sky", "grass", "sheep"],
    [[0, "above", 1], [2, "standing on", 1]],
    attributes={2: ["white"], 0: ["blue", "clear"]},
    boxes=[None, [0, 0.5, 1, 1], [0.25, 0.375, 0.5, 0.75]],
)
EMPTY = SceneGraph(())
ONE = SceneGraph(["dog"])
UNRELATED = SceneGraph(["dog", "cat", "dog"])
LOOPED = SceneGraph(
    ["man", "mirror", "hat"], [[0, "sees", 0], [0, "near", 1], [0, "in front of", 1], [1, "near", 0]]
)
CROWD = SceneGraph(
    [f"thing {number}" for number in range(30)], [[n, "next to", (n * 7 + 1) % 30] for n in range(25)]
)
ODD = [SHEEP, EMPTY, ONE, UNRELATED, LOOPED, CROWD]
"""Scenes that a network must bear: with attributes, empty, alone, apart, looped with several edges, large."""


class HashedWords:
    """A network that gives every word a vector of its own."""

    identity = "hashed"
    width = FEATURE_WIDTH

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.extend(texts)
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") for text in texts]
        rows = [np.random.default_rng(seed).normal(size=self.width) for seed in seeds]
        return np.array(rows, np.float32).reshape(-1, self.width)


def read_scenes(*graphs: SceneGraph, **choices: Any) -> SceneFeatures:
    """Scenes as encoders read them, with words from `HashedWords`."""
    return SceneReader(SceneTriplesSampler(**choices), HashedWords()).read(graphs)


@st.composite
def scene_graphs(draw: st.DrawFn, most: int = 7) -> SceneGraph:
    """Any small scene: loops, several edges, isolated objects and twins included."""
    labels = draw(st.lists(st.sampled_from(["cat", "dog", "tree"]), max_size=most))
    ends = st.integers(0, max(len(labels) - 1, 0))
    triple = st.tuples(ends, st.sampled_from(["on", "near", "left of"]), ends)
    relations = draw(st.lists(triple, max_size=10 if labels else 0))
    attributes = [draw(st.lists(st.sampled_from(["red", "big"]), max_size=2)) for _ in labels]
    boxes = [draw(st.sampled_from([None, (0.1, 0.2, 0.5, 0.9)])) for _ in labels]
    return SceneGraph(labels, relations, attributes, boxes)


def reordered(graph: SceneGraph, order: Sequence[int]) -> SceneGraph:
    """The same scene with its objects listed in another order."""
    place = {old: new for new, old in enumerate(order)}
    return SceneGraph(
        [graph.objects[old] for old in order],
        [(place[a], predicate, place[b]) for a, predicate, b in graph.relationships],
        [graph.attributes_of(old) for old in order],
        [graph.box_of(old) for old in order],
    )
