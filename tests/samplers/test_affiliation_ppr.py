from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError
from graphcond.samplers import AffiliationPPRSamplerConfig
from tests.samplers.toy_graphs import toy_graph

ARTISTS = ["kira", "kira", "olo", "olo", "kira", "", "mem"]
YEARS = ["1", "2", "1", "2", "1", "", "1"]
BOTH = {"artist": 1.0, "year": 0.2}


def art(
    edges: list[tuple[int, int]] | None = None, *, without_picture: tuple[int, ...] = ()
) -> AttributedGraph:
    graph = toy_graph(7, edges or [], without_picture=without_picture)
    return replace(graph, nodes=replace(graph.nodes, attributes={"artist": ARTISTS, "year": YEARS}))


def neighbors(graph: AttributedGraph, target: int, **choices: object) -> list[int]:
    sampler = AffiliationPPRSamplerConfig.model_validate({"attributes": BOTH, **choices}).build(graph=graph)
    row = sampler.sample(np.array([target]), np.random.default_rng(0)).neighbors[0]
    return row[row >= 0].tolist()


def test_who_shares_more_comes_first() -> None:
    assert neighbors(art(), 0)[:2] == [4, 1]


def test_weights_decide_what_counts() -> None:
    assert neighbors(art(), 1, attributes={"artist": 1.0, "year": 0.01}, neighbors=2) == [0, 4]
    assert neighbors(art(), 1, attributes={"artist": 0.01, "year": 1.0}, neighbors=1) == [3]
    assert neighbors(art(), 0, attributes={"artist": 1.0, "year": 0.0}) == [1, 4]


def test_of_equal_scores_the_lower_row_comes_first() -> None:
    graph = art()
    crowd = replace(graph, nodes=replace(graph.nodes, attributes={"artist": ["kira"] * 7}))
    assert neighbors(crowd, 3, attributes={"artist": 1.0}, neighbors=4) == [0, 1, 2, 4]


def test_stored_edges_count_only_if_asked() -> None:
    assert 5 not in neighbors(art([(0, 5)]), 0, neighbors=7)
    assert neighbors(art([(0, 5)]), 0, neighbors=1, edges=100.0) == [5]
    assert neighbors(art([(5, 6)]), 5) == []


def test_the_walk_passes_through_nodes_that_cannot_be_chosen() -> None:
    chosen = neighbors(art(without_picture=(0, 4)), 1, neighbors=7)
    assert set(chosen) == {2, 3, 6}


def test_dividing_by_degree_takes_hubs_back() -> None:
    graph = toy_graph(9)
    cells = ["a|b", "a|c", "b", *["c"] * 6]
    graph = replace(graph, nodes=replace(graph.nodes, attributes={"tag": cells}))
    choices = {"attributes": {"tag": 1.0}, "neighbors": 1}
    assert neighbors(graph, 0, **choices) == [1]
    assert neighbors(graph, 0, degree_normalized=True, **choices) == [2]


@pytest.mark.parametrize("edges", [0.0, 0.5])
def test_threads_change_neither_answers_nor_what_names_them(edges: float) -> None:
    graph, targets = art([(0, 5), (2, 6)]), np.tile(np.arange(7), 20)
    one, two = (
        AffiliationPPRSamplerConfig(attributes=BOTH, edges=edges, threads=threads) for threads in (1, 2)
    )
    assert one.identity() == two.identity() != one.model_copy(update={"alpha": 0.2}).identity()
    alone, shared = (
        config.build(graph=graph).sample(targets, np.random.default_rng(0)) for config in (one, two)
    )
    np.testing.assert_array_equal(alone.neighbors, shared.neighbors)
    np.testing.assert_array_equal(alone.scores, shared.scores)


def test_one_target_is_ranked_as_in_a_batch() -> None:
    sampler = AffiliationPPRSamplerConfig(attributes=BOTH).build(graph=art())
    batch = sampler.sample(np.arange(7), np.random.default_rng(0))
    for target in range(7):
        alone = sampler.sample(np.array([target]), np.random.default_rng(0))
        np.testing.assert_array_equal(alone.neighbors[0], batch.neighbors[target])
        np.testing.assert_array_equal(alone.scores[0], batch.scores[target])


def test_one_node_has_no_neighbors() -> None:
    assert neighbors(toy_graph(1), 0, attributes={"links": 1.0}) == []


def test_without_attributes_it_says_which_there_are() -> None:
    with pytest.raises(InputError, match=r"no attribute is named.*artist, year"):
        AffiliationPPRSamplerConfig().build(graph=art())


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_recipe_refuses_weights_that_are_none(weight: float) -> None:
    with pytest.raises(ValidationError):
        AffiliationPPRSamplerConfig(attributes={"artist": weight})
    with pytest.raises(ValidationError):
        AffiliationPPRSamplerConfig(attributes=BOTH, edges=weight)
