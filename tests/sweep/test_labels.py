"""Neighbors with their target's label, and the share by chance."""

from __future__ import annotations

import numpy as np
import pytest

from graphcond.context import NeighborContext
from graphcond.sweep.scores.labels import chance_share

ARTISTS = np.array(["a", "a", "b", "a", ""])


def test_chance_is_the_share_among_the_nodes_that_may_be_chosen() -> None:
    """Counted by hand: a target is not its own neighbor, and forbidden nodes are not chosen."""
    everyone = np.arange(5)
    assert chance_share(ARTISTS, np.array([0, 2]), everyone).tolist() == [2 / 4, 0.0]
    assert chance_share(ARTISTS, np.array([0, 2]), np.array([1, 2, 4])).tolist() == [1 / 3, 0.0]
    assert chance_share(ARTISTS, np.array([0]), np.array([0])).tolist() == [0.0]


def test_chance_agrees_with_random_neighbors() -> None:
    rng = np.random.default_rng(0)
    labels = np.array(list("abc"))[rng.integers(0, 3, 300)]
    targets = np.arange(60)
    neighbors = np.array([rng.permutation(np.delete(np.arange(300), target))[:100] for target in targets])
    context = NeighborContext(targets, neighbors, np.zeros(neighbors.shape, np.float32))
    chance = chance_share(labels, targets, np.arange(300))
    assert context.agreement(labels.tolist()).mean() == pytest.approx(chance.mean(), abs=0.02)


def test_the_shipped_sweep_compares_the_samplers_that_sample_compares() -> None:
    from graphcond.samplers.defaults import RIVALS
    from graphcond.sweep import load_sweep

    rows = {row.name: row.set for row in load_sweep("samplers")[0].rows}
    assert rows == {name: {"conditions.neighbors.sampler": settings} for name, settings in RIVALS.items()}
