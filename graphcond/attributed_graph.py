"""A multimodal attributed graph: nodes with texts and pictures, edges in CSR form.

Nothing here imports torch, so that readers and the command line stay light.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int64, Integer, UInt8

from graphcond.errors import InputError, respelled
from graphcond.io.files import FilesInside, file_inside
from graphcond.io.tally import Tally
from graphcond.splits import rows_in

ABSENT = -1
"""Padding of a row of neighbors where a target has fewer than requested."""


class ShortRepr:
    """Something large that is printed as a line: the shapes of its arrays, and how many other things."""

    def __repr__(self) -> str:
        parts = (_short(name, value) for name, value in vars(self).items() if value is not None)
        return f"{type(self).__name__}({', '.join(parts)})"


def _short(name: str, value: Any) -> str:
    if hasattr(value, "shape"):
        return f"{name} {'x'.join(map(str, value.shape))}"
    if isinstance(value, Sequence | Mapping) and not isinstance(value, str):
        return f"{len(value)} {name}"
    kind, shown = type(value).__name__, repr(value)
    if shown.startswith("<"):  # an address says nothing
        return kind
    return shown if shown.startswith(kind) else f"{name} {shown}"


@dataclass(frozen=True, repr=False)
class NodeTable:
    """The nodes of a graph, column by column; row ``i`` of every column is node ``i``.

    ``pictures`` are POSIX paths relative to the graph's root folder, ``None`` where a node has none.
    ``attributes`` holds further text columns (an artist, a year), each as long as ``ids``.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    pictures: Sequence[str | None]
    types: Sequence[str] | None = None
    splits: Sequence[str] | None = None
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        columns = [name for name in ("types", "splits") if getattr(self, name) is not None]
        return f"NodeTable({', '.join([f'{len(self)} nodes', *columns, *self.attributes])})"

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Node id to row."""
        return {node_id: row for row, node_id in enumerate(self.ids)}

    def in_split(self, *splits: str) -> Int64[np.ndarray, " nodes"]:
        """As `graphcond.splits.rows_in`."""
        return rows_in(self.splits, splits)


@dataclass(frozen=True, repr=False)
class EdgeList:
    """Edges as pairs of rows of a `NodeTable`, with an optional weight and type for each."""

    sources: Int64[np.ndarray, " edges"]
    targets: Int64[np.ndarray, " edges"]
    weights: Float32[np.ndarray, " edges"] | None = None
    types: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def __repr__(self) -> str:
        columns = [name for name in ("weights", "types") if getattr(self, name) is not None]
        return f"EdgeList({', '.join([f'{len(self)} edges', *columns])})"


@dataclass(frozen=True, repr=False)
class AttributedGraph:
    """A multimodal attributed graph: nodes with a text and a picture, edges in CSR form.

    The neighbors of node ``i`` are ``indices[indptr[i]:indptr[i + 1]]``, sorted, without repeats and
    without self-loops. Arrays may be memory maps and must not be written to.

    ``given`` holds neighbors that the source chose itself, best first and padded with `ABSENT`. They are
    kept as the source gives them, so a row may name its own node; samplers skip it.
    """

    nodes: NodeTable
    indptr: Int64[np.ndarray, " nodes_plus_1"]
    indices: Integer[np.ndarray, " edges"]
    weights: Float32[np.ndarray, " edges"] | None = None
    edge_types: UInt8[np.ndarray, " edges"] | None = None
    edge_type_names: tuple[str, ...] = ()
    directed: bool = False
    root: Path | None = None
    given: Int64[np.ndarray, "nodes k"] | None = None
    tally: Tally = field(default_factory=Tally, compare=False)
    """What was read and left out when the graph was made."""

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        kind, times = ("directed", 1) if self.directed else ("undirected", 2)
        edges = f"{len(self.indices) // times} {kind} edges of {max(1, len(self.edge_type_names))} types"
        return f"AttributedGraph({self.nodes!r}, {edges}, root={str(self.root)!r})"

    def neighbors(self, node: int) -> Integer[np.ndarray, " degree"]:
        """Rows next to ``node``, ascending."""
        return self.indices[self.indptr[node] : self.indptr[node + 1]]

    @cached_property
    def degrees(self) -> Int64[np.ndarray, " nodes"]:
        """Number of neighbors of every node."""
        return np.diff(self.indptr)

    @property
    def relation_names(self) -> tuple[str, ...]:
        """Names of the relations of a `NeighborContext`, from 1 on.

        They are the edge types. In a directed graph those of edges that lead back follow, as ``rev_<type>``.
        """
        names = self.edge_type_names
        return (*names, *(f"rev_{name}" for name in names)) if self.directed else names

    def picture_path(self, node: int) -> Path | None:
        """The path of the picture of ``node``, or None if it has none.

        Raises:
            InputError: it would leave the graph's root folder.
        """
        return file_inside(self.root, self.nodes.pictures[node])

    @property
    def picture_paths(self) -> Sequence[Path | None]:
        """`picture_path` of every node; each path is checked when it is requested."""
        return FilesInside(self.root, self.nodes.pictures)


@runtime_checkable
class LazyRows(Protocol):
    """A substitute for a matrix of vectors that computes rows when they are first requested."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and width."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number format of a row."""

    @property
    def identity(self) -> str:
        """A name that changes whenever a row would; it is found without computing one."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        """Rows by their numbers."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All rows."""


Column: TypeAlias = Literal["pictures", "texts", "extra"]
"""A table of `NodeEmbeddings`."""


@dataclass(frozen=True, repr=False)
class NodeEmbeddings(ShortRepr):
    """Embeddings of all nodes; row ``i`` belongs to row ``i`` of the `NodeTable`.

    Arrays may be float16 memory maps. Rows of nodes without a picture are zero in ``pictures``.
    ``pictures`` and ``texts`` share one space (CLIP's, say); ``extra`` is any other embedding. Each may also
    be a table that computes rows when they are requested.
    """

    pictures: Float[np.ndarray, "nodes d"] | LazyRows | None = None
    texts: Float[np.ndarray, "nodes d"] | LazyRows | None = None
    extra: Float[np.ndarray, "nodes e"] | LazyRows | None = None

    def identity(self) -> tuple[object, ...]:
        """The value that identifies these embeddings in `graphcond.io.fingerprint.fingerprint`."""
        tables = (self.pictures, self.texts, self.extra)
        return tuple(table.identity if isinstance(table, LazyRows) else table for table in tables)


COMPARED = 100_000
"""Ids that are compared letter by letter with one that does not exist; this takes seconds."""


def rows_named(
    ids: Sequence[str], index: Mapping[str, int], *, noun: str, place: object
) -> Int64[np.ndarray, " n"]:
    """The rows of ``ids``.

    Args:
        ids: the ids to look up.
        index: the row of every id.
        noun: the thing that an id names, for the error.
        place: where it is looked for, for the error.

    Raises:
        InputError: an id has no row; the remedy names the same id in another spelling, or the nearest.
    """
    for name in ids:
        if name not in index:
            nearest = get_close_matches(name, islice(index, COMPARED), n=1) or list(islice(index, 1))
            remedy = f"did you mean '{nearest[0]}'?" if nearest else f"there are no {noun}s at all"
            raise InputError(
                f"there is no {noun} '{name}'", place=place, remedy=respelled(name, index) or remedy
            )
    return np.array([index[name] for name in ids], np.int64)
