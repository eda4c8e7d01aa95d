"""Reading graphs, building them, and storing them as memory-mapped folders."""

from graphcond.graphs.build import build_graph
from graphcond.graphs.load import load_graph, read_source
from graphcond.graphs.metadata import read_metadata
from graphcond.graphs.source import GraphSource
from graphcond.graphs.store import open_graph, save_graph
from graphcond.graphs.tables import read_edge_list, read_tables

__all__ = [
    "GraphSource",
    "build_graph",
    "load_graph",
    "open_graph",
    "read_edge_list",
    "read_metadata",
    "read_source",
    "read_tables",
    "save_graph",
]
