"""Small implied graphs for tests of samplers, and the same with their edges written down."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
from hypothesis import strategies as st

from graphcond.attributed_graph import AttributedGraph
from graphcond.samplers import AffiliationGraph
from graphcond.samplers.pagerank.walk import RandomWalk
from tests.samplers.toy_graphs import toy_graph

Lists = list[list[int]]
VALUES = 6
KINDS = np.array([0, 0, 0, 1, 1, 1])
membership = st.lists(st.integers(0, VALUES - 1), max_size=4, unique=True).map(sorted)
weight = st.sampled_from([0.0, 0.25, 1.0, 3.0])


def implied(lists: Lists, weights: tuple[float, float] = (1.0, 0.25)) -> AffiliationGraph:
    """Nodes with these values, of which 0 to 2 are artists and 3 to 5 years."""
    indptr = np.cumsum([0, *map(len, lists)])
    values = np.array([value for values in lists for value in values], np.int32)
    return AffiliationGraph(indptr, values, KINDS, dict(zip(("artist", "year"), weights, strict=True)))


def stored(lists: Lists, weights: tuple[float, float], added: AttributedGraph | None = None) -> RandomWalk:
    """The walk on the same graph with all its edges written down; those of ``added`` count half."""
    sums: Counter[tuple[int, int]] = Counter()
    for left, right in combinations(range(len(lists)), 2):
        for value in set(lists[left]) & set(lists[right]):
            sums[left, right] += weights[KINDS[value]]
            sums[right, left] += weights[KINDS[value]]
    if added is not None:
        for node in range(len(added)):
            for place in range(added.indptr[node], added.indptr[node + 1]):
                edge = 1.0 if added.weights is None else float(added.weights[place])
                sums[node, int(added.indices[place])] += 0.5 * edge
    return RandomWalk.on(toy_graph(len(lists), list(sums), weights=list(sums.values()), directed=True))
