"""Tables say every figure, its interval, n and who looked."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from graphcond.evaluation import EvaluationReport, Measurement

REPORT = EvaluationReport(
    title="instructg2i",
    n=1200,
    seed=0,
    arms={
        "no_graph": {
            "clip_i": Measurement("clip_i", 58.81, 58.0, 59.5, 1200),
            "kid": Measurement("kid", 0.0512, 0.04, 0.06, 1200),
        },
        "graph": {
            "clip_i": Measurement("clip_i", 73.73, 73.0, 74.5, 1200),
            "kid": Measurement("kid", 0.0212, 0.02, 0.03, 1200),
        },
    },
    differences={
        "graph - no_graph": {
            "clip_i": Measurement("clip_i", 14.92, 14.0, 16.0, 1200),
            "kid": Measurement("kid", -0.03, -0.04, -0.02, 1200),
        }
    },
    networks={"clip_i": "clip@1", "kid": "clip@1"},
    higher_is_better={"clip_i": True, "kid": False},
    cautions=("mind the [gap]",),
)


def test_markdown() -> None:
    assert REPORT.to_markdown() == (
        "**instructg2i**\n\n"
        "|  | no graph | graph | graph - no graph |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| clip_i ↑ | 58.8 [58.0, 59.5] | 73.7 [73.0, 74.5] | +14.9 [+14.0, +16.0] |\n"
        "| kid ↓ | 0.051 [0.040, 0.060] | 0.021 [0.020, 0.030] | -0.030 [-0.040, -0.020] |\n\n"
        "- n = 1,200 targets, the same for every arm, seed 0; in brackets 95 % intervals\n"
        "- clip_i, kid by clip@1\n"
        "- mind the [gap]\n"
    )


def test_terminal() -> None:
    written = StringIO()
    REPORT.print(Console(file=written, width=80))
    for part in ("instructg2i", "58.8", "[58.0, 59.5]", "+14.9", "n = 1,200", "clip@1", "mind the [gap]"):
        assert part in written.getvalue()
    assert "…" not in written.getvalue()


def test_arms_alone_have_no_table_of_differences() -> None:
    written = StringIO()
    replace(REPORT, differences={}).print(Console(file=written, width=80))
    assert "what the graph adds" not in written.getvalue()
    assert "73.7" in written.getvalue()


def test_print_writes_to_the_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    REPORT.print()
    assert "73.7" in capsys.readouterr().out
