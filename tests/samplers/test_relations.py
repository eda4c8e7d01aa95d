"""Relations are looked up in the graph, for whatever a sampler chose."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.attributed_graph import AttributedGraph
from graphcond.context import NeighborContext
from graphcond.samplers import KHopSampler, RandomSampler, RelatingSampler, with_relations
from tests.samplers.toy_graphs import toy_graph, toy_graphs


def type_of(graph: AttributedGraph, source: int, target: int) -> str | None:
    """The type of an edge, read from the row of its source."""
    assert graph.edge_types is not None
    for place in range(graph.indptr[source], graph.indptr[source + 1]):
        if graph.indices[place] == target:
            return graph.edge_type_names[graph.edge_types[place]]
    return None


@settings(max_examples=60, deadline=None)
@given(graph=toy_graphs(typed=True), seed=st.integers(0, 9))
def test_a_relation_is_the_type_of_the_edge(graph: AttributedGraph, seed: int) -> None:
    sampler = RandomSampler(graph, neighbors=20, require_picture=False)
    chosen = sampler.sample(np.arange(len(graph)), np.random.default_rng(seed))
    assert chosen.relations is None
    context = with_relations(graph, chosen)
    assert context.relations is not None
    assert context.relations.dtype == np.int16
    names = (None, *graph.relation_names)
    for target, row, relations in zip(context.targets, context.neighbors, context.relations, strict=True):
        for neighbor, relation in zip(row.tolist(), relations.tolist(), strict=True):
            there = None if neighbor < 0 else type_of(graph, target, neighbor)
            back = None if neighbor < 0 else type_of(graph, neighbor, target)
            assert names[relation] == (there or (back and f"rev_{back}"))


def test_an_edge_there_goes_before_an_edge_back() -> None:
    edges, types = [(0, 1), (1, 0), (2, 0)], ["cites", "praises", "cites"]
    graph = toy_graph(4, edges, types=types, directed=True)
    assert graph.relation_names == ("cites", "praises", "rev_cites", "rev_praises")
    context = NeighborContext(np.array([0]), np.array([[1, 2, 3]]), np.ones((1, 3), np.float32))
    related = with_relations(graph, context).relations
    assert related is not None
    assert related.tolist() == [[1, 3, 0]]


def test_without_edge_types_there_are_no_relations() -> None:
    graph = toy_graph(3, [(0, 1)])
    sampler = RelatingSampler(graph, KHopSampler(graph))
    assert graph.relation_names == ()
    assert sampler.sample(np.arange(3), np.random.default_rng(0)).relations is None


def test_relations_that_are_known_are_kept() -> None:
    graph = toy_graph(3, [(0, 1)], types=["a"])
    known = NeighborContext(
        np.array([0]), np.array([[1]]), np.ones((1, 1), np.float32), np.zeros((1, 1), np.int16)
    )
    assert with_relations(graph, known) is known
    empty = with_relations(graph, known.take(np.empty(0, np.int64)))
    assert empty.relations is not None
    assert empty.relations.shape == (0, 1)


def test_two_hundred_types_and_their_way_back_have_room() -> None:
    types = [f"t{number:03d}" for number in range(256)]
    graph = toy_graph(257, [(node, 256) for node in range(256)], types=types, directed=True)
    sampler = RelatingSampler(graph, RandomSampler(graph, neighbors=256))
    context = sampler.sample(np.array([256]), np.random.default_rng(0))
    assert context.relations is not None
    told = [graph.relation_names[relation - 1] for relation in context.relations[0].tolist()]
    assert told == [f"rev_t{neighbor:03d}" for neighbor in context.neighbors[0].tolist()]
