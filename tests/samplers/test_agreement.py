"""The share of neighbors with the label of their target."""

import numpy as np

from graphcond.context import NeighborContext


def test_the_share_counts_neighbors_that_are_there() -> None:
    neighbors = np.array([[1, 2, -1], [-1, -1, -1], [0, 1, 2]])
    context = NeighborContext(np.array([0, 2, 3]), neighbors, np.zeros((3, 3), np.float32))
    assert context.agreement(["a", "a", "b", "a"]).tolist() == [0.5, 0.0, 2 / 3]
