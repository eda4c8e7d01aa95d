"""Progress bars on the error stream, so that what a program reads from a command stays clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Watch: TypeAlias = Callable[[str], Callable[[int, int], None]]
"""Names a task and gives back what counts it: called with how many are done, and of how many."""


@contextmanager
def progress_bars() -> Iterator[Watch]:
    """Bars with the time passed and left, one for each task that is watched."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def watch(task: str) -> Callable[[int, int], None]:
            bar = progress.add_task(task, total=None)
            return lambda done, total: progress.update(bar, completed=done, total=total)

        yield watch
