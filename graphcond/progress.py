"""Progress bars on the error stream, so that what a program reads from a command stays clean."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import TypeAlias, TypeVar

from graphcond.io.terminal import console, plain

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many are done, and of how many."""

Item = TypeVar("Item")

Watch: TypeAlias = Callable[[str], Progress]
"""Names a task and gives back what counts it."""


def silent(task: str) -> Progress:
    """Show nothing."""
    return lambda done, total: None


def counted(items: Collection[Item], progress: Progress | None) -> Iterator[Item]:
    """The items; ``progress``, if any, is called before each and after the last."""
    for done, item in enumerate(items):
        if progress is not None:
            progress(done, len(items))
        yield item
    if progress is not None:
        progress(len(items), len(items))


def within(watch: Watch, name: str) -> Watch:
    """``watch`` for the tasks of a part: each is shown as ``name: task``."""
    return lambda task: watch(f"{name}: {task}")


@contextmanager
def during(watch: Watch, task: str) -> Iterator[None]:
    """Show that the block, which cannot be counted, is under way."""
    progress = watch(task)
    progress(0, 1)
    yield
    progress(1, 1)


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for most, unit, length in ((120, "s", 1), (7200, "min", 60)):
        if seconds < most:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 3600:.1f} h"


INTERVAL = 5.0
"""Seconds between lines about a task where there is no terminal."""


def spaced(say: Callable[[str], None], task: str, *, ends: bool = True) -> Progress:
    """Count in lines: when the task begins, at intervals, and at its end if it ``ends`` here."""
    began = said = perf_counter()
    before: int | None = None

    def count(done: int, total: int) -> None:
        nonlocal said, before
        now = perf_counter()
        if before is None:
            before = done  # by an earlier process: it took none of our time
        if done == 0:
            say(f"{task} ...")
        elif (done == total and ends) or (done < total and now - said >= INTERVAL):
            rate = (done - before) / max(now - began, 1e-9)
            speed = f", {rate:.3g}/s" if total > 1 and rate else ""
            left = f", about {duration((total - done) / rate)} left" if done < total and rate else ""
            say(f"{task}: {done}/{total}{speed}{left}")
            said = now

    return count


@contextmanager
def progress_bars() -> Iterator[Watch]:
    """Bars with the rate and the time passed and left, one for each task that is watched.

    Lines at intervals where the error stream is not a terminal.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import (
        Progress as Bars,
    )
    from rich.text import Text

    shown = console(stderr=True)
    if not shown.is_terminal:
        yield partial(spaced, lambda line: print(plain(line), file=sys.stderr, flush=True))
        return

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.3g}/s" if speed else "")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=shown) as progress:
        bars: dict[str, TaskID] = {}

        def count(task: str, done: int, total: int) -> None:
            if task not in bars:  # a task that never starts shows no bar
                bars[task] = progress.add_task(plain(task))
            progress.update(bars[task], completed=done, total=total)

        yield lambda task: partial(count, task)
