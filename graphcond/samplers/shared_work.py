"""Targets shared out among threads; whoever answers which, the answers are the same."""

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
"""What the names of the threads begin with."""


class Spare(Generic[Scratch]):
    """Scratch memory that is lent to one thread at a time, and kept for the next.

    Args:
        make: makes one more where all are lent.
    """

    def __init__(self, make: Callable[[], Scratch]) -> None:
        self._make = make
        self._idle: list[Scratch] = []

    @contextmanager
    def lent(self) -> Iterator[Scratch]:
        """One that nobody else uses; it is not kept where the work fails and may leave it unclean."""
        try:
            scratch = self._idle.pop()
        except IndexError:
            scratch = self._make()
        yield scratch
        self._idle.append(scratch)


def in_parts(work: Callable[[slice], object], size: int, *, part: int, threads: int) -> None:
    """Call ``work`` for each ``part`` of 0 to ``size``, with ``threads`` of them at once.

    Threads gain where ``work`` spends its time in code that runs without the interpreter's lock.
    """
    parts = [slice(start, min(start + part, size)) for start in range(0, size, part)]
    inside = threading.current_thread().name.startswith(NAME)  # one that waits for its own pool never ends
    if threads == 1 or len(parts) < 2 or inside:
        for one in parts:
            work(one)
        return
    for _ in _threads(threads, os.getpid()).map(work, parts):
        pass


@cache
def _threads(count: int, process: int) -> ThreadPoolExecutor:
    """Threads that wait for work: starting them takes as long as answering a target or two.

    A process that was forked cannot use those of its parent.
    """
    return ThreadPoolExecutor(count, thread_name_prefix=NAME)
