"""Personalized PageRank over implied edges: nodes that share an artist, a genre or a year are linked.

    python benchmarks/affiliation.py

Prints a markdown table for a seeded graph of ART500K's number of nodes, whose implied edges would fill
tens of gigabytes. Times are medians over targets on one thread, without the time to compile, with
the time to rank the 50 best. Errors are sums over all nodes, against tolerance 1e-13, of ten targets.
Precision@50 counts a node that ties with the 50th as right; ties are the nodes that score as the 50th does,
beyond rank 50 too, median over targets. Peak memory is of the whole process, with numba and the text columns.
"""

from __future__ import annotations

import argparse
from resource import RUSAGE_SELF, getrusage
from time import perf_counter

import numpy as np
import pyarrow as pa

from graphcond.graphs import build_graph
from graphcond.graphs.columns import from_arrow
from graphcond.samplers import AffiliationGraph, AffiliationPPRSampler
from graphcond.samplers.affiliation_power import AffiliationPowerIteration
from graphcond.types import AttributedGraph, EdgeList, NodeTable

BEST = 50
GENRE_SKEW = 1.87
"""The smaller, the larger the largest genre; set so that 311,288 nodes imply some 3.5 billion edges."""
WEIGHTS = {"artist": 1.0, "genre": 0.1, "year": 0.2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nodes", type=int, default=311_288, help="size of the graph")
    parser.add_argument("--targets", type=int, default=50, help="targets for each tolerance")
    options = parser.parse_args()
    graph = synthetic(options.nodes)
    start = perf_counter()
    implied = AffiliationGraph.from_nodes(graph.nodes, WEIGHTS)
    seconds = perf_counter() - start
    targets = np.random.default_rng(0).choice(options.nodes, options.targets, False)
    print(f"{options.nodes:,} nodes, {len(implied.values):,} memberships of {len(implied.kinds):,} values, ")
    print(f"{implied.implied_edges:,} implied edges, read from text in {seconds:.2f} s\n")
    print("| tolerance | ms a target | precision@50 | ties at rank 50 | largest error |")
    print("|---|---:|---:|---:|---:|")
    for tolerance in (1e-3, 1e-6, 1e-9):
        print(f"| {tolerance:g} | {measure(graph, implied, targets, tolerance)} |", flush=True)
    print(f"\npeak memory {getrusage(RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB")


def measure(graph: AttributedGraph, implied: AffiliationGraph, targets: np.ndarray, tolerance: float) -> str:
    sampler = AffiliationPPRSampler(
        graph, attributes=WEIGHTS, neighbors=BEST, tolerance=tolerance, require_picture=False
    )
    sampler.rank(int(targets[0]))
    times = []
    for target in targets.tolist():
        start = perf_counter()
        sampler.rank(target)
        times.append(perf_counter() - start)
    rough = AffiliationPowerIteration(implied, alpha=0.15, tolerance=tolerance)
    exact = AffiliationPowerIteration(implied, alpha=0.15, tolerance=1e-13)
    ties, errors, right = [], [], []
    for target in targets[:10].tolist():
        values = rough.solve(target)
        truth = exact.solve(target)
        errors.append(np.abs(values - truth).sum())
        values[target] = truth[target] = 0
        right.append(truth[sampler.rank(target).nodes] >= np.partition(truth, -BEST)[-BEST] * (1 - 1e-9))
        scores = values.astype(np.float32)
        ties.append(np.count_nonzero(scores == np.partition(scores, -BEST)[-BEST]))
    return f"{1e3 * np.median(times):.1f} | {np.mean(right):.3f} | {np.median(ties):,.0f} | {max(errors):.1g}"


def synthetic(nodes: int) -> AttributedGraph:
    """Artists whose numbers of works follow a power law, some 30 genres, and years around a few peaks."""
    draws = np.random.default_rng(0)
    works = draws.pareto(1.5, nodes // 12) + 1
    artist = draws.choice(len(works), nodes, p=works / works.sum())
    shares = 1 / (np.arange(30) + GENRE_SKEW)
    genre = draws.choice(30, nodes, p=shares / shares.sum())
    year = np.clip(draws.normal(draws.choice([1650, 1780, 1890, 1960], nodes), 30), 1300, 2026).astype(int)
    columns = {"artist": artist, "genre": genre, "year": year}
    table = NodeTable(
        [str(row) for row in range(nodes)],
        [""] * nodes,
        [None] * nodes,
        attributes={name: from_arrow(pa.array(column).cast("string")) for name, column in columns.items()},
    )
    none = np.empty(0, np.int64)
    return build_graph(table, EdgeList(none, none))


if __name__ == "__main__":
    main()
