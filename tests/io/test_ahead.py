"""Threads make the next batch while one is used, and no more."""

from __future__ import annotations

from threading import Event

import pytest

from graphcond.io.ahead import batches_ahead


def test_batches_come_in_order_and_the_next_is_made_meanwhile() -> None:
    made = [Event() for _ in range(7)]

    def make(item: int) -> int:
        made[item].set()
        return item * item

    batches = batches_ahead(make, range(7), 3)
    assert next(batches) == [0, 1, 4]
    assert all(one.wait(30) for one in made[3:6])
    assert not made[6].is_set()
    assert list(batches) == [[9, 16, 25], [36]]


def test_an_error_comes_with_its_batch_and_nothing_is_made_after_it() -> None:
    def make(item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    batches = batches_ahead(make, range(100), 2)
    assert next(batches) == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(batches)
    assert list(batches_ahead(make, [], 2)) == []
