"""Draws a world into a graph folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from PIL import Image

from graphcond.attributed_graph import AttributedGraph, EdgeList, NodeTable
from graphcond.graphs.building.in_memory import build_graph
from graphcond.graphs.store import check_replaceable, open_graph, write_graph
from graphcond.io.files import atomic_folder
from graphcond.progress import Progress, counted


@runtime_checkable
class World(Protocol):
    """A graph whose nodes, edges and pictures are computed."""

    def nodes(self) -> NodeTable:
        """The nodes; their pictures are paths in the folder to be written."""
        ...

    def edges(self) -> EdgeList:
        """The edges."""
        ...

    def draw(self, index: int) -> Image.Image:
        """The picture of a node."""
        ...


def save_world(
    world: World,
    folder: Path | str,
    *,
    directed: bool = False,
    progress: Progress | None = None,
) -> AttributedGraph:
    """Draw ``world`` into a graph folder, pictures included, and open it.

    Args:
        world: the world.
        folder: a new folder, or a graph folder to replace.
        directed: keep edges in the one row they start from.
        progress: called with the number of pictures drawn and the number of nodes.

    Raises:
        InputError: ``folder`` holds something else.
    """
    folder = Path(folder)
    check_replaceable(folder)
    graph = build_graph(world.nodes(), world.edges(), directed=directed, root=folder)
    with atomic_folder(folder) as temporary:
        draw_pictures(world.draw, graph.nodes.pictures, temporary, progress)
        write_graph(graph, temporary, folder)
    return open_graph(folder)


def draw_pictures(
    draw: Callable[[int], Image.Image], names: Sequence[str | None], into: Path, progress: Progress | None
) -> None:
    """Draw the picture of each row that has the name of one."""
    for row, name in counted(list(enumerate(names)), progress):
        if name is not None:
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            draw(row).save(into / name)
