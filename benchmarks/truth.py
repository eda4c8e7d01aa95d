"""Exact personalized PageRank and tie-aware precision, independent of graphcond's engine.

    python benchmarks/truth.py GRAPH_FOLDER TARGETS.npy OUT.npz

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

if TYPE_CHECKING:
    import scipy.sparse

ALPHA = 0.15
BEST = 50
AT_ONCE = 10
TIE = 1e-9
"""Values that differ relatively by less are ties."""


def main() -> None:
    folder, file, out = sys.argv[1:]
    targets = np.load(file)
    found = exact(open_graph(folder), targets)
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
    graph: AttributedGraph, targets: Int64[np.ndarray, " b"], tolerance: float = 1e-10
) -> Iterator[tuple[int, Float64[np.ndarray, " nodes"]]]:
    """Power iteration in float64 until all errors sum to ``tolerance`` at most; each target in turn."""
    nodes = len(graph)
    spread = (1 - ALPHA) * transition(graph, np.float64)
    for block in np.split(targets, range(AT_ONCE, len(targets), AT_ONCE)):
        start = (block, np.arange(len(block)))
        now, change = np.zeros((nodes, len(block))), 1.0
        now[start] = 1
        while change > tolerance * ALPHA:
            then = spread @ now
            then[start] += ALPHA
            now -= then
            change = np.abs(now, out=now).sum(axis=0).max()
            now = then
        yield from zip(block.tolist(), now.T.copy(), strict=True)


def transition(graph: AttributedGraph, dtype: type[np.floating]) -> scipy.sparse.csr_array:
    """The matrix whose column v gives each neighbor of v the same share."""
    import scipy.sparse

    shares = (1 / np.maximum(graph.degrees, 1)).astype(dtype)
    indices = np.asarray(graph.indices)
    indptr = graph.indptr.astype(indices.dtype)
    return scipy.sparse.csr_array((shares[indices], indices, indptr), (len(graph), len(graph)))


if __name__ == "__main__":
    main()
