"""Graph layers against their formulas, node by node, and attention against torch_geometric's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphcond.encoders.gat import GatLayer
from graphcond.encoders.sage import SageLayer
from graphcond.encoders.scene_graphs import PackedGraphs
from graphcond.encoders.triple_gcn import TripleConvolution

WIDTH, NODES = 8, 5
TRIPLES = [(0, 1), (0, 1), (2, 2), (1, 0), (3, 1)]
"""Two between the same ends, a loop, one back; node 4 is in none."""


def graph(parts: int) -> PackedGraphs:
    torch.manual_seed(0)
    ends = torch.tensor(TRIPLES)
    return PackedGraphs(
        nodes=torch.randn(NODES, WIDTH),
        predicates=torch.randn(len(TRIPLES), parts * WIDTH),
        subjects=ends[:, 0],
        objects=ends[:, 1],
        present=torch.ones(1, NODES, dtype=torch.bool),
    )


def incoming(packed: PackedGraphs, node: int) -> list[tuple[int, Tensor]]:
    """Who speaks to a node, with the predicate as read in that direction."""
    there, back = packed.predicates.chunk(2, -1)
    forward = [(a, there[n]) for n, (a, b) in enumerate(TRIPLES) if b == node]
    return forward + [(b, back[n]) for n, (a, b) in enumerate(TRIPLES) if a == node]


def test_triple_convolution() -> None:
    packed, layer = graph(1), TripleConvolution(WIDTH, 16)
    nodes, predicates = layer.node_norm(packed.nodes), layer.predicate_norm(packed.predicates)
    proposals: list[list[Tensor]] = [[] for _ in range(NODES)]
    changes = []
    for number, (subject, target) in enumerate(TRIPLES):
        said = layer.propose(torch.cat([nodes[subject], predicates[number], nodes[target]]))
        proposals[subject].append(said[:16])
        changes.append(said[16:-16])
        proposals[target].append(said[-16:])
    pooled = torch.stack([torch.stack(p).mean(0) if p else torch.zeros(16) for p in proposals])
    new = layer(packed)
    assert torch.allclose(new.nodes, packed.nodes + layer.combine(pooled), atol=1e-5)
    assert torch.allclose(new.predicates, packed.predicates + torch.stack(changes), atol=1e-5)


def test_sage() -> None:
    packed, layer = graph(2), SageLayer(WIDTH)
    nodes, new = layer.norm(packed.nodes), layer(packed).nodes
    for node in range(NODES):
        heard = [(nodes[other] + predicate).relu() for other, predicate in incoming(packed, node)]
        mean = torch.stack(heard).mean(0) if heard else torch.zeros(WIDTH)
        expected = packed.nodes[node] + (layer.own(nodes[node]) + layer.heard(mean)).relu()
        assert torch.allclose(new[node], expected, atol=1e-5)


def test_attention() -> None:
    packed, layer = graph(2), GatLayer(WIDTH, heads=2)
    nodes, new = layer.norm(packed.nodes), layer(packed).nodes
    for node in range(NODES):
        around = [*incoming(packed, node), (node, torch.zeros(WIDTH))]
        told = torch.stack([layer.told(nodes[other]) + predicate for other, predicate in around])
        activated = torch.nn.functional.leaky_relu(layer.asking(nodes[node]) + told, 0.2)
        shares = (activated.reshape(-1, 2, WIDTH // 2) * layer.score).sum(-1).softmax(0)
        heard = (told.reshape(-1, 2, WIDTH // 2) * shares[..., None]).sum(0).reshape(WIDTH)
        assert torch.allclose(new[node], packed.nodes[node] + layer.out(heard), atol=1e-5)


def test_attention_as_torch_geometric_has_it() -> None:
    """Without predicates a layer is its GATv2Conv, between our norm and our output layer."""
    nn = pytest.importorskip("torch_geometric.nn", reason="torch_geometric is not installed")
    packed, layer = graph(2), GatLayer(WIDTH, heads=2)
    torch.nn.init.zeros_(layer.asking.bias)
    packed = packed.having(packed.nodes, torch.zeros_like(packed.predicates))
    theirs = nn.GATv2Conv(WIDTH, WIDTH // 2, heads=2, bias=False, add_self_loops=False)
    theirs.lin_r.weight, theirs.lin_l.weight = layer.asking.weight, layer.told.weight
    for linear in (theirs.lin_l, theirs.lin_r):
        if linear.bias is not None:
            torch.nn.init.zeros_(linear.bias)
    theirs.att.data = layer.score.data[None]
    own = torch.arange(NODES)
    sources = torch.cat([packed.subjects, packed.objects, own])
    targets = torch.cat([packed.objects, packed.subjects, own])
    heard = theirs(layer.norm(packed.nodes), torch.stack([sources, targets]))
    assert torch.allclose(layer(packed).nodes, packed.nodes + layer.out(heard), atol=1e-5)
