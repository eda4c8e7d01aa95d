"""Graph convolution of Kipf & Welling (arXiv 1609.02907) over scenes whose triples are nodes."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from graphcond.encoders.config import Backend
from graphcond.encoders.graph_network import GraphLayer
from graphcond.encoders.scene_graphs import (
    PackedGraphs,
    counted,
    picked,
    predicates_again,
    summed,
    with_predicate_nodes,
)
from graphcond.errors import InputError
from graphcond.io.optional import optional, why_missing


@cache
def why_no_dgl() -> str | None:
    """The reason why DGL cannot be imported; None if it can. It is looked for once a process."""
    return why_missing("dgl.nn.pytorch")


def require_dgl() -> Any:
    """The module ``dgl``.

    Raises:
        InputError: it is missing or broken.
    """
    optional(
        "dgl.nn.pytorch",
        "'graphcond[dgl]' (Python 3.11)",
        place="encoder.backend: dgl",
        otherwise=", or use backend: auto",
    )
    return import_module("dgl")


def uses_dgl(backend: Backend, device: torch.device) -> bool:
    """True if ``backend`` selects DGL on ``device``; ``auto`` does on a CPU if DGL can be imported."""
    if backend == "auto":
        return device.type == "cpu" and why_no_dgl() is None
    return backend == "dgl"


class GraphConvolution(nn.Module):
    """D^-1/2 (A + I) D^-1/2 H W + b, by torch or by DGL's ``GraphConv`` with the same parameters.

    Of a directed graph the left D holds in-degrees and the right one out-degrees, as DGL's ``norm="both"``
    has it. Edges may repeat; each counts.

    Args:
        width: w of H.
        backend: ``auto`` takes DGL on a CPU where it is installed, torch otherwise.

    Raises:
        InputError: DGL is requested and cannot be imported.
    """

    def __init__(self, width: int, backend: Backend = "auto") -> None:
        super().__init__()
        if backend == "dgl":
            require_dgl()
        self.backend: Backend = backend
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(width, width)))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(
        self, nodes: Float[Tensor, "p w"], sources: Int64[Tensor, " e"], targets: Int64[Tensor, " e"]
    ) -> Float[Tensor, "p w"]:
        """New vectors; edges lead from ``sources`` to ``targets``, loops of (A + I) are added here."""
        loops = torch.arange(len(nodes), device=nodes.device)
        sources, targets = torch.cat([sources, loops]), torch.cat([targets, loops])
        if uses_dgl(self.backend, nodes.device):
            return self._by_dgl(nodes, sources, targets) + self.bias
        out_degrees, in_degrees = counted(sources, len(nodes)), counted(targets, len(nodes))
        sent = (nodes @ self.weight) * out_degrees.rsqrt()[:, None]
        return summed(picked(sent, sources), targets, len(nodes)) * in_degrees.rsqrt()[:, None] + self.bias

    def _by_dgl(self, nodes: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
        dgl = require_dgl()
        if not len(nodes):
            return nodes.float() @ self.weight.float()
        width = len(self.weight)
        convolution = dgl.nn.pytorch.GraphConv(width, width, norm="both", weight=False, bias=False)
        graph = dgl.graph((sources.cpu(), targets.cpu()), num_nodes=len(nodes))
        try:
            graph = graph.to(nodes.device)
        except dgl.DGLError as error:
            raise InputError(
                f"this DGL cannot compute on {nodes.device.type}",
                place="encoder.backend: dgl",
                remedy="use backend: auto, which takes torch there with the same weights",
            ) from error
        with torch.autocast(nodes.device.type, enabled=False):  # DGL's CPU kernels know no bf16
            return convolution(graph, nodes.float(), weight=self.weight.float())


class GCNLayer(GraphLayer):
    """One graph convolution over nodes and triples.

    Every triple becomes two nodes (`with_predicate_nodes`). So edges carry predicates, who is the subject can
    be told, several relations between two objects stay apart, and every node has as many edges in as out: A
    is balanced, and D is one matrix. What a convolution gives is added to the vectors whose normalized form
    it read.
    """

    predicate_parts = 2

    def __init__(self, width: int, backend: Backend = "auto") -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = GraphConvolution(width, backend)

    def forward(self, graph: PackedGraphs) -> PackedGraphs:
        """Nodes and both halves of the predicates after one convolution."""
        nodes, sources, targets = with_predicate_nodes(graph)
        return predicates_again(graph, nodes + self.convolution(self.norm(nodes), sources, targets).relu())
