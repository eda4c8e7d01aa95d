"""How the cost of sampling grows with a graph's nodes and edges.

    python benchmarks/scaling.py

Draws graphs of the family of graphs.py, in which the mean degree or the number of nodes is fixed and the
other grows, beside S, M and L. For each it prints what it takes to be ready (the walk checked, the precision
of 0.99 calibrated), the cost of a target, and how much of the graph a target looks at. Power laws are fitted
by least squares on logarithms and followed to larger graphs, without a promise that they go on that way. One
thread; times are medians over 64 targets, seconds are of a single run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from graphs import SIZES, Size, folder_of, generate

from graphcond.attributed_graph import AttributedGraph
from graphcond.graphs import open_graph
from graphcond.samplers import PPRSampler
from graphcond.samplers.pagerank.push import ForwardPush
from graphcond.samplers.ranking import RankingConstraints

BEST, ALPHA, TARGETS, REPEATS = 50, 0.15, 64, 5
BY_NODES = [Size(nodes, 7 * nodes, max(nodes // 190, 1)) for nodes in (25_000, 100_000, 400_000, 1_600_000)]
"""Mean degree 14, communities of 190 nodes, as S."""
BY_DEGREE = [Size(200_000, 100_000 * degree, 200) for degree in (8, 32, 128)]
"""200,000 nodes in 200 communities."""
AIMS = {"ART500K": (311_288, 643_008_344), "10 billion edges": (1_000_000_000, 10_000_000_000)}


@dataclass(frozen=True)
class Cost:
    """What was measured on a graph."""

    nodes: int
    edges: int
    ready_s: float
    way: str
    ms: float
    pushed: float


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    print(
        "| graph | nodes | edges | ready s | method | ms a target | edges pushed along | share of all edges |"
    )
    print("|---|---:|---:|---:|---|---:|---:|---:|")
    by_nodes = [shown(f"degree 14, {size.nodes:,} nodes", generate(size)) for size in BY_NODES]
    by_degree = [
        shown(f"200,000 nodes, degree {2 * size.edges // size.nodes}", generate(size)) for size in BY_DEGREE
    ]
    named = [shown(name, open_graph(folder_of(name))) for name in SIZES]
    print("\n| fitted on | quantity | grows as |\n|---|---|---|")
    for label, costs, axis in (
        ("mean degree 14", by_nodes, "nodes"),
        ("200,000 nodes", by_degree, "edges"),
        ("S, M and L", named, "edges"),
    ):
        for quantity in ("ms", "pushed", "ready_s"):
            power = fit(costs, axis, quantity)[0]
            print(f"| {label} | {quantity} | {axis}^{power:.2f} |")
    print("\n| followed to | ms a target | edges pushed along | ready |\n|---|---:|---:|---:|")
    for name, (_, edges) in AIMS.items():
        ms, pushed, ready = (follow(named, quantity, edges) for quantity in ("ms", "pushed", "ready_s"))
        print(f"| {name} | {ms:.1f} | {pushed:,.0f} | {ready / 60:.0f} min |")


def shown(name: str, graph: AttributedGraph) -> Cost:
    cost = measure(graph)
    print(
        f"| {name} | {cost.nodes:,} | {cost.edges:,} | {cost.ready_s:.1f} | {cost.way} | {cost.ms:.2f} "
        f"| {cost.pushed:,.0f} | {cost.pushed / (2 * cost.edges):.2%} |",
        flush=True,
    )
    return cost


def measure(graph: AttributedGraph) -> Cost:
    start = perf_counter()
    sampler = PPRSampler(graph, neighbors=BEST, alpha=ALPHA, require_picture=False)
    ready = perf_counter() - start
    targets = np.random.default_rng(1).choice(np.flatnonzero(graph.degrees), TARGETS, replace=False)
    draws = np.random.default_rng(0)
    times = [timed(lambda: sampler.sample(targets, draws)) for _ in range(REPEATS)]
    pushed = float("nan")
    if isinstance(sampler.pagerank, ForwardPush):
        wanted = RankingConstraints(BEST, np.ones(len(graph), bool))
        pushed = float(sampler.pagerank.rank_and_count(targets, wanted)[1].mean())
    return Cost(
        len(graph),
        len(graph.indices) // 2,
        ready,
        repr(sampler.pagerank),
        1e3 * float(np.median(times)) / TARGETS,
        pushed,
    )


def timed(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def fit(costs: list[Cost], axis: str, quantity: str) -> tuple[float, float]:
    """Exponent and logarithm of the factor of the power law through ``quantity`` over ``axis``."""
    known = [cost for cost in costs if np.isfinite(getattr(cost, quantity))]
    logs = [np.log([getattr(cost, name) for cost in known]) for name in (axis, quantity)]
    power, factor = np.polyfit(*logs, 1)
    return float(power), float(factor)


def follow(costs: list[Cost], quantity: str, edges: float) -> float:
    power, factor = fit(costs, "edges", quantity)
    return float(np.exp(factor + power * np.log(edges)))


if __name__ == "__main__":
    main()
