"""Exact personalized PageRank and tie-aware precision, independent of graphcond's engine.

    python benchmarks/truth.py GRAPH_FOLDER ALPHA TARGETS.npy OUT.npz

writes, for each target, which nodes a perfect ranking may name; `bench_ppr.py` calls it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int64

from graphcond.attributed_graph import AttributedGraph
from graphcond.graphs import open_graph
from graphcond.samplers.ranking import TIE

if TYPE_CHECKING:
    import scipy.sparse

ALPHA = 0.15
BEST = 50
AT_ONCE = 10


def main() -> None:
    folder, alpha, file, out = sys.argv[1:]
    targets = np.load(file)
    found = exact(open_graph(folder), targets, alpha=float(alpha))
    write_right(Path(out), targets, [right_nodes(values, target) for target, values in found])


@dataclass(frozen=True)
class Right:
    """The nodes that may stand among the best (more than ``count`` where some tie with the last)."""

    nodes: Int64[np.ndarray, " nodes"]
    count: int

    def precision(self, answer: Int64[np.ndarray, " k"]) -> float:
        """Share of the ``count`` best places that ``answer`` fills with right nodes."""
        hits = len(np.intersect1d(answer[:BEST], self.nodes))
        return min(hits, self.count) / self.count


def write_right(file: Path, targets: Int64[np.ndarray, " b"], rights: list[Right]) -> None:
    np.savez(
        file,
        targets=targets,
        counts=[right.count for right in rights],
        ends=np.cumsum([len(right.nodes) for right in rights]),
        nodes=np.concatenate([right.nodes for right in rights]),
    )


def read_right(file: Path) -> dict[int, Right]:
    """What `write_right` wrote, by target."""
    saved = np.load(file)
    parts = np.split(saved["nodes"], saved["ends"][:-1])
    rows = zip(saved["targets"].tolist(), parts, saved["counts"].tolist(), strict=True)
    return {target: Right(nodes, count) for target, nodes, count in rows}


def right_nodes(values: Float64[np.ndarray, " nodes"], target: int, best: int = BEST) -> Right:
    """The nodes other than ``target`` whose value is that of the last of the ``best`` or more."""
    others = values.copy()
    others[target] = 0
    count = min(best, np.count_nonzero(others))
    last = np.partition(others, -count)[-count] if count else np.inf
    return Right(np.flatnonzero(others >= last * (1 - TIE)), count)


def exact(
    graph: AttributedGraph,
    targets: Int64[np.ndarray, " b"],
    *,
    alpha: float = ALPHA,
    tolerance: float = 1e-10,
) -> Iterator[tuple[int, Float64[np.ndarray, " nodes"]]]:
    """Power iteration in float64 until all errors sum to ``tolerance`` at most; each target in turn."""
    nodes = len(graph)
    spread = (1 - alpha) * transition(graph, np.float64)
    stuck = np.flatnonzero(strengths(graph) == 0)
    for block in np.split(targets, range(AT_ONCE, len(targets), AT_ONCE)):
        start = (block, np.arange(len(block)))
        now, change = np.zeros((nodes, len(block))), 1.0
        now[start] = 1
        while change > tolerance * alpha:
            then = spread @ now
            then[start] += alpha + (1 - alpha) * now[stuck].sum(axis=0)
            now -= then
            change = np.abs(now, out=now).sum(axis=0).max()
            now = then
        yield from zip(block.tolist(), now.T.copy(), strict=True)


def strengths(graph: AttributedGraph) -> Float64[np.ndarray, " nodes"]:
    """The sum of the weights that leave each node."""
    weights = np.ones(len(graph.indices)) if graph.weights is None else graph.weights
    rows = np.repeat(np.arange(len(graph)), graph.degrees)
    return np.bincount(rows, weights, len(graph)).astype(np.float64)


def transition(graph: AttributedGraph, dtype: type[np.floating]) -> scipy.sparse.csr_array:
    """The matrix whose column v gives each neighbor of v its share."""
    import scipy.sparse

    sums = strengths(graph)
    shares = np.divide(1, sums, out=np.zeros(len(graph)), where=sums > 0).astype(dtype)
    indices = np.asarray(graph.indices)
    indptr, shape = graph.indptr.astype(indices.dtype), (len(graph), len(graph))
    weights = dtype(1) if graph.weights is None else graph.weights.astype(dtype)
    if not graph.directed:  # symmetric: nothing to transpose
        return scipy.sparse.csr_array((weights * shares[indices], indices, indptr), shape)
    leaving = weights * np.repeat(shares, graph.degrees)
    return scipy.sparse.csr_array((leaving, indices, indptr), shape).T.tocsr()


if __name__ == "__main__":
    main()
