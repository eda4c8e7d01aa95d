"""Personalized PageRank over implied edges: nodes that share an artist, a genre or a year are linked.

    python benchmarks/affiliation.py

Prints a markdown table for a seeded graph of ART500K's number of nodes, whose implied edges would fill
tens of gigabytes. Times are medians over targets on one thread, one target at a time, without the time to
compile or to prepare, with the time to rank the 50 best. Errors are sums over all nodes, against iteration to
1e-13, of ten targets. Precision@50 counts a node that ties with the 50th as right. Peak memory is of the
whole process, with numba and the text columns.
"""

from __future__ import annotations

import argparse
from resource import RUSAGE_SELF, getrusage
from time import perf_counter

import numpy as np
import pyarrow as pa

from graphcond.attributed_graph import AttributedGraph, EdgeList, NodeTable
from graphcond.graphs import build_graph
from graphcond.graphs.columns import from_arrow
from graphcond.samplers import AffiliationGraph
from graphcond.samplers.affiliation.direct import AffiliationSolver
from graphcond.samplers.affiliation.graph import Profiles
from graphcond.samplers.affiliation.iteration import AffiliationIteration
from graphcond.samplers.ranking import RankingConstraints

BEST, ALPHA, COMPARED = 50, 0.15, 10
GENRE_SKEW = 1.78
"""The smaller, the larger the largest genre; set so that 311,288 nodes imply some 3.5 billion edges."""
WEIGHTS = {"artist": 1.0, "genre": 0.1, "year": 0.2}
COARSE = {"genre": 0.1, "year": 0.2}
Engine = AffiliationSolver | AffiliationIteration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nodes", type=int, default=311_288, help="size of the graph")
    parser.add_argument("--targets", type=int, default=50, help="targets for each row")
    options = parser.parse_args()
    graph = synthetic(options.nodes)
    start = perf_counter()
    implied = AffiliationGraph.from_nodes(graph.nodes, WEIGHTS)
    read = perf_counter() - start
    start = perf_counter()
    direct = AffiliationSolver.on(implied, alpha=ALPHA)
    assert direct is not None
    print(f"{options.nodes:,} nodes, {len(implied.values):,} memberships of {len(implied.kinds):,} values,")
    print(
        f"{len(Profiles.of(implied)):,} different lists of values, {implied.implied_edges:,} implied edges;"
    )
    print(f"read from text in {read:.2f} s, prepared in {perf_counter() - start:.2f} s\n")
    targets = np.random.default_rng(0).choice(options.nodes, options.targets, replace=False)
    oracle = AffiliationIteration(implied, alpha=ALPHA, tolerance=1e-13)
    truths = {target: oracle.solve(target) for target in targets[:COMPARED].tolist()}
    print("| method | ms a target | precision@50 | largest error |")
    print("|---|---:|---:|---:|")
    print(f"| direct (default) | {measure(direct, targets, truths)} |", flush=True)
    for tolerance in (1e-3, 1e-4, 1e-5, 1e-6, 1e-9):
        iteration = AffiliationIteration(implied, alpha=ALPHA, tolerance=tolerance)
        print(f"| iteration, {tolerance:g} | {measure(iteration, targets, truths)} |", flush=True)
    coarse = AffiliationSolver.on(AffiliationGraph.from_nodes(graph.nodes, COARSE), alpha=ALPHA)
    assert coarse is not None
    print(f"\nartist, genre, year: {ties(direct, targets)}")
    print(f"genre, year: {ties(coarse, targets)}\n")
    print(f"peak memory {getrusage(RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB")


def measure(engine: Engine, targets: np.ndarray, truths: dict[int, np.ndarray]) -> str:
    wanted = RankingConstraints(BEST, np.ones(len(engine.incoming), bool))
    engine.rank(targets[:1], wanted)
    times, errors, right = [], [], []
    for target in targets:
        start = perf_counter()
        engine.rank(np.array([target]), wanted)
        times.append(perf_counter() - start)
    for target, truth in truths.items():
        errors.append(np.abs(engine.solve(target) - truth).sum())
        others = np.delete(truth, target)
        chosen = engine.rank(np.array([target]), wanted).neighbors[0]
        right.append(truth[chosen] >= np.partition(others, -BEST)[-BEST] * (1 - 1e-7))
    return f"{1e3 * np.median(times):.2f} | {np.mean(right):.3f} | {max(errors):.1g}"


def ties(direct: AffiliationSolver, targets: np.ndarray) -> str:
    """How many nodes score as the 50th does, and whether those chosen of them are the lowest rows."""
    answer = direct.rank(targets, RankingConstraints(BEST, np.ones(len(direct.incoming), bool)))
    counts, lowest = [], 0
    for target, chosen, scores in zip(targets, answer.neighbors, answer.scores, strict=True):
        all_scores = direct.solve(int(target)).astype(np.float32)
        tied = np.flatnonzero(all_scores == scores[-1])
        tied = tied[tied != target]
        counts.append(len(tied))
        lowest += np.array_equal(chosen[scores == scores[-1]], tied[: (scores == scores[-1]).sum()])
    middle, low, high = np.median(counts), min(counts), max(counts)
    return (
        f"{middle:,.0f} nodes score as the 50th does (median; {low:,} to {high:,}); "
        f"those chosen of them are the lowest rows for {lowest} of {len(targets)} targets"
    )


def synthetic(nodes: int) -> AttributedGraph:
    """Works of artists, whose number follows a power law, in series: one artist, genre and year, mostly.

    An artist has a genre for nine works of ten, and series that grow with the number of works. The year of a
    third of the series is unknown, and so is the artist of a seventh of the works.
    """
    draws = np.random.default_rng(0)
    artists = nodes // 12
    works = draws.pareto(1.5, artists) + 1
    artist = draws.choice(artists, nodes, p=works / works.sum())
    shares = 1 / (np.arange(30) + GENRE_SKEW)
    shares /= shares.sum()
    main = draws.choice(30, artists, p=shares)[artist]
    genre = np.where(draws.random(nodes) < 0.9, main, draws.choice(30, nodes, p=shares))
    counts = np.bincount(artist, minlength=artists)
    series = draws.integers(0, np.ceil(counts**0.35).astype(int)[artist])
    peak = draws.normal(draws.choice([1650, 1780, 1890, 1960], artists), 30)
    year = np.clip(peak[artist] + series % 60, 1300, 2026).astype(int).astype(str)
    unknown = draws.random((artists, series.max() + 1))[artist, series] < 1 / 3
    columns = {
        "artist": np.where(draws.random(nodes) < 1 / 7, "", artist.astype(str)),
        "genre": genre.astype(str),
        "year": np.where(unknown, "", year),
    }
    table = NodeTable(
        [str(row) for row in range(nodes)],
        [""] * nodes,
        [None] * nodes,
        attributes={name: from_arrow(pa.array(column)) for name, column in columns.items()},
    )
    none = np.empty(0, np.int64)
    return build_graph(table, EdgeList(none, none))


if __name__ == "__main__":
    main()
