"""Weights and quotas by type, as a recipe asks for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.graphs import build_graph
from graphcond.samplers import PPRSamplerConfig, SemanticPPRSamplerConfig, with_relations
from graphcond.worlds import NOISE_LEVELS, ArtWorld
from tests.samplers.toy_graphs import toy_embeddings, toy_graph

PLAIN = toy_graph(3, [(0, 1)])
TYPED = toy_graph(3, [(0, 1), (0, 2)], types=["hand", "year"], node_types=["a", "b", "b"])


@pytest.fixture(scope="module")
def museum() -> AttributedGraph:
    """The art world with most of its edges between artists; its pictures are not drawn."""
    world = ArtWorld(paintings_per_artist=20, noise=NOISE_LEVELS["hard"])
    return build_graph(world.nodes(), world.edges())


@pytest.fixture(scope="module")
def embeddings(museum: AttributedGraph) -> NodeEmbeddings:
    """Of the artist with a good deal of noise, as a CLIP sees them."""
    draws = np.random.default_rng(0)
    artists = np.unique(museum.nodes.attributes["artist"], return_inverse=True)[1]
    vectors = draws.normal(size=(artists.max() + 1, 16))[artists] + 2 * draws.normal(size=(len(museum), 16))
    return NodeEmbeddings(vectors, vectors)


def sampled(graph: AttributedGraph, embeddings: NodeEmbeddings, kind: str, **choices: Any) -> NeighborContext:
    config = {"ppr": PPRSamplerConfig, "semantic_ppr": SemanticPPRSamplerConfig}[kind]
    sampler = config.model_validate({"kind": kind, **choices}).build(graph=graph, embeddings=embeddings)
    return with_relations(graph, sampler.sample(np.arange(len(graph)), np.random.default_rng(0)))


@pytest.mark.parametrize("kind", ["ppr", "semantic_ppr"])
def test_noise_can_be_turned_down_and_off(
    kind: str, museum: AttributedGraph, embeddings: NodeEmbeddings
) -> None:
    artists = np.array(museum.nodes.attributes["artist"])
    shares = []
    for factor in (1, 0.5, 0):
        weights = {"same_year": factor, "same_museum": factor}
        found = sampled(museum, embeddings, kind, edge_type_weights=weights)
        same = artists[found.neighbors] == artists[found.targets][:, None]
        shares.append(same[found.present].mean())
    assert shares[0] + 0.1 < shares[1] < shares[2]
    assert shares[2] == 1, "what is left of the graph joins paintings of one artist"


@pytest.mark.parametrize("kind", ["ppr", "semantic_ppr"])
def test_quotas_hold_and_leave_the_order(
    kind: str, museum: AttributedGraph, embeddings: NodeEmbeddings
) -> None:
    free = sampled(museum, embeddings, kind, neighbors=10)
    held = sampled(museum, embeddings, kind, neighbors=10, quotas={"relations": {"same_museum": 1}})
    place = museum.relation_names.index("same_museum") + 1
    assert free.relations is not None
    assert held.relations is not None
    assert (held.relations == place).sum(axis=1).max() == 1 < (free.relations == place).sum(axis=1).max()
    assert (np.diff(held.scores, axis=1)[held.present[:, 1:]] <= 0).all()
    loose = sampled(museum, embeddings, kind, neighbors=10, quotas={"node_types": {"painting": 10}})
    np.testing.assert_array_equal(loose.neighbors, free.neighbors)
    np.testing.assert_array_equal(loose.scores, free.scores)


@pytest.mark.parametrize("kind", ["ppr", "semantic_ppr"])
@pytest.mark.parametrize(
    ("graph", "choices", "message"),
    [
        (TYPED, {"edge_type_weights": {"hnad": 2}}, "no edge type 'hnad'. Did you mean 'hand'"),
        (TYPED, {"quotas": {"relations": {"yaer": 2}}}, "no relation 'yaer'. Did you mean 'year'"),
        (TYPED, {"quotas": {"node_types": {"c": 2}}}, "no node type 'c'. Choose one of: a, b"),
        (PLAIN, {"edge_type_weights": {"hand": 2}}, "the edges of the graph have no types"),
        (PLAIN, {"quotas": {"relations": {"hand": 2}}}, "the edges of the graph have no types"),
        (PLAIN, {"quotas": {"node_types": {"a": 2}}}, "the nodes of the graph have no types"),
    ],
)
def test_types_that_the_graph_does_not_have_are_named(
    kind: str, graph: AttributedGraph, choices: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as raised:
        sampled(graph, toy_embeddings(graph), kind, **choices)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"edge_type_weights": {"hand": -1}},
        {"edge_type_weights": {"hand": float("nan")}},
        {"edge_type_weights": {"hand": float("inf")}},
        {"quotas": {"relations": {"hand": -1}}},
        {"quotas": {"node_types": {"a": 1.5}}},
        {"quotas": {"types": {"a": 1}}},
    ],
)
def test_a_recipe_refuses_what_makes_no_sense(wrong: dict[str, Any]) -> None:
    for config in (PPRSamplerConfig, SemanticPPRSamplerConfig):
        with pytest.raises(ValidationError):
            config.model_validate(wrong)
