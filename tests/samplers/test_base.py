from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from graphcond.samplers import PPRSampler, PPRSamplerConfig, RandomSampler, sample_all
from tests.samplers.toy_graphs import toy_graph


def test_sample_all_counts_targets_after_each_batch() -> None:
    seen: list[tuple[int, ...]] = []
    sample_all(
        RandomSampler(toy_graph(7)),
        np.arange(7),
        np.random.default_rng(0),
        batch=3,
        progress=lambda *state: seen.append(state),
    )
    assert seen == [(3, 7), (6, 7), (7, 7)]


def test_sample_all_answers_no_targets() -> None:
    context = sample_all(RandomSampler(toy_graph(7)), np.arange(0), np.random.default_rng(0))
    assert context.neighbors.shape == (0, 5)


def test_sample_all_draws_anew_with_each_generator() -> None:
    sampler = RandomSampler(toy_graph(60))
    first, second = (sample_all(sampler, np.arange(60), np.random.default_rng(seed)) for seed in (0, 1))
    assert (first.neighbors != second.neighbors).any()


@pytest.mark.parametrize(
    "fields", [{"neighbors": 0}, {"alpha": 0}, {"alpha": 1}, {"epsilon": 0}, {"method": "fast"}, {"k": 5}]
)
def test_configs_refuse_what_makes_no_sense(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PPRSamplerConfig.model_validate(fields)


def test_the_forbidden_may_be_given_to_the_class_itself() -> None:
    sampler = PPRSampler(toy_graph(3, [(0, 1), (1, 2)]), neighbors=2, forbidden=np.array([1]))
    context = sampler.sample(np.array([0]), np.random.default_rng(0))
    assert context.neighbors.tolist() == [[2, -1]]
