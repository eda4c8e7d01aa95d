from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphcond.attributed_graph import ABSENT, AttributedGraph, NodeEmbeddings
from graphcond.context import NeighborContext
from graphcond.data.contexts import GraphContexts
from graphcond.recipe import ConditionConfig
from graphcond.samplers import RandomSamplerConfig
from graphcond.samplers.neighbor_file import graph_identity, write_neighbors
from tests.training.toys import Toy, toy_condition

NOBODY = np.empty(0, np.int64)

pytestmark = pytest.mark.usefixtures("empty_cache")


def sampled(
    config: ConditionConfig, contexts: GraphContexts, targets: np.ndarray, forbidden: np.ndarray
) -> NeighborContext:
    """As a training samples them."""
    return contexts.sample_once(targets, (*config.sampler.identity(), forbidden))


def test_neighbors_are_the_samplers_and_sampled_once(
    toy: Toy, toy_graph: AttributedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    condition = toy_condition() | {"sampler": {"kind": "random", "neighbors": 4}}
    (config,) = toy(conditions=[condition]).conditions
    assert isinstance(config.sampler, RandomSamplerConfig)

    def contexts(graph: AttributedGraph, seed: int = 0) -> GraphContexts:
        return GraphContexts(graph, config.sampler.build(graph=graph), NodeEmbeddings(), seed)

    calls: list[int] = []
    sample = GraphContexts.sample
    monkeypatch.setattr(
        GraphContexts,
        "sample",
        lambda self, rows: (calls.append(len(rows)) if len(rows) else None) or sample(self, rows),
    )
    targets = np.array([3, 1, 8])
    for _ in range(2):
        found = sampled(config, contexts(toy_graph), targets, NOBODY)
    assert calls == [3]
    expected = sample(contexts(toy_graph), targets)
    assert np.array_equal(found.neighbors, expected.neighbors)
    assert np.array_equal(found.scores, expected.scores)
    assert not (found.neighbors == targets[:, None]).any()

    sampled(config, contexts(toy_graph, seed=1), targets, NOBODY)
    sampled(config, contexts(toy_graph), targets, np.array([2]))
    fewer = replace(toy_graph, indptr=np.zeros_like(toy_graph.indptr), indices=toy_graph.indices[:0])
    sampled(config, contexts(fewer), targets, NOBODY)
    assert calls == [3, 3, 3, 3]


def test_absent_neighbors_stay_absent(toy: Toy, toy_graph: AttributedGraph) -> None:
    (config,) = toy().conditions
    lonely = replace(toy_graph, indptr=np.zeros_like(toy_graph.indptr), indices=toy_graph.indices[:0])
    contexts = GraphContexts(lonely, config.sampler.build(graph=lonely), NodeEmbeddings())
    assert (sampled(config, contexts, np.arange(2), NOBODY).neighbors == ABSENT).all()


def test_precomputed_neighbors_are_read_anew_when_their_file_changes(
    toy: Toy, toy_graph: AttributedGraph, tmp_path: Path
) -> None:
    file, targets = tmp_path / "neighbors.safetensors", np.arange(len(toy_graph))
    condition = toy_condition() | {"sampler": {"kind": "precomputed", "path": str(file), "neighbors": 2}}
    (config,) = toy(conditions=[condition]).conditions
    for seed in range(2):
        sampler = RandomSamplerConfig(neighbors=4).build(graph=toy_graph)
        stored = sampler.sample(targets, np.random.default_rng(seed))
        write_neighbors(file, stored, graph_identity(toy_graph))
        contexts = GraphContexts(toy_graph, config.sampler.build(graph=toy_graph), NodeEmbeddings())
        found = sampled(config, contexts, targets, NOBODY)
        assert np.array_equal(found.neighbors, stored.neighbors[:, :2])
