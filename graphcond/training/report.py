"""The display of a run: progress bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from graphcond.io.terminal import facts, plain
from graphcond.progress import Progress as Callback
from graphcond.progress import spaced

LINES = 20
"""Approximate number of lines about its steps that a run writes without a terminal."""


@dataclass
class Report:
    """Shows the stages of a run and remembers how long each took.

    Args:
        console: where to write.
        seconds: by stage, filled as stages end.
    """

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Write a line."""
        self.console.print(escape(text), highlight=False)

    def table(self, title: str, rows: Mapping[str, object]) -> None:
        """Write names and values."""
        self.console.print(facts(title, rows))

    @contextmanager
    def stage(self, name: str, text: str) -> Iterator[Callback]:
        """A stage with a bar, which appears once the yielded callback is called with (done, total)."""
        start, counted = time.perf_counter(), 0
        with self._progress(transient=True) as progress:
            task = progress.add_task(plain(text), total=None, note="")
            line = spaced(self.say, text, ends=False)

            def advance(done: int, total: int) -> None:
                nonlocal counted
                counted = total
                speed = progress.tasks[task].speed
                progress.update(task, completed=done, total=total, note=f"{speed:.3g}/s" if speed else "")
                if not self.console.is_terminal:
                    line(done, total)

            yield advance
        elapsed = time.perf_counter() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + elapsed
        if counted:
            self.say(f"{text}: {counted} in {elapsed:.1f} s")

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count the seconds of a block that shows nothing."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    @contextmanager
    def steps(self, first: int, total: int) -> Iterator[StepBar]:
        """The bar of the training steps."""
        start = time.perf_counter()
        with self._progress(transient=False) as progress:
            task = progress.add_task("Training", total=total, completed=first, note="")
            try:
                yield StepBar(self, progress, task, first, total, start)
            finally:
                self.seconds["training"] = time.perf_counter() - start

    def _progress(self, *, transient: bool) -> Progress:
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=transient,
            disable=not self.console.is_terminal,
        )


@dataclass
class StepBar:
    """The bar of the training steps, with the newest figures behind it."""

    report: Report
    progress: Progress
    task: TaskID
    first: int
    total: int
    started: float
    figures: dict[str, str] = field(default_factory=dict)

    def note(self, **figures: str) -> None:
        """Show figures behind the bar from now on."""
        self.figures |= figures

    def advance(self, step: int) -> None:
        """Advance the bar to ``step``."""
        note = "  ".join(f"{name} {value}" for name, value in self.figures.items())
        self.progress.update(self.task, completed=step, note=note)
        every = max(1, self.total // LINES)
        if not self.report.console.is_terminal and (step % every == 0 or step == self.total):
            left = (time.perf_counter() - self.started) * (self.total - step) / max(step - self.first, 1)
            when = f"  left {timedelta(seconds=round(left))}" if step < self.total else ""
            self.report.say(f"step {step}/{self.total}{when}  {note}".rstrip())
