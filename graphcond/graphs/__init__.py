"""Reading graphs, building them, storing them as memory-mapped folders, and looking at them.

``formats`` has a module for each format, ``reading`` the readers of files that they share, ``groups`` makes
one node table of nodes of several types, ``building`` sorts edges into rows. A new format is a `GraphFormat`
in a module of ``formats`` and its line in `graphcond.graphs.load.FORMATS`; other packages offer theirs under
the entry point ``graphcond.formats``.
"""

from graphcond.graphs.building.in_memory import build_graph as build_graph
from graphcond.graphs.building.on_disk import Built as Built
from graphcond.graphs.building.on_disk import build_folder as build_folder
from graphcond.graphs.formats.dgl import embeddings_from_dgl as embeddings_from_dgl
from graphcond.graphs.formats.dgl import from_dgl as from_dgl
from graphcond.graphs.formats.metadata import export_metadata as export_metadata
from graphcond.graphs.formats.metadata import read_metadata as read_metadata
from graphcond.graphs.formats.networkx import from_networkx as from_networkx
from graphcond.graphs.formats.networkx import to_networkx as to_networkx
from graphcond.graphs.formats.pyg import embeddings_from_pyg as embeddings_from_pyg
from graphcond.graphs.formats.pyg import from_pyg as from_pyg
from graphcond.graphs.formats.pyg import to_pyg as to_pyg
from graphcond.graphs.formats.scipy import from_scipy as from_scipy
from graphcond.graphs.formats.scipy import to_scipy as to_scipy
from graphcond.graphs.formats.tables import export_edges as export_edges
from graphcond.graphs.formats.tables import read_edge_list as read_edge_list
from graphcond.graphs.formats.tables import read_tables as read_tables
from graphcond.graphs.from_world import World as World
from graphcond.graphs.from_world import save_world as save_world
from graphcond.graphs.inspect import DegreeFigures as DegreeFigures
from graphcond.graphs.inspect import GraphReport as GraphReport
from graphcond.graphs.inspect import inspect_graph as inspect_graph
from graphcond.graphs.load import graph_formats as graph_formats
from graphcond.graphs.load import load_graph as load_graph
from graphcond.graphs.load import read_features as read_features
from graphcond.graphs.load import read_source as read_source
from graphcond.graphs.source import GraphFormat as GraphFormat
from graphcond.graphs.source import GraphSource as GraphSource
from graphcond.graphs.store import open_graph as open_graph
from graphcond.graphs.store import save_graph as save_graph
