"""Edges of the art world: some stay with an artist, others join what hangs together by accident."""

import numpy as np
from numpy.typing import NDArray

Links = dict[tuple[int, int], str]
"""Undirected edges, lower node first, and the reason of each."""

Groups = NDArray[np.integer]

SERIES_SHARE = 0.8
YEAR_SHARE = 0.7
HUBS_PER_MUSEUM = 8


def link_paintings(
    *,
    artist: Groups,
    series: Groups,
    year: Groups,
    museum: Groups,
    degree: float,
    noise: float,
    rng: np.random.Generator,
) -> Links:
    """Link paintings.

    Args:
        artist: number of the artist of each node, (N,).
        series: likewise.
        year: likewise.
        museum: likewise.
        degree: average number of same-artist edges of a node.
        noise: share of all edges that join different artists, in [0, 1).
        rng: settles the edges.
    """
    links: Links = {}
    true_edges = round(degree * len(artist) / 2)
    noisy_edges = round(true_edges * noise / (1 - noise))
    _add_within(links, series, round(SERIES_SHARE * true_edges), "same_series", rng)
    _add_within(links, artist, true_edges, "same_artist", rng)
    goal = len(links)
    _add_within(links, year, goal + round(YEAR_SHARE * noisy_edges), "same_year", rng, apart=artist)
    _add_to_hubs(links, museum, goal + noisy_edges, artist, rng)
    return links


def _add(links: Links, a: int, b: int, reason: str) -> None:
    if a != b:
        links.setdefault((min(a, b), max(a, b)), reason)


def _add_within(
    links: Links,
    groups: Groups,
    goal: int,
    reason: str,
    rng: np.random.Generator,
    apart: Groups | None = None,
) -> None:
    """Join random members of a group, of different artists if `apart` is given, until there are `goal` links.

    Nodes take turns, so that none is left without an edge. Stops early where the groups have no pairs left.
    """
    members = {group: np.flatnonzero(groups == group) for group in np.unique(groups)}
    for _ in range(50):
        for node in rng.permutation(len(groups)).tolist():
            if len(links) >= goal:
                return
            other = int(rng.choice(members[groups[node]]))
            if apart is None or apart[node] != apart[other]:
                _add(links, node, other, reason)


def _add_to_hubs(links: Links, museum: Groups, goal: int, artist: Groups, rng: np.random.Generator) -> None:
    """Join paintings to the few that their museum is known for."""
    hubs = {
        house: rng.permutation(np.flatnonzero(museum == house))[:HUBS_PER_MUSEUM]
        for house in np.unique(museum)
    }
    for _ in range(50):
        for node in rng.permutation(len(museum)).tolist():
            if len(links) >= goal:
                return
            hub = int(rng.choice(hubs[museum[node]]))
            if artist[hub] != artist[node]:
                _add(links, node, hub, "same_museum")
