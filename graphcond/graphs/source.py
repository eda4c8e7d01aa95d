"""The contract of a format of graphs: its record, and the source that its reader returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import AttributedGraph, EdgeList, NodeTable
from graphcond.errors import InputError, did_you_mean
from graphcond.graphs.building.in_memory import build_graph
from graphcond.io.files import inside
from graphcond.io.formats import Format
from graphcond.io.tally import BadRows, Tally

if TYPE_CHECKING:
    from graphcond.graphs.groups import VectorReaders
    from graphcond.graphs.reading.edge_file import EdgeFile

NODE_COLUMNS = ("id", "text", "image", "split", "type")
"""The columns of nodes, by the names that they have unless the user or the format renames them."""


@dataclass(frozen=True)
class GraphSource:
    """Nodes and edges as a format gives them.

    ``given`` holds neighbors that the source chose itself, best first and padded with `ABSENT`.
    ``mirrored`` is True if the source lists every edge in both directions, each with the edge's whole weight.
    ``tally`` holds what the reader left out; nodes and edges that it gives are counted later.
    """

    nodes: NodeTable
    edges: EdgeList
    root: Path | None = None
    given: Int64[np.ndarray, "nodes k"] | None = None
    mirrored: bool = False
    tally: Tally = field(default_factory=Tally)

    def with_pictures_inside(self, place: object) -> GraphSource:
        """The source, read from files, with the paths of its pictures below its folder.

        Raises:
            InputError: a picture lies elsewhere.
        """
        names, root = dict.fromkeys(self.nodes.pictures), self.root or Path()
        below = {name: None if name is None else inside(root, name, place=place) for name in names}
        pictures = [below[name] for name in self.nodes.pictures]
        return replace(self, nodes=replace(self.nodes, pictures=pictures))

    def graph(self, *, directed: bool = False) -> AttributedGraph:
        """The graph in memory; in an undirected one, two mirrored edges are one."""
        edges, tally = self.edges, self.tally
        if self.mirrored and not directed:
            kept = np.flatnonzero(edges.sources <= edges.targets)
            edges = EdgeList(
                edges.sources[kept],
                edges.targets[kept],
                weights=None if edges.weights is None else edges.weights[kept],
                types=None if edges.types is None else [edges.types[row] for row in kept.tolist()],
            )
            if again := len(self.edges) - len(edges):
                tally += Tally({"edges": again}, merged={"edges": again})
        return build_graph(
            self.nodes, edges, directed=directed, root=self.root, given=self.given, tally=tally
        )


@dataclass(frozen=True, kw_only=True)
class GraphFormat(Format[Path]):
    """One format that graphs are read from.

    Other packages offer theirs under the entry point ``graphcond.formats``.

    Args:
        read: the graph in a path that `signs` accepted, with the names that the user's files give to the
            format's columns, or None. It raises `InputError` with place and remedy for whatever is broken,
            and changes nothing.
        features: the vectors of nodes that the format has beside the graph: their name and a function that
            reads them, a row for each node of the graph that ``read`` gives. None without such vectors.
        stream: like ``read``, with the edges left in their file, so that graphs larger than memory are built
            from it. None where the format is read whole.
        skips: ``read`` and ``stream`` take a third argument, a `graphcond.io.tally.BadRows`, and ask it what
            to do with rows that are broken.
    """

    read: Callable[..., GraphSource]
    features: Callable[[Path], VectorReaders] | None = None
    stream: Callable[..., EdgeFile] | None = None
    skips: bool = False

    def given(
        self, path: Path, columns: Mapping[str, str] | None, *, skip_bad_rows: bool
    ) -> tuple[Path, Mapping[str, str] | None] | tuple[Path, Mapping[str, str] | None, BadRows]:
        """The arguments of ``read`` and ``stream``.

        Raises:
            InputError: bad rows are to be skipped, and the format cannot.
        """
        if self.skips:
            return path, columns, BadRows(skip_bad_rows)
        if skip_bad_rows:
            problem = f"the format {self.name} has no rows that can be skipped"
            raise InputError(problem, place="--skip-bad-rows", remedy="leave the option out")
        return path, columns


def node_table(columns: Mapping[str, Sequence[str]], count: int) -> NodeTable:
    """The ``count`` nodes of columns by our names, of which ``id`` must be there; others are attributes."""
    empty = [""] * count
    return NodeTable(
        ids=columns["id"],
        texts=columns.get("text", empty),
        pictures=[picture or None for picture in columns.get("image", empty)],
        types=columns.get("type"),
        splits=columns.get("split"),
        attributes={name: column for name, column in columns.items() if name not in NODE_COLUMNS},
    )


def column_names(defaults: tuple[str, ...], columns: Mapping[str, str] | None) -> dict[str, str]:
    """The name of each column in the user's files: its own name, or what ``columns`` gives instead.

    Raises:
        InputError: ``columns`` names a column that the format does not have.
    """
    for name in columns or {}:
        if name not in defaults:
            raise InputError(f"there is no column '{name}' to rename", remedy=did_you_mean(name, defaults))
    return {name: name for name in defaults} | dict(columns or {})
