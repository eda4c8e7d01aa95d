"""Contexts: embeddings of sampled neighbors, and the shuffled control."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from graphcond.attributed_graph import ABSENT, EdgeList, NodeEmbeddings, NodeTable
from graphcond.context import NeighborContext
from graphcond.data.contexts import GraphContexts, shuffled
from graphcond.errors import InputError
from graphcond.graphs import build_graph
from graphcond.io.fingerprint import fingerprint
from graphcond.samplers import HopMeanSampler, KHopSampler

NODES = 8


@pytest.fixture
def contexts() -> GraphContexts:
    nodes = NodeTable([f"n{i}" for i in range(NODES)], [""] * NODES, [f"{i}.png" for i in range(NODES)])
    edges = EdgeList(np.array([0, 0, 1, 2]), np.array([1, 2, 3, 4]))
    graph = build_graph(nodes, edges)
    pictures = np.arange(NODES * 3, dtype=np.float16).reshape(NODES, 3)
    return GraphContexts(graph, KHopSampler(graph, neighbors=3), NodeEmbeddings(pictures=pictures))


def test_features_are_the_neighbors_rows(contexts: GraphContexts) -> None:
    context = contexts.sample(np.array([0, 7]))
    features = contexts.features(context)
    assert features.embeddings.shape == (2, 3, contexts.feature_width)
    assert features.present.tolist() == context.present.tolist()
    for place, row in enumerate(context.neighbors[0]):
        wanted = np.arange(row * 3, row * 3 + 3) if row != ABSENT else np.zeros(3)
        assert features.embeddings[0, place].tolist() == wanted.tolist()
    assert not features.present[1].any()
    assert features.embeddings[1].abs().sum() == 0


def test_pictures_are_read_and_a_neighbor_without_one_is_not_present(tmp_path: Path) -> None:
    files: list[str | None] = [f"{number}.png" for number in range(4)]
    for number, name in enumerate(files):
        Image.new("RGB", (30, 20), (60 * number, 0, 0)).save(tmp_path / str(name))
    files[2] = None
    nodes = NodeTable([f"n{i}" for i in range(4)], [""] * 4, files)
    graph = build_graph(nodes, EdgeList(np.array([0, 0, 0, 3]), np.array([1, 2, 3, 1])), root=tmp_path)
    rows = NodeEmbeddings(pictures=np.ones((4, 3), np.float16))
    contexts = GraphContexts(graph, KHopSampler(graph, neighbors=3), rows, pictures=16)
    features = contexts.features(contexts.sample(np.array([0, 2])))
    assert features.pictures is not None
    assert features.pictures.shape == (2, 3, 3, 16, 16)
    neighbors = contexts.sample(np.array([0, 2])).neighbors
    assert features.present.tolist() == ((neighbors != ABSENT) & (neighbors != 2)).tolist()
    for row, place in features.present.nonzero().tolist():
        red, corner = features.pictures[row, place, 0, 8, 8], features.pictures[row, place, :, 0, 0]
        assert abs(red - (60 * neighbors[row, place] / 127.5 - 1)) < 0.01
        assert corner.tolist() == [1, 1, 1]  # padded with white to a square
    assert not features.pictures[~features.present].any()
    (tmp_path / "1.png").unlink()
    with pytest.raises(InputError, match=r"1\.png"):
        contexts.features(contexts.sample(np.array([0])))
    with pytest.raises(InputError, match="means of neighbors, which are not pictures"):
        GraphContexts(graph, HopMeanSampler(graph), rows, pictures=16)


def test_relations_are_told_and_go_with_their_neighbors() -> None:
    nodes = NodeTable([f"n{i}" for i in range(4)], [""] * 4, [f"{i}.png" for i in range(4)])
    edges = EdgeList(np.array([0, 1, 2]), np.array([1, 2, 3]), types=["b", "a", "b"])
    graph = build_graph(nodes, edges)
    pictures = NodeEmbeddings(pictures=np.ones((4, 3), np.float16))
    contexts = GraphContexts(graph, KHopSampler(graph, neighbors=2, hops=2), pictures)
    context = contexts.sample(np.array([0, 3]))
    features = contexts.features(context)
    assert features.relation_names == ("a", "b")
    assert features.relations is not None
    assert features.relations.tolist() == [[2, 0], [2, 0]]
    for some in (features.select(torch.tensor([1])), features.without(torch.tensor([True, False])).to("cpu")):
        assert some.relations is not None
        assert some.relations[-1].tolist() == [2, 0]
    wrong = contexts.shuffled(contexts.sample(np.array([0, 2])), 0)
    assert wrong.neighbors.tolist() == [[1, 3], [1, ABSENT]]
    assert wrong.relations is not None
    assert wrong.relations.tolist() == [[1, 2], [2, 0]]


def test_features_by_id(contexts: GraphContexts) -> None:
    by_row = contexts.features(contexts.sample(np.array([1, 0])))
    assert contexts.features_of("n1", "n0").embeddings.tolist() == by_row.embeddings.tolist()
    with pytest.raises(InputError, match="there is no node 'n9'"):
        contexts.features_of("n9")


def test_other_attributes_are_another_source(contexts: GraphContexts) -> None:
    nodes = replace(contexts.graph.nodes, attributes={"artist": ["a"] * NODES})
    named = replace(contexts, graph=replace(contexts.graph, nodes=nodes))
    renamed = replace(
        named, graph=replace(named.graph, nodes=replace(nodes, attributes={"artist": ["b"] * NODES}))
    )
    names = {fingerprint(*source.identity()) for source in (contexts, named, renamed)}
    assert len(names) == 3


def test_an_extra_embedding_is_read_in_place_of_pictures(contexts: GraphContexts) -> None:
    extra = np.ones((NODES, 5), np.float32)
    other = GraphContexts(contexts.graph, contexts.sampler, NodeEmbeddings(extra=extra))
    assert other.feature_width == 5


def test_no_embedding_is_said(contexts: GraphContexts) -> None:
    with pytest.raises(InputError, match="features"):
        _ = GraphContexts(contexts.graph, contexts.sampler, NodeEmbeddings()).feature_width


@given(st.integers(2, 9), st.integers(1, 4), st.integers(0, 2**31 - 1))
def test_shuffled_gives_everyone_anothers_neighbors(count: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.permutation(20)[:count]
    neighbors = np.stack([rng.permutation(np.r_[np.arange(20), [ABSENT] * 3])[:width] for _ in range(count)])
    neighbors = np.sort(neighbors, axis=1)[:, ::-1].copy()
    context = NeighborContext(targets, neighbors, (neighbors + 0.5).astype(np.float32))
    wrong = shuffled(context, seed)
    rows = [set(row) - {ABSENT} for row in neighbors.tolist()]
    donors = []
    for target, row, scores in zip(targets, wrong.neighbors, wrong.scores, strict=True):
        assert target not in row
        present = row != ABSENT
        assert not np.any(np.diff(present.astype(int)) > 0), "padding stands at the end"
        assert np.allclose(scores[present], row[present] + 0.5)
        donors.append({place for place, own in enumerate(rows) if set(row[present]) == own - {target}})
    assert all(donors[place] - {place} or rows.count(rows[place]) > 1 for place in range(count))
    again = shuffled(context, seed)
    assert np.array_equal(wrong.neighbors, again.neighbors)


def test_one_target_alone_has_nobody_to_swap_with() -> None:
    context = NeighborContext(np.array([0]), np.array([[1, 2]]), np.ones((1, 2), np.float32))
    assert not shuffled(context, 0).present.any()


TYPED = [(0, 1, "a"), (1, 2, "b"), (0, 3, "b"), (4, 5, "a"), (5, 6, "a")]
"""0 to 3 around node 0, 4 to 6 around node 4."""


def structured(*, directed: bool = False, typed: bool = True, **asked: bool) -> GraphContexts:
    nodes = NodeTable([f"n{i}" for i in range(NODES)], [""] * NODES, [f"{i}.png" for i in range(NODES)])
    sources, targets, types = zip(*TYPED, strict=True)
    edges = EdgeList(np.array(sources), np.array(targets), types=types if typed else None)
    graph = build_graph(nodes, edges, directed=directed)
    own = np.arange(NODES * 3, dtype=np.float32).reshape(NODES, 3)
    sampler = KHopSampler(graph, neighbors=4, hops=2)
    return GraphContexts(graph, sampler, NodeEmbeddings(pictures=own, texts=-own), **asked)


def test_the_structure_is_given_where_it_is_asked_for() -> None:
    contexts = structured(structure=True)
    features = contexts.features(contexts.sample(np.array([0, 7])))
    assert features.target is None
    known = features.structure
    assert known is not None
    assert known.linked[0].nonzero().tolist() == [[0, 1], [0, 2], [1, 0], [1, 3], [2, 0], [3, 1]]
    assert known.relations is not None
    names = [features.relation_names[known.relations[0, a, b] - 1] for a, b in ((0, 1), (0, 2), (1, 3))]
    assert names == ["a", "b", "b"]
    assert known.hops.tolist() == [[1, 1, 2, 0], [0, 0, 0, 0]]
    assert known.scores[0].tolist() == [1, 1, 0.5, 0]
    assert not known.linked[1].any()
    assert structured().features(contexts.sample(np.array([0]))).structure is None


def test_edges_have_a_direction_in_a_directed_graph_and_no_relation_without_types() -> None:
    contexts = structured(structure=True, directed=True, typed=False)
    known = contexts.features(contexts.sample(np.array([0]))).structure
    assert known is not None
    assert known.linked[0].nonzero().tolist() == [[0, 1], [0, 2], [1, 3]]
    assert known.relations is None


def test_the_control_has_the_structure_of_another_target_and_its_own_text() -> None:
    contexts = structured(structure=True, target_text=True)
    targets = np.array([0, 4])
    own, wrong = contexts.sample(targets), contexts.shuffled(contexts.sample(targets), 0)
    right, other = contexts.features(own), contexts.features(wrong)
    assert right.structure is not None
    assert other.structure is not None
    assert torch.equal(right.structure.linked, other.structure.linked.flip(0))
    assert other.target is not None
    assert other.target.tolist() == [[0, -1, -2], [-12, -13, -14]]
    again = contexts.features(NeighborContext.join([wrong.take(np.array([0])), wrong.take(np.array([1]))]))
    assert again.structure is not None
    assert torch.equal(again.structure.linked, other.structure.linked)


def test_texts_that_are_not_embedded_cannot_be_read() -> None:
    contexts = structured()
    for other in ({"texts": None}, {"extra": np.zeros((NODES, 5), np.float32)}):
        with pytest.raises(InputError, match=r"encoder\.target_text: the features embed no texts"):
            replace(contexts, embeddings=replace(contexts.embeddings, **other), target_text=True)


def test_means_have_no_structure() -> None:
    contexts = structured(structure=True)
    means = replace(contexts, sampler=HopMeanSampler(contexts.graph, neighbors=4, hops=2))
    assert means.features(means.sample(np.array([0]))).structure is None
