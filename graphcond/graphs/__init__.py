"""Reading graphs, building them, storing them as memory-mapped folders, and looking at them."""

from graphcond.graphs.build import build_graph as build_graph
from graphcond.graphs.export import export_metadata as export_metadata
from graphcond.graphs.from_world import World as World
from graphcond.graphs.from_world import save_world as save_world
from graphcond.graphs.inspect import DegreeFigures as DegreeFigures
from graphcond.graphs.inspect import GraphReport as GraphReport
from graphcond.graphs.inspect import inspect_graph as inspect_graph
from graphcond.graphs.load import load_graph as load_graph
from graphcond.graphs.load import read_source as read_source
from graphcond.graphs.metadata import read_metadata as read_metadata
from graphcond.graphs.source import GraphSource as GraphSource
from graphcond.graphs.store import open_graph as open_graph
from graphcond.graphs.store import save_graph as save_graph
from graphcond.graphs.tables import read_edge_list as read_edge_list
from graphcond.graphs.tables import read_tables as read_tables
