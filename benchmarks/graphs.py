"""The seeded graphs S, M and L: communities, and degrees that follow a power law.

    python benchmarks/graphs.py S M L
    python benchmarks/graphs.py L --csv outputs/graphs/l.csv.gz

Writes each as a graph folder into outputs/graphs, unless it is there, and with --csv its edges as a gzipped
csv with the columns src,dst, every edge once and in no order. L takes about a minute and 3 GiB of memory.
"""

from __future__ import annotations

import argparse
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from jaxtyping import Int32, Int64

from graphcond.attributed_graph import AttributedGraph, NodeTable
from graphcond.graphs import open_graph, save_graph
from graphcond.graphs.columns import from_arrow
from graphcond.io.files import atomic_file

FOLDER = Path("outputs/graphs")
TAIL = 1.8
"""Exponent of the Pareto weights by which edges choose their ends."""
INSIDE = 0.7
"""Share of the draws that stay in the community they start from; of the edges a little less, by repeats."""
DRAWS = 1 << 22
"""Edges that are drawn at once."""
ROWS = 1 << 22
"""Edges of a csv that are written at once."""


@dataclass(frozen=True)
class Size:
    """How many nodes, undirected edges (without repeats and self-loops) and communities a graph has."""

    nodes: int
    edges: int
    communities: int


SIZES = {
    "S": Size(93_000, 637_000, 500),
    "M": Size(179_000, 3_000_000, 500),
    "L": Size(311_000, 50_000_000, 100),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="+", choices=SIZES, metavar="|".join(SIZES), help="which graphs")
    parser.add_argument("--csv", type=Path, help="write the edges of the one graph named too")
    options = parser.parse_args()
    if options.csv and len(options.names) > 1:
        parser.error("--csv takes one graph")
    for name in options.names:
        folder = folder_of(name)
        graph = open_graph(folder)
        print(f"{folder}: {len(graph):,} nodes, {len(graph.indices) // 2:,} edges, ", end="")
        print(f"largest degree {graph.degrees.max():,}")
        if options.csv:
            write_csv(graph, options.csv)


def folder_of(name: str) -> Path:
    """The folder of the graph ``name``, made if it is not there."""
    folder = FOLDER / name.lower()
    if not (folder / "graph.json").exists():
        save_graph(generate(SIZES[name]), folder)
    return folder


def generate(size: Size, seed: int = 0) -> AttributedGraph:
    """Draw a graph of exactly that ``size``; ids are row numbers, which say nothing of communities."""
    draws = np.random.default_rng(seed)
    ends = _Ends.draw(size, draws)
    keys, new = np.empty(0, np.int64), 1.0
    while len(keys) < size.edges:
        before, count = len(keys), int(1.05 * (size.edges - len(keys)) / new) + 1000
        parts = [ends.pairs(min(DRAWS, count - done), draws) for done in range(0, count, DRAWS)]
        keys = _distinct(np.concatenate([keys, *parts]))
        new = (len(keys) - before) / count
    surplus = draws.choice(len(keys), len(keys) - size.edges, replace=False, shuffle=False)
    return _symmetric(np.delete(keys, surplus), size.nodes)


@dataclass(frozen=True)
class _Ends:
    """From whom edges are drawn: places are sorted by community, ``rows`` says which row stands at a place.

    ``sums`` are the weights of all places before each; a community reaches from ``first`` to ``last``.
    """

    rows: Int64[np.ndarray, " nodes"]
    sums: np.ndarray
    first: Int64[np.ndarray, " nodes"]
    last: Int64[np.ndarray, " nodes"]

    @classmethod
    def draw(cls, size: Size, draws: np.random.Generator) -> _Ends:
        sums = np.concatenate([[0.0], np.cumsum(draws.pareto(TAIL, size.nodes) + 1)])
        community = np.sort(draws.integers(0, size.communities, size.nodes))
        first, last = (np.searchsorted(community, community, side) for side in ("left", "right"))
        return cls(draws.permutation(size.nodes), sums, first, last)

    def pairs(self, count: int, draws: np.random.Generator) -> Int64[np.ndarray, " edges"]:
        """Lower row * nodes + higher row of some ``count`` edges."""
        nodes, total = len(self.rows), self.sums[-1]
        left = np.repeat(np.arange(nodes), draws.multinomial(count, np.diff(self.sums) / total))
        inside = draws.random(count) < INSIDE
        low = np.where(inside, self.sums[self.first[left]], 0.0)
        high = np.where(inside, self.sums[self.last[left]], total)
        right = np.searchsorted(self.sums, low + draws.random(count) * (high - low), side="right") - 1
        ends = self.rows[left], self.rows[np.minimum(right, nodes - 1)]
        lower, higher = np.minimum(*ends), np.maximum(*ends)
        return (lower * nodes + higher)[lower < higher]


def _distinct(keys: Int64[np.ndarray, " keys"]) -> Int64[np.ndarray, " distinct"]:
    """``keys`` in order, each once; numpy's `unique` hashes them, which takes minutes."""
    keys.sort()
    return keys[np.concatenate([[True], keys[1:] != keys[:-1]])]


def _symmetric(keys: Int64[np.ndarray, " edges"], nodes: int) -> AttributedGraph:
    """The graph whose edges are ``keys``, in CSR form with each edge in both rows."""
    lower, higher = np.divmod(keys, nodes)
    both = np.concatenate([keys, higher * nodes + lower])
    degrees = np.bincount(lower, minlength=nodes) + np.bincount(higher, minlength=nodes)
    del keys, lower, higher
    both.sort()
    both %= nodes
    return AttributedGraph(table_of(nodes), np.concatenate([[0], np.cumsum(degrees)]), both.astype(np.int32))


def table_of(nodes: int) -> NodeTable:
    """Nodes whose ids are their row numbers, without texts or pictures."""
    return NodeTable(
        ids=from_arrow(pa.array(np.arange(nodes)).cast(pa.large_string())),
        texts=from_arrow(pa.repeat(pa.scalar("", pa.large_string()), nodes)),
        pictures=from_arrow(pa.nulls(nodes, pa.large_string())),
    )


def write_csv(graph: AttributedGraph, file: Path) -> None:
    """Write each edge of ``graph`` once, in a random order and direction, as a gzipped csv."""
    draws = np.random.default_rng(0)
    ends = np.repeat(np.arange(len(graph), dtype=np.int32), graph.degrees), np.asarray(graph.indices)
    once = ends[0] < ends[1]
    edges = np.stack([end[once] for end in ends])
    del ends, once
    order = draws.permutation(edges.shape[1])
    with atomic_file(file) as temporary, gzip.open(temporary, "wb", compresslevel=1) as stream:
        schema = pa.schema({"src": pa.int32(), "dst": pa.int32()})
        with pyarrow.csv.CSVWriter(stream, schema) as writer:
            for start in range(0, len(order), ROWS):
                writer.write_table(_some(edges[:, order[start : start + ROWS]], draws, schema))


def _some(edges: Int32[np.ndarray, "2 rows"], draws: np.random.Generator, schema: pa.Schema) -> pa.Table:
    turned = draws.random(edges.shape[1]) < 0.5
    return pa.table([np.where(turned, edges[1], edges[0]), np.where(turned, edges[0], edges[1])], schema)


if __name__ == "__main__":
    main()
