"""What the comparison of scene recipes is said to show follows from its figures."""

from __future__ import annotations

from graphcond.bench.scene_verdict import scene_findings
from tests.bench.scene_builders import row


def said(*rows) -> str:  # type: ignore[no-untyped-def]
    return "\n".join(scene_findings(rows))


def test_marks_that_are_reached() -> None:
    text = said(row("sgcond-i", relations=0.95, swap=0.1), row("sgcond-v"), row("sgcond-vi", relations=0.5))
    assert "best graph recipe by relation accuracy: sgcond-v, 70 % [66, 74]\n" in text
    assert "over no graph: +60 points [+56, +64], at least 25 points, with its whole interval" in text
    assert "over shuffled graph: +50 points" in text
    assert "object occurrence of sgcond-v: 90 % [86, 94], which reaches the 80 % wanted" in text
    assert "sgcond-v 50 % [46, 54], text alone (sgcond-i) 10 % [6, 14]: the graph tells who is where" in text
    assert "every experiment reaches all of these marks" in text


def test_what_falls_short_is_said() -> None:
    text = said(row("sgcond-v", relations=0.3, shuffled=0.25, objects=0.6), row("sgcond-vi", relations=0.2))
    assert "over no graph: +20 points [+16, +24], short of the 25 points wanted" in text
    assert "which is short of the 80 % wanted" in text
    short = text.splitlines()[-1]
    assert "sgcond-v (+20 points over no graph, +5 points over shuffled graph, 60 % of the objects)" in short
    assert "sgcond-vi (+10 points over no graph, +0 points over shuffled graph)" in short


def test_a_gain_whose_interval_reaches_below_is_not_called_sure() -> None:
    assert "+27 points [+23, +31], at least 25 points, but its interval reaches below" in said(
        row("sgcond-v", relations=0.37)
    )


def test_ties_are_named() -> None:
    assert "intervals overlap with sgcond-vi" in said(row("sgcond-v"), row("sgcond-vi", relations=0.66))


def test_the_sentence_may_win_or_tie_the_swap_test() -> None:
    assert ": the sentence does better" in said(row("sgcond-i", swap=0.9), row("sgcond-v", swap=0.5))
    assert ": too close to tell" in said(row("sgcond-i", swap=0.52), row("sgcond-v", swap=0.5))
    assert "text alone" not in said(row("sgcond-v"))


def test_text_alone_has_no_best_graph_recipe() -> None:
    assert said(row("sgcond-i")) == "every experiment reaches all of these marks"
