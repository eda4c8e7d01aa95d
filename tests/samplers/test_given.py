from __future__ import annotations

import numpy as np
import pytest

from graphcond.attributed_graph import ABSENT
from graphcond.errors import InputError
from graphcond.samplers import GivenSampler, GivenSamplerConfig
from tests.samplers.toy_graphs import toy_graph

GIVEN = np.array(
    [[3, 0, 1, 3, 2], [2, ABSENT, ABSENT, ABSENT, ABSENT], [4, 3, 1, 0, ABSENT], *[[ABSENT] * 5] * 2]
)
GRAPH = toy_graph(5, without_picture=[4], given=GIVEN)


def sample(**choices: object) -> list[list[int]]:
    sampler = GivenSampler(GRAPH, **choices)  # type: ignore[arg-type]
    return sampler.sample(np.arange(3), np.random.default_rng(0)).neighbors.tolist()


def test_keeps_the_source_s_order_without_the_target_and_repeats() -> None:
    assert sample(neighbors=3) == [[3, 1, 2], [2, -1, -1], [3, 1, 0]]


def test_takes_the_first() -> None:
    assert sample(neighbors=1) == [[3], [2], [3]]


def test_later_ones_move_up_where_one_may_not_be_taken() -> None:
    assert sample(neighbors=2, forbidden=np.array([3])) == [[1, 2], [2, -1], [1, 0]]
    assert sample(neighbors=2, require_picture=False) == [[3, 1], [2, -1], [4, 3]]


def test_scores_fall_with_the_position() -> None:
    scores = GivenSampler(GRAPH, neighbors=3).sample(np.array([0]), np.random.default_rng(0)).scores
    np.testing.assert_allclose(scores, [[1, 1 / 2, 1 / 3]])


def test_a_graph_without_ready_made_neighbors_is_refused() -> None:
    with pytest.raises(InputError, match=r"no ready-made neighbors.*ppr"):
        GivenSamplerConfig().build(graph=toy_graph(2))
