"""Layers of PyG, and other modules that are called in the same way, as layers of a graph network."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import Parameter, signature
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from graphcond.encoders.graph_network import GraphLayer
from graphcond.encoders.scene_graphs import (
    PackedGraphs,
    either_way,
    predicates_again,
    with_predicate_nodes,
)
from graphcond.errors import InputError, did_you_mean, first_line
from graphcond.io.optional import optional

MODULE, SETTINGS = "encoder.module", "encoder.settings"
EDGE_WIDTHS = ("edge_dim", "in_edge_channels")
"""What PyG calls the width of the features of edges."""


class PygLayer(GraphLayer):
    """h + relu(module(norm(h), edge_index, ...)), over edges in both directions.

    The module is called as PyG's convolutions are. Where its ``forward`` names ``edge_attr`` it gets what was
    read of the predicates, for each direction; where it names ``edge_type``, the number of the relation, from
    subject to object, and that number plus ``relations`` on the way back.

    Args:
        module: reads and gives vectors (p, w) of nodes.
        width: w.
        relations: number of distinguished relations, with one for edges of no known relation; 0 where
            relations have no numbers.
        edge_features: whether ``module`` reads ``edge_attr``.
        predicate_nodes: make predicates nodes between subject and object, for a module that does not.

    Raises:
        InputError: the module cannot be called in this way, or returns something else.
    """

    def __init__(
        self,
        module: nn.Module,
        width: int,
        *,
        relations: int = 1,
        edge_features: bool = False,
        predicate_nodes: bool = False,
    ) -> None:
        super().__init__()
        self.norm, self.module = nn.LayerNorm(width), module
        self.relations, self.edge_features, self.predicate_nodes = relations, edge_features, predicate_nodes
        self.edge_types = bool(relations) and "edge_type" in signature(module.forward).parameters
        self.predicate_parts = 2 if edge_features or predicate_nodes else 0
        self._try(width)

    def forward(self, graph: PackedGraphs) -> PackedGraphs:
        """The graph with new vectors of nodes; predicates stay, unless they are nodes."""
        if not len(graph.nodes):
            return graph
        if self.predicate_nodes:
            nodes, sources, targets = with_predicate_nodes(graph)
            return predicates_again(graph, self._updated(nodes, torch.stack([sources, targets])))
        edges, given = torch.stack(either_way(graph)), {}
        if self.edge_features:
            given["edge_attr"] = torch.cat(graph.predicates.chunk(2, dim=-1))
        if self.edge_types and graph.types is not None:
            given["edge_type"] = torch.cat([graph.types, graph.types + self.relations])
        if not given:  # an edge that leads both ways is two triples, and says nothing more the second time
            edges = edges.unique(dim=1)
        return graph.having(self._updated(graph.nodes, edges, **given), graph.predicates)

    def _updated(
        self, nodes: Float[Tensor, "p w"], edges: Int64[Tensor, "2 m"], **given: Tensor
    ) -> Float[Tensor, "p w"]:
        return nodes + self.module(self.norm(nodes), edges, **given).relu()

    def _try(self, width: int) -> None:
        """Call the module with a small graph."""
        nodes, edges = torch.zeros(3, width), torch.tensor([[0, 1, 1], [1, 0, 2]])
        given: dict[str, Tensor] = {}
        if self.edge_features:
            given["edge_attr"] = torch.zeros(3, width)
        if self.edge_types:
            given["edge_type"] = torch.zeros(3, dtype=torch.long)
        name, called = type(self.module).__name__, ", ".join(["x", "edge_index", *given])
        training = self.module.training
        try:
            with torch.no_grad():
                found = self.module.eval()(nodes, edges, **given)
        except Exception as error:  # a module may raise anything
            raise InputError(
                f"{name} cannot be called with ({called}): {first_line(error)}",
                place=MODULE,
                remedy="use a module that is called as PyG's convolutions are, or change its settings",
            ) from error
        self.module.train(training)
        if not isinstance(found, Tensor) or found.shape != nodes.shape:
            what = f"vectors {tuple(found.shape)[1:]}" if isinstance(found, Tensor) else type(found).__name__
            raise InputError(
                f"{name} gives {what} for each node, expected ({width},)",
                place=MODULE,
                remedy="set its settings so that it gives what it reads, such as {concat: false}, or "
                "{out_channels: WIDTH / HEADS}",
            )


def pyg_layer(
    path: str, settings: Mapping[str, Any], width: int, *, relations: int, predicates: bool
) -> PygLayer:
    """A layer with a new module.

    The class gets the width as ``in_channels`` and ``out_channels`` (or ``channels``), that of edge features
    as ``edge_dim`` and twice the relations as ``num_relations``, where its ``__init__`` names them and the
    settings do not.

    Args:
        path: where the class is imported from, such as ``torch_geometric.nn.GATv2Conv``.
        settings: further arguments of the class.
        width: w.
        relations: number of distinguished relations, or 0; see `PygLayer`.
        predicates: predicates matter, so they become nodes for a module that reads neither features nor types
            of edges.

    Raises:
        InputError: there is no such class, it is not a module, or it cannot be made or called in this way.
    """
    kind = module_class(path)
    reads, takes = signature(kind.forward).parameters, signature(kind).parameters
    needed = {name for name, one in reads.items() if one.default is Parameter.empty}
    numbered = takes.get("num_relations")
    if not relations and (
        "edge_type" in needed or (numbered is not None and numbered.default is Parameter.empty)
    ):
        raise InputError(
            f"{path} reads numbers of relations, and those of scene graphs are words",
            place=MODULE,
            remedy="use a module that reads edge_attr, such as torch_geometric.nn.GATv2Conv, or neighbors",
        )
    offered = dict.fromkeys(("in_channels", "out_channels", "channels", *EDGE_WIDTHS), width)
    offered |= {"num_relations": 2 * relations} if relations else {}
    arguments = {name: value for name, value in offered.items() if name in takes} | dict(settings)
    try:
        module = kind(**arguments)
    except Exception as error:  # a module may raise anything
        raise InputError(
            f"{path} cannot be made with {', '.join(arguments) or 'no arguments'}: {first_line(error)}",
            place=SETTINGS,
            remedy="name its other arguments there",
        ) from error
    told = "edge_attr" in needed or ("edge_attr" in reads and bool(arguments.keys() & {*EDGE_WIDTHS, "dim"}))
    typed = "edge_type" in reads and relations > 0
    return PygLayer(
        module,
        width,
        relations=relations,
        edge_features=told,
        predicate_nodes=predicates and not told and not typed,
    )


def module_class(path: str) -> type[nn.Module]:
    """The class at an import path.

    Raises:
        InputError: its package or the class is missing, or it is not a class of modules.
    """
    package, _, name = path.rpartition(".")
    if package.partition(".")[0] == "torch_geometric":
        optional("torch_geometric", "'graphcond[pyg]'", place=MODULE)
    try:
        home = import_module(package)
    except Exception as error:  # a module may raise anything at import
        raise InputError(
            f"{package} cannot be imported: {first_line(error)}",
            place=MODULE,
            remedy="write the path that Python imports the class from, such as mypackage.layers.MyConv",
        ) from error
    if not hasattr(home, name):
        near = did_you_mean(name, [one for one, found in vars(home).items() if isinstance(found, type)])
        remedy = near if near.startswith("did you mean") else "name one of its classes"
        raise InputError(f"{package} has no '{name}'", place=MODULE, remedy=remedy)
    found = getattr(home, name)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise InputError(
            f"{path} is not a class of torch.nn.Module",
            place=MODULE,
            remedy="name one, such as a layer of PyG",
        )
    return found
