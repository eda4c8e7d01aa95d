"""Bars of what runs, and of nothing else."""

from __future__ import annotations

import pytest

from graphcond.progress import progress_bars


def test_a_task_has_one_bar_once_it_starts(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as watch:
        watch("never started")
        for done in (1, 2):
            watch("drawing")(done, 2)
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("drawing"), shown.err.count("2/2")) == ("", 1, 1)
    assert "never started" not in shown.err
