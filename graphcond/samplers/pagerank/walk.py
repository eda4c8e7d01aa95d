"""The random walk on a graph, as the flat arrays that compiled code reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Float64, Int, Shaped, UInt, UInt64

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError


@dataclass(frozen=True)
class RandomWalk:
    """A walk that leaves a node along its edges, each in proportion to its weight.

    Where no edge leaves a node, or only edges of weight 0, the walk returns to where it began.
    Arrays are read-only and their indices unsigned: compiled code then needs one specialisation for
    each width of index and no check for negative ones. The graph's own memory is used, not copied.

    ``strengths`` sums the weights that leave a node (its degree in an unweighted graph), ``incoming`` those
    that lead to it, and ``degrees`` is ``strengths`` in units of the mean weight. ``weights`` is empty where
    all edges weigh 1.
    """

    indptr: UInt64[np.ndarray, " nodes_plus_1"]
    indices: UInt[np.ndarray, " edges"]
    weights: Float32[np.ndarray, " edges_or_0"]
    strengths: Float64[np.ndarray, " nodes"]
    degrees: Float64[np.ndarray, " nodes"]
    incoming: Float64[np.ndarray, " nodes"]
    directed: bool

    def __len__(self) -> int:
        return len(self.strengths)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The arrays that compiled code reads: ``indptr, indices, weights, strengths``."""
        return self.indptr, self.indices, self.weights, self.strengths

    @cached_property
    def into(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The edges that lead to each node: ``indptr, indices, weights``; a copy in a directed graph."""
        if not self.directed:
            return self.indptr, self.indices, self.weights
        # Imported here: numba takes half a second, which commands that sample nothing should not wait.
        from graphcond.samplers.pagerank.kernels import reversed_edges

        return reversed_edges(self.indptr, self.indices, self.weights, len(self))

    @cached_property
    def far(self) -> tuple[Float64[np.ndarray, " nodes"], float]:
        """Where walks are that began long ago, and the share of them that goes on with each further step.

        The others end, where no edge leaves a node. Without edge directions walks are at a node in proportion
        to its strength; otherwise this is what a few dozen steps from all nodes lead to.
        """
        if not self.directed:
            return self.strengths / (self.strengths.sum() or 1.0), 1.0
        from graphcond.samplers.pagerank.power import long_walks  # numba, as above

        return long_walks(self)

    @classmethod
    def on(cls, graph: AttributedGraph) -> RandomWalk:
        """The walk on ``graph``.

        Raises:
            InputError: the graph's arrays do not fit together, or a weight is negative or not finite.
        """
        indptr, indices = np.asarray(graph.indptr, np.int64), np.asarray(graph.indices)
        weights = np.empty(0, np.float32) if graph.weights is None else np.asarray(graph.weights, np.float32)
        check_edges(len(graph), indptr, indices)
        fine = len(weights) == len(indices) and bool((np.isfinite(weights) & (weights >= 0)).all())
        if len(weights) and not fine:
            problem = "the graph's edge weights must be finite and at least 0, one for each edge"
            raise InputError(problem, remedy="correct the weights, or leave them out")
        strengths = row_sums(indptr, weights) if len(weights) else np.diff(indptr).astype(np.float64)
        unit = strengths.sum() / max(len(indices), 1) or 1.0
        if graph.directed:
            incoming = np.bincount(indices, weights if len(weights) else None, len(graph)).astype(np.float64)
        else:
            incoming = strengths
        return cls(
            _unsigned(indptr),
            _unsigned(indices),
            _read_only(weights),
            strengths,
            strengths / unit,
            incoming,
            graph.directed,
        )


def check_edges(nodes: int, indptr: np.ndarray, indices: np.ndarray) -> None:
    """Check that all edges lead to nodes: compiled code checks no bounds and would read foreign memory.

    Raises:
        InputError: the graph's arrays do not fit together.
    """
    if (
        len(indptr) != nodes + 1
        or indptr[0] != 0
        or indptr[-1] != len(indices)
        or (np.diff(indptr) < 0).any()
    ):
        raise InputError("the graph's edge offsets do not fit its edges", remedy="build the graph again")
    if len(indices) and not 0 <= indices.min() <= indices.max() < nodes:
        raise InputError("an edge leads to a node that does not exist", remedy="build the graph again")


def row_sums(
    indptr: Int[np.ndarray, " rows_plus_1"], values: Shaped[np.ndarray, " edges"]
) -> Float64[np.ndarray, " rows"]:
    """The sum of each row's values; 0 for a row without any."""
    counts = np.diff(indptr)
    sums = np.zeros(len(counts))
    # For an empty row `reduceat` gives the value at its offset, not 0, so such rows are left out.
    sums[counts > 0] = np.add.reduceat(values, indptr[:-1][counts > 0], dtype=np.float64)
    return sums


def _unsigned(array: np.ndarray) -> UInt[np.ndarray, " n"]:
    if array.dtype not in (np.int32, np.int64):
        array = array.astype(np.int64)
    return _read_only(np.ascontiguousarray(array).view(f"u{array.itemsize}"))


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
