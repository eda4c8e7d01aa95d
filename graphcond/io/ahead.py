"""Work of threads that runs ahead of its use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def batches_ahead(make: Callable[[Item], Result], items: Sequence[Item], size: int) -> Iterator[list[Result]]:
    """``make`` of each item, in order, in lists of ``size``; threads make the next list while one is used.

    At most two lists are in memory. An error of ``make`` is raised when its list is asked for.
    """
    with ThreadPoolExecutor() as pool:
        before: list[Future[Result]] = []
        try:
            for start in range(0, len(items), size):
                coming = [pool.submit(make, item) for item in items[start : start + size]]
                if before:
                    yield [one.result() for one in before]
                before = coming
            if before:
                yield [one.result() for one in before]
        finally:
            pool.shutdown(cancel_futures=True)
