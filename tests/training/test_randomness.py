from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphcond.training.randomness import BatchPlan, Purpose, draws_of, order_of, seed_of

small = st.integers(1, 5)


@given(small, small, small, st.integers(0, 7))
def test_the_parts_of_a_step_make_one_row_without_gaps(
    batch: int, parts: int, processes: int, step: int
) -> None:
    plan = BatchPlan(batch, parts, processes)
    rows = [plan.positions(step, part, p) for part in range(parts) for p in range(processes)]
    first = step * plan.effective
    assert np.concatenate(rows).tolist() == list(range(first, first + plan.effective))


@given(st.integers(1, 20), st.integers(0, 100), small)
def test_every_epoch_holds_every_sample_once(count: int, seed: int, epoch: int) -> None:
    positions = np.arange(epoch * count, (epoch + 1) * count)
    assert sorted(order_of(seed, positions, count).tolist()) == list(range(count))


def test_epochs_differ() -> None:
    order = order_of(0, np.arange(60), 30)
    assert order[:30].tolist() != order[30:].tolist()


def test_a_sample_draws_the_same_in_any_batch() -> None:
    whole = draws_of(3, np.arange(10), (4, 2, 2))
    part = draws_of(3, np.arange(6, 9), (4, 2, 2))
    mask = np.isin(np.arange(10), [6, 7, 8])
    chosen = whole.select(mask)
    assert torch.equal(chosen.noise, part.noise)
    assert torch.equal(chosen.posterior, part.posterior)
    assert torch.equal(chosen.time, part.time)
    assert chosen.drop.tolist() == part.drop.tolist()
    assert chosen.mirrored.tolist() == part.mirrored.tolist()


def test_draws_look_as_they_should() -> None:
    draws = draws_of(0, np.arange(2000), (2, 2, 2))
    assert abs(draws.noise.mean()) < 0.03
    assert abs(draws.noise.std() - 1) < 0.03
    assert abs(torch.corrcoef(torch.stack([draws.noise.flatten(), draws.posterior.flatten()]))[0, 1]) < 0.03
    for uniform in (draws.time.numpy(), draws.drop, draws.mirrored):
        assert abs(uniform.mean() - 0.5) < 0.03


def test_purposes_and_places_have_numbers_of_their_own() -> None:
    seeds = {seed_of(0, purpose, place) for purpose in Purpose for place in range(10)}
    assert len(seeds) == len(Purpose) * 10
