"""The best few of many scored nodes, in compiled code: a bounded heap whose worst entry is at its root.

Of equal scores the lower row is the better one, so the answer does not depend on the order of the offers.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def offer(scores, nodes, size, score, node):  # type: ignore[no-untyped-def]
    """Take ``node`` in if it is among the ``len(scores)`` best so far; the new number of entries."""
    if size < scores.size:
        place = size
        while place > 0:
            above = (place - 1) // 2
            if _better(scores[above], nodes[above], score, node):
                scores[place], nodes[place] = scores[above], nodes[above]
                place = above
            else:
                break
        scores[place], nodes[place] = score, node
        return size + 1
    if size > 0 and _better(score, node, scores[0], nodes[0]):
        _sink(scores, nodes, size, score, node)
    return size


@njit(cache=True, nogil=True)
def best_to_worst(scores, nodes, size):  # type: ignore[no-untyped-def]
    """Put the entries of a heap in order, the best first."""
    for end in range(size - 1, 0, -1):
        score, node = scores[end], nodes[end]
        scores[end], nodes[end] = scores[0], nodes[0]
        _sink(scores, nodes, end, score, node)


@njit(cache=True, nogil=True)
def _sink(scores, nodes, size, score, node):  # type: ignore[no-untyped-def]
    """Put an entry in the root's place, and then where it belongs."""
    place = 0
    while True:
        below = 2 * place + 1
        if below >= size:
            break
        if below + 1 < size and _better(scores[below], nodes[below], scores[below + 1], nodes[below + 1]):
            below += 1
        if not _better(score, node, scores[below], nodes[below]):
            break
        scores[place], nodes[place] = scores[below], nodes[below]
        place = below
    scores[place], nodes[place] = score, node


@njit(cache=True, nogil=True, inline="always")
def _better(score, node, other_score, other_node):  # type: ignore[no-untyped-def]
    return score > other_score or (score == other_score and node < other_node)


def empty(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Room for the scores (float32) and rows (int64) of ``count`` entries."""
    return np.empty(count, np.float32), np.empty(count, np.int64)
