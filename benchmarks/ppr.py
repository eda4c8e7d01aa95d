"""Personalized PageRank: the push against networkx, scipy and exact power iteration, in one run.

    python benchmarks/ppr.py --edges citeseer_edges.csv
    python benchmarks/ppr.py --fit

Prints a markdown table for each graph: a list of edges (csv with the columns src,dst) if one is given, and a
synthetic graph of 100,000 nodes in communities, with degrees that follow a power law. Times are medians over
targets on one thread, without the time to compile. Precision@50 counts a node that ties with the 50th as
right. With --fit it prints instead how far estimates are off for several values of FAR_SHARE.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import networkx as nx
import numpy as np
import scipy.sparse

from graphcond.graphs import build_graph
from graphcond.samplers import push
from graphcond.samplers.power import PowerIteration
from graphcond.samplers.push import ForwardPush
from graphcond.samplers.ranking import Ranking, best_first
from graphcond.samplers.walk import RandomWalk
from graphcond.types import AttributedGraph, EdgeList, NodeTable

ALPHA = 0.15
BEST = 50

Method = Callable[[int], Ranking]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--edges", type=Path, help="csv with the columns src,dst, both row numbers")
    parser.add_argument("--nodes", type=int, default=100_000, help="size of the synthetic graph")
    parser.add_argument("--targets", type=int, default=50, help="targets per method; networkx gets 3")
    parser.add_argument("--fit", action="store_true", help="compare values of FAR_SHARE")
    options = parser.parse_args()
    graphs = {f"synthetic, {options.nodes:,} nodes": synthetic(options.nodes)}
    if options.edges:
        graphs = {options.edges.stem: from_csv(options.edges)} | graphs
    for name, graph in graphs.items():
        targets = np.random.default_rng(0).choice(np.flatnonzero(graph.degrees), options.targets, False)
        print(f"\n{name}: {len(graph.indices) // 2:,} edges, largest degree {graph.degrees.max():,}\n")
        (fit if options.fit else compare)(graph, targets.tolist())


def compare(graph: AttributedGraph, targets: list[int]) -> None:
    walk = RandomWalk.on(graph)
    everyone = np.ones(len(graph), bool)
    exact = PowerIteration(walk, alpha=ALPHA)
    truth = {target: exact.solve(target) for target in targets}
    methods: dict[str, Method] = {
        "networkx": with_networkx(graph),
        "scipy power iteration, 1e-6": with_scipy(graph),
        "exact (numba power iteration, 1e-12)": lambda target: exact.best(target, BEST, everyone),
    }
    for epsilon in (1e-5, 3e-6, 1e-6, 1e-7):
        pusher = ForwardPush(walk, alpha=ALPHA, epsilon=epsilon)
        methods[f"push, epsilon {epsilon:g}"] = partial(pusher.best, count=BEST, allowed=everyone)
    print("| method | ms a target | precision@50 | times faster than networkx |\n|---|---|---|---|")
    slowest = 0.0
    for name, method in methods.items():
        milliseconds, precision = measure(method, truth, targets[:3] if name == "networkx" else targets)
        slowest = slowest or milliseconds
        print(f"| {name} | {milliseconds:.2f} | {precision:.3f} | {slowest / milliseconds:,.0f} |")


def measure(method: Method, truth: dict[int, np.ndarray], targets: list[int]) -> tuple[float, float]:
    """Median milliseconds and mean precision."""
    method(targets[0])
    times, right = [], []
    for target in targets:
        start = perf_counter()
        ranking = method(target)
        times.append(perf_counter() - start)
        right.append(precision(ranking, truth[target], target))
    return 1e3 * float(np.median(times)), float(np.mean(right))


def precision(ranking: Ranking, truth: np.ndarray, target: int) -> float:
    others = truth.copy()
    others[target] = 0
    count = min(BEST, np.count_nonzero(others))
    last = np.partition(others, -count)[-count]
    return float((others[ranking.nodes] >= last * (1 - 1e-9)).sum() / count)


def with_networkx(graph: AttributedGraph) -> Method:
    other = nx.Graph()
    other.add_nodes_from(range(len(graph)))
    other.add_edges_from(zip(sources(graph).tolist(), graph.indices.tolist(), strict=True))

    def best(target: int) -> Ranking:
        ranks = nx.pagerank(other, alpha=1 - ALPHA, personalization={target: 1}, tol=1e-12, max_iter=1000)
        return ranked(np.fromiter(ranks.values(), float, len(ranks)), target)

    return best


def with_scipy(graph: AttributedGraph) -> Method:
    shares = 1 / graph.degrees[sources(graph)]
    matrix = scipy.sparse.csr_array((shares, (graph.indices, sources(graph))), (len(graph), len(graph)))

    def best(target: int) -> Ranking:
        start = np.zeros(len(graph))
        start[target] = ALPHA
        now, change = start / ALPHA, 1.0
        while change > 1e-6 * ALPHA:
            then = (1 - ALPHA) * (matrix @ now) + start
            now, change = then, np.abs(then - now).sum()
        return ranked(now, target)

    return best


def ranked(values: np.ndarray, target: int) -> Ranking:
    nodes = np.flatnonzero(values)
    nodes = nodes[nodes != target]
    return best_first(nodes, values[nodes], BEST)


def fit(graph: AttributedGraph, targets: list[int]) -> None:
    """How far the best nodes' estimates are off, relative to what plain push lacks."""
    walk = RandomWalk.on(graph)
    everyone = np.ones(len(graph), bool)
    exact = PowerIteration(walk, alpha=ALPHA)
    print("| epsilon | FAR_SHARE | error, share of the bound |\n|---|---|---|")
    for epsilon in (1e-5, 1e-6):
        pusher = ForwardPush(walk, alpha=ALPHA, epsilon=epsilon)
        for share in (0.0, 0.2, 0.3, 0.4, 0.6, 1.0):
            push.FAR_SHARE = share
            errors = []
            for target in targets:
                ranking = pusher.best(target, BEST, everyone)
                off = np.abs(ranking.scores - exact.solve(target)[ranking.nodes])
                errors.append(float(np.mean(off / (epsilon * walk.degrees[ranking.nodes]))))
            print(f"| {epsilon:g} | {share} | {np.mean(errors):.4f} |")


