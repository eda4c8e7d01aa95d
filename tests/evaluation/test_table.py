"""Tables say every figure, its interval, n and who looked."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from graphcond.evaluation import EvaluationReport, Measurement
from graphcond.evaluation.table import print_report

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
        "|  | clip_i ↑ | kid ↓ |\n"
        "| --- | ---: | ---: |\n"
        "| no graph | 58.8 [58.0, 59.5] | 0.051 [0.040, 0.060] |\n"
        "| graph | 73.7 [73.0, 74.5] | 0.021 [0.020, 0.030] |\n"
        "| graph - no graph | +14.9 [+14.0, +16.0] | -0.030 [-0.040, -0.020] |\n\n"
        "- n = 1,200 targets, the same for every arm, seed 0; in brackets 95 % intervals\n"
        "- clip_i, kid by clip@1\n"
        "- mind the [gap]\n"
    )


def test_terminal() -> None:
    written = StringIO()
    print_report(REPORT, Console(file=written, width=120))
    for part in ("instructg2i", "58.8 [58.0, 59.5]", "+14.9", "n = 1,200", "clip@1", "mind the [gap]"):
        assert part in written.getvalue()


def test_print_writes_to_the_standard_output(capsys: object) -> None:
    REPORT.print()
    assert "73.7" in capsys.readouterr().out  # type: ignore[attr-defined]
