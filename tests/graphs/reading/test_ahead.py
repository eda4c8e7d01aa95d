from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest

from graphcond.errors import InputError
from graphcond.graphs.reading.edge_file import ahead


def test_the_same_items() -> None:
    assert list(ahead(iter([3, None, 1]))) == [3, None, 1]
    assert list(ahead(iter(()))) == []


def test_the_next_item_is_got_meanwhile() -> None:
    second_is_asked_for = Event()

    def items() -> Iterator[int]:
        yield 1
        second_is_asked_for.set()
        yield 2

    coming = ahead(items())
    assert next(coming) == 1
    assert second_is_asked_for.wait(20)


def test_errors_come_through() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise InputError("broken")

    coming = ahead(items())
    assert next(coming) == 1
    with pytest.raises(InputError, match="broken"):
        next(coming)
