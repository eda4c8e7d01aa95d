"""What the table of samplers is said to show."""

from __future__ import annotations

from graphcond.bench.samplers import RIVALS, SamplerRow
from graphcond.bench.verdict import paper_order
from graphcond.evaluation import Measurement


def rows(noise: str, **means: float) -> list[SamplerRow]:
    names = dict(zip(("random", "khop", "hops", "ppr", "text", "both", "consensus"), RIVALS, strict=True))
    return [
        SamplerRow(
            noise, names[key], {"style_accuracy": Measurement("style_accuracy", m, m - 0.02, m + 0.02, 120)}
        )
        for key, m in means.items()
    ]


def test_the_papers_order_is_found() -> None:
    (finding,) = paper_order(rows("hard", random=0.1, khop=0.4, ppr=0.5, text=0.3, both=0.7, consensus=0.8))
    assert "best is semantic_ppr (consensus) (0.800)" in finding
    assert "as in the paper: random < ppr" in finding
    assert "against the paper" not in finding
    assert "nothing saturates" in finding


def test_what_does_not_hold_is_said() -> None:
    (finding,) = paper_order(rows("easy", random=0.1, khop=0.4, ppr=1.0, text=0.1, both=0.8, consensus=1.0))
    assert "against the paper: ppr < semantic_ppr (text)" in finding
    assert "too close to tell at this n: random < semantic (text), ppr < semantic_ppr (consensus)" in finding
    assert "saturated: ppr, semantic_ppr (consensus)" in finding


def test_one_sentence_for_each_level() -> None:
    both = rows("easy", random=0.1, khop=0.4, ppr=0.5, text=0.3, both=0.7, consensus=0.8)
    again = rows("hard", random=0.1, khop=0.2, ppr=0.3, text=0.3, both=0.4, consensus=0.5)
    assert [finding.split(":")[0] for finding in paper_order(both + again)] == ["easy", "hard"]
