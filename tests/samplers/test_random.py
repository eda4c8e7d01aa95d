from __future__ import annotations

from collections import Counter

import numpy as np

from graphcond.samplers import RandomSampler
from tests.samplers.toy_graphs import toy_graph


def test_draws_evenly_whether_or_not_the_target_could_be_drawn() -> None:
    for forbidden in ([], [0]):
        sampler = RandomSampler(toy_graph(9), neighbors=3, forbidden=np.array(forbidden, np.int64))
        counts = Counter(
            node
            for seed in range(300)
            for node in sampler.sample(np.array([0]), np.random.default_rng(seed)).neighbors[0]
        )
        assert set(counts) == set(range(1, 9))
        assert min(counts.values()) > 75  # 112 expected


def test_takes_everyone_where_there_are_too_few() -> None:
    context = RandomSampler(toy_graph(4), neighbors=5).sample(np.array([2]), np.random.default_rng(0))
    assert context.neighbors.tolist() == [[0, 1, 3, -1, -1]]
    assert context.scores.tolist() == [[1, 1, 1, 0, 0]]


def test_targets_do_not_share_their_draw() -> None:
    context = RandomSampler(toy_graph(100)).sample(np.arange(100), np.random.default_rng(0))
    assert len(np.unique(context.neighbors, axis=0)) > 95
