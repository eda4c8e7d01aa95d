"""Divide targets among threads; the answers do not depend on the division."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Generic, TypeVar

Scratch = TypeVar("Scratch")

NAME = "graphcond-sampling"
"""Prefix of the names of the threads."""


class Spare(Generic[Scratch]):
    """Scratch buffers, each lent to one thread at a time and kept for the next one.

    Args:
        make: makes another buffer when all are lent.
    """

    def __init__(self, make: Callable[[], Scratch]) -> None:
        self._make = make
        self._idle: list[Scratch] = []

    @contextmanager
    def lent(self) -> Iterator[Scratch]:
        """Borrow a buffer; it is discarded if the block raises, since it may then be unclean."""
        try:
            scratch = self._idle.pop()
        except IndexError:
            scratch = self._make()
        yield scratch
        self._idle.append(scratch)


def in_parts(work: Callable[[slice], object], size: int, *, part: int, threads: int) -> None:
    """Call ``work`` on slices of ``part`` items that cover 0 to ``size``, on ``threads`` threads at once.

    Threads help if ``work`` spends its time in code that releases the interpreter's lock.
    """
    parts = [slice(start, min(start + part, size)) for start in range(0, size, part)]
    # A thread of the pool that waits for the pool would never end, so nested work runs in the thread itself.
    inside = threading.current_thread().name.startswith(NAME)
    if threads == 1 or len(parts) < 2 or inside:
        for one in parts:
            work(one)
        return
    for _ in _threads(threads, os.getpid()).map(work, parts):
        pass


@cache
def _threads(count: int, process: int) -> ThreadPoolExecutor:
    """Threads that wait for work, since starting them takes as long as answering a target or two.

    ``process`` is part of the key because a forked process cannot use the threads of its parent.
    """
    return ThreadPoolExecutor(count, thread_name_prefix=NAME)