def sources(graph: AttributedGraph) -> np.ndarray:
    return np.repeat(np.arange(len(graph)), graph.degrees)


def from_csv(file: Path) -> AttributedGraph:
    edges = np.loadtxt(file, delimiter=",", skiprows=1, dtype=np.int64)
    return of_edges(edges[:, 0], edges[:, 1], int(edges.max()) + 1)


def synthetic(nodes: int, degree: int = 7, communities: int = 500) -> AttributedGraph:
    """Seven edges in ten stay in a community; nodes are chosen by weights that follow a power law."""
    draws = np.random.default_rng(0)
    weights = draws.pareto(1.8, nodes) + 1
    community = np.sort(draws.integers(0, communities, nodes))
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    left = np.searchsorted(sums, draws.random(nodes * degree) * sums[-1], side="right") - 1
    inside = draws.random(len(left)) < 0.7
    first, last = (np.searchsorted(community, community[left], side) for side in ("left", "right"))
    low, high = np.where(inside, sums[first], 0.0), np.where(inside, sums[last], sums[-1])
    right = np.searchsorted(sums, low + draws.random(len(left)) * (high - low), side="right") - 1
    return of_edges(left, np.minimum(right, nodes - 1), nodes)


def of_edges(left: np.ndarray, right: np.ndarray, nodes: int) -> AttributedGraph:
    table = NodeTable([str(row) for row in range(nodes)], [""] * nodes, [None] * nodes)
    return build_graph(table, EdgeList(left, right))


if __name__ == "__main__":
    main()
