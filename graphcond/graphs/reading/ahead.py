"""Reading on while what was read is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items; a thread gets the next one while the caller works on the one before."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(_next, items)
        while item := coming.result():
            coming = thread.submit(_next, items)
            yield item[0]


def _next(items: Iterator[Item]) -> list[Item]:
    return list(islice(items, 1))
