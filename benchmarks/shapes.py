"""Ten seeded graphs of different shapes, from local to hub-heavy, weighted and directed ones.

A sampler that is fast on one generator's graphs need not be on others: how far a walk spreads, and how many
edges a push along its way reads, depends on the shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from graphs import Size, generate, table_of
from jaxtyping import Float64, Int64

from graphcond.attributed_graph import AttributedGraph

Draws = np.random.Generator
Ends = Int64[np.ndarray, "2 edges"]


@dataclass(frozen=True)
class Shape:
    """A graph to draw, the alpha to rank it with, and what it stands for."""

    words: str
    draw: Callable[[Draws], AttributedGraph]
    alpha: float = 0.15


def communities(_: Draws) -> AttributedGraph:
    return generate(Size(50_000, 400_000, 300))


def grid(draws: Draws, side: int = 250) -> AttributedGraph:
    """A square lattice without a tenth of its edges."""
    rows = np.arange(side**2).reshape(side, side)
    right, down = (rows[:, :-1], rows[:, 1:]), (rows[:-1], rows[1:])
    ends = np.stack([np.concatenate([part[end].ravel() for part in (right, down)]) for end in range(2)])
    return linked(side**2, ends[:, draws.random(ends.shape[1]) < 0.9])


def path(_: Draws, nodes: int = 50_000) -> AttributedGraph:
    return linked(nodes, np.stack([np.arange(nodes - 1), np.arange(1, nodes)]))


def components(draws: Draws, count: int = 1_000, size: int = 60) -> AttributedGraph:
    """Random graphs of 60 nodes and some 180 edges each, not linked to each other."""
    first = size * np.repeat(np.arange(count), 3 * size)
    return linked(count * size, first + draws.integers(0, size, (2, len(first))))


def heavy_tail(draws: Draws, nodes: int = 60_000, edges: int = 900_000) -> AttributedGraph:
    """Both ends of an edge follow one power law over all nodes."""
    return linked(nodes, ends_by(draws.pareto(1.3, nodes) + 1, edges, draws))


def stars(draws: Draws, hubs: int = 25, nodes: int = 50_000) -> AttributedGraph:
    """Each node is linked to two of 25 hubs, and to two others at random."""
    leaves = np.arange(hubs, nodes)
    to_hubs = [np.stack([leaves, draws.integers(0, hubs, len(leaves))]) for _ in range(2)]
    return linked(nodes, np.concatenate([*to_hubs, draws.integers(hubs, nodes, (2, nodes))], axis=1))


def co_occurrence(draws: Draws, items: int = 30_000, baskets: int = 60_000) -> AttributedGraph:
    """Items by the baskets that they share; which item is bought follows a power law."""
    popular = draws.pareto(1.2, items) + 1
    held = draws.choice(items, (baskets, 6), p=popular / popular.sum())
    pairs = [np.stack([held[:, one], held[:, other]]) for one in range(6) for other in range(one)]
    return linked(items, np.concatenate(pairs, axis=1), weighted=True)


def popular_targets(draws: Draws, nodes: int = 60_000) -> AttributedGraph:
    """Directed: some 13 edges leave a node, none each twentieth; a power law says where they lead."""
    leaving = np.where(draws.random(nodes) < 0.05, 0, draws.lognormal(2.2, 0.9, nodes)).astype(np.int64)
    popular = draws.pareto(1.2, nodes) + 1
    left = np.repeat(np.arange(nodes), leaving)
    right = draws.choice(nodes, len(left), p=popular / popular.sum())
    return linked(nodes, np.stack([left, right]), directed=True)


def regular(draws: Draws, nodes: int = 50_000) -> AttributedGraph:
    """Four random circles through all nodes, which few pairs share: almost all have 8 neighbors."""
    circles = [draws.permutation(nodes) for _ in range(4)]
    return linked(nodes, np.concatenate([np.stack([way, np.roll(way, 1)]) for way in circles], axis=1))


SHAPES = {
    "communities": Shape("communities of a power law, as S, M and L", communities),
    "grid": Shape("road-like lattice", grid),
    "path": Shape("one path", path),
    "components": Shape("1,000 small components", components),
    "heavy-tail": Shape("one giant community of a heavy tail", heavy_tail),
    "stars": Shape("25 hubs", stars),
    "weighted": Shape("co-occurrence, weighted", co_occurrence),
    "directed": Shape("directed, popular targets", popular_targets),
    "regular": Shape("random 8-regular", regular),
    "regular-0.5": Shape("random 8-regular, alpha 0.5", regular, alpha=0.5),
}


def draw(name: str) -> AttributedGraph:
    """The graph ``name`` of `SHAPES`, always the same."""
    return SHAPES[name].draw(np.random.default_rng(0))


def ends_by(popular: Float64[np.ndarray, " nodes"], edges: int, draws: Draws) -> Ends:
    """Edges whose ends are drawn in proportion to ``popular``."""
    return draws.choice(len(popular), (2, edges), p=popular / popular.sum())


def linked(nodes: int, ends: Ends, *, weighted: bool = False, directed: bool = False) -> AttributedGraph:
    """The graph with these edges, without self-loops; repeats add up to weights or are left out."""
    ends = ends[:, ends[0] != ends[1]]
    if not directed:
        ends = np.concatenate([ends, ends[::-1]], axis=1)
    matrix = scipy.sparse.csr_array((np.ones(ends.shape[1], np.float32), tuple(ends)), (nodes, nodes))
    matrix.sum_duplicates()
    weights = matrix.data if weighted else None
    indptr, indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    return AttributedGraph(table_of(nodes), indptr, indices, weights, directed=directed)
