"""PageRank with a weight per edge type against networkx with the same weights."""

from __future__ import annotations

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.attributed_graph import AttributedGraph
from graphcond.samplers import PPRSamplerConfig
from tests.samplers.toy_graphs import toy_graphs

FACTORS = st.fixed_dictionaries({}, optional={name: st.sampled_from([0.0, 0.1, 1.0, 5.0]) for name in "abc"})


def of_networkx(graph: AttributedGraph, factors: dict[str, float]) -> np.ndarray:
    """PageRank of every node from the first, each edge weighed by its type."""
    assert graph.edge_types is not None
    other = nx.DiGraph()
    other.add_nodes_from(range(len(graph)))
    for node in range(len(graph)):
        for place in range(graph.indptr[node], graph.indptr[node + 1]):
            own = 1 if graph.weights is None else float(graph.weights[place])
            factor = factors.get(graph.edge_type_names[graph.edge_types[place]], 1)
            if factor:
                other.add_edge(node, int(graph.indices[place]), weight=own * factor)
    ranks = nx.pagerank(other, alpha=0.85, personalization={0: 1}, tol=1e-14, max_iter=5000)
    return np.array([ranks[node] for node in range(len(graph))])


@settings(max_examples=80, deadline=None)
@given(graph=toy_graphs(typed=True), factors=FACTORS)
def test_typed_weights_are_networkx_pagerank_with_these_weights(
    graph: AttributedGraph, factors: dict[str, float]
) -> None:
    factors = {name: factor for name, factor in factors.items() if name in graph.edge_type_names}
    config = PPRSamplerConfig(neighbors=20, method="exact", require_picture=False, edge_type_weights=factors)
    context = config.build(graph=graph).sample(np.array([0]), np.random.default_rng(0))
    found = np.zeros(len(graph))
    found[context.neighbors[context.present]] = context.scores[context.present]
    wanted = of_networkx(graph, factors)
    np.testing.assert_allclose(found[1:], wanted[1:], rtol=1e-5, atol=1e-9)
