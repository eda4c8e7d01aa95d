"""The edges of a graph by where they lead, in compiled code."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def reversed_edges(indptr, indices, weights, nodes):
    """The edges that lead to each node, in the order of where they come from."""
    starts = np.zeros(nodes + 2, np.uint64)
    for node in indices:
        starts[node + np.uint64(2)] += np.uint64(1)
    starts = np.cumsum(starts)
    into, into_weights = np.empty_like(indices), np.empty_like(weights)
    for node in range(np.uint64(nodes)):
        for edge in range(indptr[node], indptr[node + np.uint64(1)]):
            place = starts[indices[edge] + np.uint64(1)]
            starts[indices[edge] + np.uint64(1)] += np.uint64(1)
            into[place] = node
            if weights.size > 0:
                into_weights[place] = weights[edge]
    return starts[:-1], into, into_weights
