"""Random links within groups of nodes, of which the graphs of worlds are made."""

import numpy as np
from numpy.typing import NDArray

Links = dict[tuple[int, int], str]
"""Undirected edges, the lower node first, and the reason of each."""

Groups = NDArray[np.integer]
"""The group of each node, as a number."""


def check_world(*, noise: float, seed: int) -> None:
    """Check what all worlds of a graph take.

    Raises:
        ValueError: the share of misleading edges or the seed is out of its bounds.
    """
    if not 0 <= noise < 1:
        raise ValueError(f"noise must be a share of all edges, at least 0 and below 1, got {noise}")
    if seed < 0:
        raise ValueError(f"the seed must be 0 or more, got {seed}")


def members(groups: Groups) -> dict[int, NDArray[np.int64]]:
    """The nodes of each group."""
    return {group: np.flatnonzero(groups == group) for group in np.unique(groups)}


def join(
    links: Links,
    groups: Groups,
    partners: dict[int, NDArray[np.int64]],
    goal: int,
    reason: str,
    rng: np.random.Generator,
    apart: Groups | None = None,
) -> None:
    """Join nodes to random partners of their group, where ``apart`` is given to those that differ in it.

    Nodes take turns, so that each has an edge, until there are ``goal`` links. If the groups have too few
    pairs for that, it ends after 50 rounds.
    """
    for _ in range(50):
        for node in rng.permutation(len(groups)).tolist():
            if len(links) >= goal:
                return
            other = int(rng.choice(partners[groups[node]]))
            if node != other and (apart is None or apart[node] != apart[other]):
                links.setdefault((min(node, other), max(node, other)), reason)
