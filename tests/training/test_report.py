from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from graphcond.training.report import Report


def test_plain_lines_where_there_is_no_terminal() -> None:
    written = StringIO()
    report = Report(Console(file=written, width=100))
    with report.stage("latents", "Encoding pictures") as progress:
        progress(1, 2)
        progress(2, 2)
    with report.stage("texts", "Encoding texts"):
        pass
    with report.steps(0, 100) as bar:
        bar.note(loss="0.5")
        for step in range(1, 101):
            bar.advance(step)
    lines = written.getvalue().splitlines()
    assert lines[0].startswith("Encoding pictures: 2 in ")
    assert len(lines) == 21, "nothing is said of what was cached, and every fifth step has a line"
    assert lines[-1] == "step 100/100  loss 0.5"
    assert lines[1] == "step 5/100  left 0:00:00  loss 0.5"
    assert set(report.seconds) == {"latents", "texts", "training"}


def test_the_time_left_follows_from_the_steps_of_this_sitting(monkeypatch: pytest.MonkeyPatch) -> None:
    written, now = StringIO(), [1000.0]
    monkeypatch.setattr("graphcond.training.report.time.perf_counter", lambda: now[0])
    with Report(Console(file=written, width=100)).steps(50, 100) as bar:
        now[0] += 60  # ten steps took a minute, and forty are left
        bar.advance(60)
    assert written.getvalue() == "step 60/100  left 0:04:00\n"


def test_bars_on_a_terminal() -> None:
    written = StringIO()
    report = Report(Console(file=written, force_terminal=True, width=120))
    with report.steps(0, 2) as bar:
        bar.note(gap="0.1234")
        bar.advance(2)
    assert "2/2" in written.getvalue()
    assert "gap 0.1234" in written.getvalue()
    assert "step 2/2" not in written.getvalue()
