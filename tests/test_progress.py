"""Bars of what runs, and of nothing else."""

from __future__ import annotations

import re
from time import sleep

import pytest

from graphcond.progress import during, progress_bars


def test_a_task_has_one_bar_once_it_starts(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as watch:
        watch("never started")
        for done in (1, 2):
            watch("drawing")(done, 2)
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("drawing"), shown.err.count("2/2")) == ("", 1, 1)
    assert "never started" not in shown.err


def test_a_bar_shows_how_many_a_second(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with progress_bars() as watch:
        count = watch("sampling")
        for done in range(4):
            count(done, 3)
            sleep(0.01)
    assert re.search(r"3/3.+?[\d.e+]+/s", capsys.readouterr().err)


def test_without_a_terminal_there_are_lines_at_intervals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 0.0, 1.0, 6.0, 7.0, 8.0])
    monkeypatch.setattr("graphcond.progress.perf_counter", lambda: next(times))
    with progress_bars() as watch:
        count = watch("painting")
        for done in (0, 10, 60, 70, 80):
            count(done, 80)
    lines = ["painting ...", "painting: 60/80, 10/s, about 2 s left", "painting: 80/80, 10/s"]
    assert capsys.readouterr().err.splitlines() == lines


def test_what_was_done_before_does_not_count_for_the_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 0.0, 6.0, 12.0, 12.0, 13.0])
    monkeypatch.setattr("graphcond.progress.perf_counter", lambda: next(times))
    with progress_bars() as watch:
        count = watch("going on")
        for done in (40, 52, 64):
            count(done, 100)
        watch("done already")(7, 7)
    lines = ["going on: 52/100, 2/s, about 24 s left", "going on: 64/100, 2/s, about 18 s left"]
    assert capsys.readouterr().err.splitlines() == [*lines, "done already: 7/7"]


def test_a_block_that_cannot_be_counted_is_shown_while_it_lasts() -> None:
    seen: list[tuple[str, int, int]] = []
    with during(lambda task: lambda done, total: seen.append((task, done, total)), "loading"):
        assert seen == [("loading", 0, 1)]
    assert seen == [("loading", 0, 1), ("loading", 1, 1)]
