"""At most so many neighbors of a sort, best first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers import PPRSampler, PPRSamplerConfig, with_relations
from graphcond.samplers import quotas as quotas_module
from graphcond.samplers.pagerank import calibration
from graphcond.samplers.quotas import QuotaSampler
from tests.samplers.toy_graphs import toy_graph, toy_graphs

quota = st.sampled_from([0, 1, 2])
STAR = toy_graph(
    7,
    [(0, node) for node in range(1, 7)],
    types=["year", "hand", "hand", "year", "year", "hand"],
    node_types=["star", *("abbaba")],
)


def exact(graph: AttributedGraph, count: int) -> PPRSampler:
    return PPRSampler(graph, neighbors=count, method="exact", require_picture=False)


def chosen(graph: AttributedGraph, *, neighbors: int = 3, first: int = 1, **quotas: Any) -> NeighborContext:
    sampler = QuotaSampler(
        exact(graph, first),
        graph,
        neighbors=neighbors,
        first=first,
        **{"node_types": {}, "relations": {}, **quotas},
    )
    return sampler.sample(np.arange(len(graph)), np.random.default_rng(0))


def by_hand(graph: AttributedGraph, neighbors: int, **quotas: dict[str, int]) -> list[list[int]]:
    """The full ranking of each target, walked through one by one."""
    full = with_relations(
        graph, exact(graph, len(graph)).sample(np.arange(len(graph)), np.random.default_rng(0))
    )
    assert full.relations is not None
    assert graph.nodes.types is not None
    answers = []
    for row, relations in zip(full.neighbors.tolist(), full.relations.tolist(), strict=True):
        left = {kind: dict(given) for kind, given in quotas.items()}
        taken: list[int] = []
        for node, relation in zip(row, relations, strict=True):
            sorts = {
                "node_types": graph.nodes.types[node],
                "relations": (None, *graph.relation_names)[relation],
            }
            used = [(left[kind], sort) for kind, sort in sorts.items() if sort in left[kind]]
            if node == ABSENT or len(taken) == neighbors or any(free[sort] == 0 for free, sort in used):
                continue
            for free, sort in used:
                free[sort] -= 1
            taken.append(node)
        answers.append(taken + [ABSENT] * (neighbors - len(taken)))
    return answers


@settings(max_examples=80, deadline=None)
@given(
    graph=toy_graphs(typed=True),
    node_types=st.dictionaries(st.sampled_from("xy"), quota),
    relations=st.dictionaries(st.sampled_from(["a", "b", "rev_a"]), quota),
    neighbors=st.sampled_from([1, 3, 20]),
    first=st.sampled_from([1, 5, 40]),
)
def test_it_is_the_full_ranking_without_what_exceeds_a_quota(
    graph: AttributedGraph,
    node_types: dict[str, int],
    relations: dict[str, int],
    neighbors: int,
    first: int,
) -> None:
    assert graph.nodes.types is not None
    quotas = {
        "node_types": {name: most for name, most in node_types.items() if name in graph.nodes.types},
        "relations": {name: most for name, most in relations.items() if name in graph.relation_names},
    }
    context = chosen(graph, neighbors=neighbors, first=first, **quotas)
    assert context.neighbors.tolist() == by_hand(graph, neighbors, **quotas)
    told = with_relations(graph, NeighborContext(context.targets, context.neighbors, context.scores))
    np.testing.assert_array_equal(context.relations, told.relations)


def test_quotas_of_one_sort() -> None:
    assert chosen(STAR, node_types={"b": 1}).neighbors[0].tolist() == [1, 2, 4]
    assert chosen(STAR, relations={"year": 0}).neighbors[0].tolist() == [2, 3, 6]
    assert chosen(STAR, node_types={"a": 0}, relations={"hand": 1}).neighbors[0].tolist() == [2, 5, ABSENT]


def test_the_answer_is_that_of_targets_alone_when_many_are_answered_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = chosen(STAR, relations={"year": 1})
    monkeypatch.setattr(quotas_module, "CELLS", 4)
    parts = chosen(STAR, relations={"year": 1})
    np.testing.assert_array_equal(whole.neighbors, parts.neighbors)
    np.testing.assert_array_equal(whole.scores, parts.scores)
    np.testing.assert_array_equal(whole.relations, parts.relations)


@pytest.mark.parametrize(
    ("graph", "quotas", "message"),
    [
        (
            STAR,
            {"node_types": {"sta": 1}},
            "quotas.node_types: the graph has no node type 'sta'. Did you mean 'star'",
        ),
        (
            STAR,
            {"relations": {"hnad": 1}},
            "quotas.relations: the graph has no relation 'hnad'. Did you mean 'hand'",
        ),
        (STAR, {"relations": {"rev_hand": 1}}, "quotas.relations: the graph has no relation 'rev_hand'"),
        (STAR, {"node_types": {"a": -1}}, "quotas.node_types: the quota of 'a' is -1"),
        (STAR, {"relations": {"year": -2}}, "quotas.relations: the quota of 'year' is -2"),
        (toy_graph(2), {"node_types": {"a": 1}}, "quotas.node_types: the nodes of the graph have no types"),
        (toy_graph(2), {"relations": {"a": 1}}, "quotas.relations: the edges of the graph have no types"),
    ],
)
def test_bad_quotas_are_named(graph: AttributedGraph, quotas: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        chosen(graph, **quotas)
    assert str(raised.value).startswith(message)


def test_going_on_for_more_does_not_calibrate_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made, real = [], calibration.calibrated

    def counted(*given: Any, **choices: Any) -> calibration.PageRank:
        made.append(given)
        return real(*given, **choices)

    monkeypatch.setattr(calibration, "calibrated", counted)
    draws = np.random.default_rng(0)
    types = draws.choice(["a", "b"], 300, p=[0.9, 0.1]).tolist()
    graph = toy_graph(300, draws.integers(0, 300, (900, 2)).tolist(), node_types=types)
    config = PPRSamplerConfig.model_validate({"neighbors": 40, "quotas": {"node_types": {"a": 2}}})
    found = config.build(graph=graph).sample(np.arange(20), draws)
    assert len(made) == 1
    assert (np.isin(found.neighbors, np.flatnonzero(np.array(types) == "a")).sum(1) <= 2).all()
    assert (found.present.sum(1) > 10).all()
