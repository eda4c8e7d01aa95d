"""Graph convolution by torch against DGL's own `GraphConv`, and both against dense matrices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphcond.encoders import GCNConfig
from graphcond.encoders.gcn import GraphConvolution
from graphcond.encoders.graph_network import GraphNetwork
from tests.builders import FEATURE_WIDTH
from tests.scene_builders import CROWD, EMPTY, LOOPED, ODD, ONE, SHEEP, UNRELATED, read_scenes

pytest.importorskip("dgl", reason="needs graphcond[dgl]: DGL 1.1.3, Python 3.11", exc_type=Exception)

WIDTH = 16
EDGES = {
    "nothing": (0, []),
    "one node": (1, []),
    "no edge": (4, []),
    "a loop": (2, [(0, 0)]),
    "isolated nodes": (6, [(0, 1), (1, 2)]),
    "several edges": (3, [(0, 1), (0, 1), (0, 1), (1, 0), (2, 1)]),
}


def dense(nodes: Tensor, pairs: list[tuple[int, int]], layer: GraphConvolution) -> Tensor:
    adjacency = torch.eye(len(nodes))
    for source, target in pairs:
        adjacency[target, source] += 1
    left, right = adjacency.sum(1).rsqrt().diag(), adjacency.sum(0).rsqrt().diag()
    return left @ adjacency @ right @ nodes @ layer.weight + layer.bias


@pytest.mark.parametrize("name", EDGES)
def test_one_convolution(name: str) -> None:
    count, pairs = EDGES[name]
    torch.manual_seed(0)
    nodes, layer = torch.randn(count, WIDTH), GraphConvolution(WIDTH, "dgl")
    torch.nn.init.normal_(layer.bias)
    ends = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)
    by_dgl = layer(nodes, ends[:, 0], ends[:, 1])
    layer.backend = "torch"
    by_torch = layer(nodes, ends[:, 0], ends[:, 1])
    assert torch.allclose(by_dgl, by_torch, atol=1e-5, rtol=0)
    assert torch.allclose(dense(nodes, pairs, layer), by_torch, atol=1e-5, rtol=0)


def pair_of_networks() -> tuple[GraphNetwork, GraphNetwork]:
    torch.manual_seed(0)
    by_dgl, by_torch = (
        GCNConfig(node_width=WIDTH, layers=3, backend=backend).network(FEATURE_WIDTH)
        for backend in ("dgl", "torch")
    )
    by_torch.load_state_dict(by_dgl.state_dict())
    return by_dgl, by_torch


@pytest.mark.parametrize(
    "graphs",
    [[EMPTY], [ONE], [UNRELATED], [LOOPED], [SHEEP], ODD],
    ids=["empty", "one node", "no edge", "several edges", "attributes", "batch"],
)
def test_whole_networks_on_scenes(graphs: list) -> None:
    by_dgl, by_torch = pair_of_networks()
    context = read_scenes(*graphs)
    assert torch.allclose(by_dgl(context), by_torch(context), atol=1e-5, rtol=0)


def test_gradients_are_equal() -> None:
    networks, context = pair_of_networks(), read_scenes(CROWD, LOOPED, EMPTY)
    for network in networks:
        network(context).square().sum().backward()
    for (name, one), other in zip(networks[0].named_parameters(), networks[1].parameters(), strict=True):
        assert one.grad is not None, name
        assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-4), name
