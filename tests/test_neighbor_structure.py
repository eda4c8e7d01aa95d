"""Edges among a target and its neighbors: steps along them, what is masked, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.context import NeighborFeatures, NeighborStructure
from tests.builders import some_features
from tests.typecheck import unchecked

NAN = float("nan")


def structure(linked: torch.Tensor, relations: torch.Tensor | None = None) -> NeighborStructure:
    """With the scores 1, 1/2, 1/3 and so on."""
    rows, places = linked.shape[:2]
    return NeighborStructure((1 / torch.arange(1, places)).expand(rows, -1), linked, relations)


def chain(neighbors: int = 3) -> NeighborStructure:
    """The target > the first neighbor > the second and so on, for two targets."""
    return structure(torch.eye(neighbors + 1).roll(1, dims=1).triu().bool().expand(2, -1, -1))


def features(known: NeighborStructure, **given: object) -> NeighborFeatures:
    rows, neighbors = known.scores.shape
    return replace(some_features(rows, neighbors), structure=known, **given)


@settings(deadline=None)
@given(st.integers(0, 6), st.data())
def test_hops_are_the_shortest_paths_from_the_target(neighbors: int, data: st.DataObject) -> None:
    pairs = [(a, b) for a in range(neighbors + 1) for b in range(neighbors + 1) if a != b]
    edges = data.draw(st.sets(st.sampled_from(pairs))) if pairs else set()
    linked = torch.zeros(1, neighbors + 1, neighbors + 1, dtype=torch.bool)
    for source, target in edges:
        linked[0, source, target] = True
    graph = nx.DiGraph(edges)
    graph.add_nodes_from(range(neighbors + 1))
    lengths = nx.single_source_shortest_path_length(graph, 0)
    assert structure(linked).hops.tolist() == [[lengths.get(place + 1, 0) for place in range(neighbors)]]


def test_what_is_absent_has_no_edges_and_no_score() -> None:
    relations = torch.where(chain().linked, 1, 7)
    known = features(
        replace(chain(), relations=relations, scores=torch.full((2, 3), NAN)),
        present=torch.tensor([[True, False, True], [False, False, False]]),
        target=torch.full((2, 24), NAN),
    ).masked()
    assert known.structure is not None
    assert known.structure.linked.nonzero().tolist() == [[0, 0, 1]]
    assert known.structure.relations is not None
    assert known.structure.relations.nonzero().tolist() == [[0, 0, 1]]
    assert known.structure.scores[0, 1] == 0
    assert known.structure.scores[1].tolist() == [0, 0, 0]
    assert known.target is not None
    assert known.target[1].tolist() == [0] * 24


def test_rows_are_selected_and_moved_with_the_rest() -> None:
    whole = features(chain(), target=torch.arange(48.0).reshape(2, 24))
    one = whole.select(torch.tensor([1])).to("cpu", torch.float64)
    assert one.structure is not None
    assert one.target is not None
    assert one.structure.linked.shape == (1, 4, 4)
    assert one.structure.scores.dtype == one.target.dtype == torch.float64
    assert one.target[0, 0] == 24
    dropped = whole.without(torch.tensor([True, False])).masked().structure
    assert dropped is not None
    assert dropped.hops.tolist() == [[0, 0, 0], [1, 2, 3]]


def test_it_is_printed_by_its_shapes() -> None:
    assert "NeighborStructure(scores 2x3, linked 2x4x4)" in repr(features(chain()))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"structure": chain(2)}, "not that of 2 targets with 3 neighbors"),
        (
            {"structure": replace(chain(), relations=chain().linked.long())},
            "edge 0 > 1 of graph 0 is not one of the 0 known",
        ),
        (
            {"structure": replace(chain(), scores=torch.full((2, 3), NAN))},
            "score of neighbor 0 of graph 0 is not",
        ),
        ({"target": torch.full((2, 24), NAN)}, "embedding of target 0 of graph 0 is not finite"),
        ({"target": torch.zeros(2, 5)}, r"own embeddings are \(2, 5\), not \(2, 24\)"),
    ],
)
def test_what_cannot_be_read_is_told(changes: dict[str, object], problem: str) -> None:
    with unchecked():
        wrong = replace(features(chain()), **changes)
        assert features(chain()).fault() is None
        assert re.search(problem, str(wrong.fault()))
