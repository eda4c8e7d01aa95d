from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from graphcond.attributed_graph import ABSENT, AttributedGraph, NodeEmbeddings
from graphcond.context import NeighborContext
from graphcond.data.contexts import GraphContexts
from graphcond.errors import InputError
from graphcond.samplers import HopMeanSampler, HopMeanSamplerConfig
from graphcond.samplers.hop_mean import hop_means
from tests.samplers.toy_graphs import toy_embeddings, toy_graph, toy_graphs

# 0 - {1, 2} - 3 - 4: two steps to 3, three to 4.
GRAPH = toy_graph(6, [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)])
TARGET = np.array([0])


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def chosen(graph: AttributedGraph = GRAPH, seed: int = 0, **choices: Any) -> dict[int, float]:
    context = HopMeanSampler(graph, **choices).sample(TARGET, draws(seed))
    present = context.present[0]
    return dict(zip(context.neighbors[0][present].tolist(), context.scores[0][present].tolist(), strict=True))


def test_a_node_counts_once_at_its_fewest_steps() -> None:
    triangle = toy_graph(4, [(0, 1), (0, 2), (1, 2), (2, 3)])
    assert chosen(triangle) == {1: 1, 2: 1, 3: 0.5}
    assert chosen(hops=3) == pytest.approx({1: 1, 2: 1, 3: 1 / 2, 4: 1 / 3})


def test_passes_through_nodes_that_cannot_be_chosen() -> None:
    assert chosen(forbidden=np.array([1, 2])) == {3: 0.5}


def test_follows_the_direction_of_edges() -> None:
    assert chosen(toy_graph(3, [(0, 1), (2, 0)], directed=True)) == {1: 1}


def test_edges_that_lead_nowhere() -> None:
    with pytest.raises(InputError, match="an edge leads to a node that does not exist"):
        HopMeanSampler(replace(GRAPH, indices=np.full_like(GRAPH.indices, 99)))


def test_each_step_has_its_share() -> None:
    tree = [(0, node) for node in range(1, 9)] + [(1, node) for node in range(9, 20)]
    tree += [(node, 1) for node in range(2, 9)]  # so that 1 is met on every way
    for neighbors, near, far in ((8, 4, 4), (5, 3, 2), (30, 8, 11), (1, 1, 0)):
        scores = Counter(chosen(toy_graph(20, tree), neighbors=neighbors).values())
        assert (scores[1.0], scores[0.5]) == (near, far)


def test_draws_evenly_where_there_are_too_many() -> None:
    star = toy_graph(9, [(0, leaf) for leaf in range(1, 9)])
    counts = Counter(node for seed in range(400) for node in chosen(star, seed, neighbors=4))
    assert set(counts) == set(range(1, 9))
    assert min(counts.values()) > 60  # 100 expected


def pictures_of(graph: AttributedGraph) -> np.ndarray:
    pictures = toy_embeddings(graph).pictures
    assert pictures is not None
    return pictures


def features(graph: AttributedGraph, pictures: np.ndarray, **choices: Any) -> tuple[Any, Any]:
    contexts = GraphContexts(graph, HopMeanSampler(graph, **choices), NodeEmbeddings(pictures))
    read = contexts.features(contexts.sample(np.arange(len(graph))))
    return read.embeddings.numpy(), read.present.numpy()


def test_encoders_read_one_mean_for_each_step() -> None:
    pictures = np.arange(18, dtype=np.float16).reshape(6, 3)
    means, present = features(GRAPH, pictures, hops=3)
    assert means.dtype == np.float32
    np.testing.assert_allclose(means[0], [pictures[1:3].mean(0), pictures[3], pictures[4]])
    assert present.tolist()[0] == [True, True, True]
    assert present[5].tolist() == [False, False, False]
    assert not means[5].any()


def test_means_have_no_relations() -> None:
    typed = replace(GRAPH, edge_types=np.zeros(len(GRAPH.indices), np.uint8), edge_type_names=("by",))
    contexts = GraphContexts(typed, HopMeanSampler(typed, neighbors=2), toy_embeddings(typed))
    context = contexts.sample(TARGET)
    assert context.relations is not None
    assert contexts.features(context).relations is None


@settings(max_examples=60, deadline=None)
@given(graph=toy_graphs(), hops=st.integers(1, 3), left_out=st.sets(st.integers(0, 11)))
def test_means_are_those_of_a_plain_search(graph: AttributedGraph, hops: int, left_out: set[int]) -> None:
    forbidden = sorted(node for node in left_out if node < len(graph))
    pictures = pictures_of(graph)
    means, present = features(graph, pictures, hops=hops, neighbors=100, forbidden=np.array(forbidden, int))
    for target in range(len(graph)):
        ring, seen = {target}, {target}
        for hop in range(hops):
            ring = {int(node) for near in ring for node in graph.neighbors(near)} - seen
            seen |= ring
            there = [n for n in sorted(ring) if n not in forbidden and graph.nodes.pictures[n] is not None]
            assert present[target, hop] == bool(there)
            wanted = pictures[there].astype(np.float64).mean(0) if there else 0
            np.testing.assert_allclose(means[target, hop], wanted, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(graph=toy_graphs(), hops=st.integers(1, 3))
def test_the_target_s_picture_is_never_in_its_means(graph: AttributedGraph, hops: int) -> None:
    pictures = pictures_of(graph)
    before, _ = features(graph, pictures, hops=hops)
    for target in range(len(graph)):
        other = pictures.copy()
        other[target] = 1e3
        after, _ = features(graph, other, hops=hops)
        np.testing.assert_array_equal(after[target], before[target])


def test_a_shuffled_context_is_read_like_any_other() -> None:
    contexts = GraphContexts(GRAPH, HopMeanSampler(GRAPH, neighbors=4), NodeEmbeddings(pictures_of(GRAPH)))
    own = contexts.sample(np.array([0, 3]))
    swapped = contexts.features(contexts.shuffled(own, 0))
    assert swapped.embeddings.shape == (2, 2, 6)
    assert not np.allclose(swapped.embeddings, contexts.features(own).embeddings)


def test_nobody_to_average() -> None:
    context = NeighborContext(TARGET, np.array([[ABSENT]]), np.zeros((1, 1), np.float32))
    means, present = hop_means(context, np.ones((6, 2), np.float16), 2)
    assert means.shape == (1, 2, 2)
    assert not means.any()
    assert not present.any()


@pytest.mark.parametrize("wrong", [{"hops": 0}, {"hops": 65}, {"neighbors": 0}])
def test_settings_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        HopMeanSamplerConfig.model_validate(wrong)
