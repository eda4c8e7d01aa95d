"""What sweeps say of their figures."""

from __future__ import annotations

from graphcond.sweep.config import load_sweep
from graphcond.sweep.results import Group
from graphcond.sweep.rows import ROW
from graphcond.sweep.verdicts.marks import MarksVerdict
from tests.sweep.builders import figure, group, results

ORDER = load_sweep("samplers")[0].verdicts[0].make()
SAMPLERS = ("random", "khop", "hop_mean", "ppr", "semantic (text)", "semantic_ppr (text)")
CONSENSUS = "semantic_ppr (consensus)"


def level(noise: str, *means: float) -> list[Group]:
    return [
        group(
            f"{noise}, {name}",
            figure("style_accuracy", mean, targets=noise),
            labels={"data.noise": noise, ROW: name},
        )
        for name, mean in zip((*SAMPLERS, CONSENSUS), means, strict=True)
    ]


def test_the_papers_order_is_found() -> None:
    finding, rule = ORDER.findings(results(*level("hard", 0.1, 0.4, 0.45, 0.5, 0.3, 0.7, 0.8)))
    assert finding.startswith("hard: best is semantic_ppr (consensus) (0.800)")
    assert "; as in the paper (InstructG2I, ablation of its sampler): random < ppr" in finding
    assert "not as" not in finding
    assert "nothing saturates" in finding
    assert "holds no 0; with one seed" in rule


def test_what_does_not_hold_is_said() -> None:
    finding, _ = ORDER.findings(results(*level("easy", 0.1, 0.4, 0.9, 1.0, 0.1, 0.8, 1.0)))
    assert (
        "; not as in the paper (InstructG2I, ablation of its sampler): ppr < semantic_ppr (text)" in finding
    )
    assert "too close to tell at this n: random < semantic (text), ppr < semantic_ppr (consensus)" in finding
    assert "saturated: ppr, semantic_ppr (consensus)" in finding


def test_one_sentence_for_each_level_without_rows_that_failed() -> None:
    rows = [
        *level("easy", 0.1, 0.4, 0.4, 0.5, 0.3, 0.7, 0.8),
        *level("hard", 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.5),
    ]
    lost = group("hard, ppr", labels={"data.noise": "hard", ROW: "ppr"}, failed={0: "no room"})
    rows = [lost if row.name == lost.name else row for row in rows]
    *findings, _ = ORDER.findings(results(*rows))
    assert [finding.split(":")[0] for finding in findings] == ["easy", "hard"]
    assert "ppr < semantic_ppr (text)" in findings[0]
    assert "ppr < semantic_ppr (text)" not in findings[1].replace("semantic_ppr < ", "")


def test_a_difference_over_seeds_is_called_by_both_intervals() -> None:
    rows = [
        group(
            name,
            figure("style_accuracy", mean),
            again=[[figure("style_accuracy", mean + 0.01 * seed)] for seed in (1, 2)],
        )
        for name, mean in (("ppr", 0.4), ("semantic_ppr (text)", 0.6))
    ]
    finding, rule = ORDER.findings(results(*rows))
    assert "ppr < semantic_ppr (text)" in finding
    assert "over targets and over 3 seeds" in rule


def test_no_figures_no_words() -> None:
    assert list(ORDER.findings(results(group("ppr")))) == []


def scenes(
    name: str,
    relations: float = 0.7,
    without: float = 0.1,
    shuffled: float = 0.2,
    objects: float = 0.9,
    swap: float = 0.5,
) -> Group:
    return group(
        name,
        figure("relation_accuracy", relations),
        figure("relation_accuracy", without, "no_graph"),
        figure("relation_accuracy", shuffled, "shuffled_graph"),
        figure("object_occurrence", objects),
        figure("swap_both", swap),
        figure("swap_chance", 0.06),
    )


def said(*rows: Group) -> str:
    return "\n".join(MarksVerdict(text_only="sgcond-i").findings(results(*rows)))


def test_marks_that_are_reached() -> None:
    text = said(
        scenes("sgcond-i", relations=0.95, swap=0.1), scenes("sgcond-v"), scenes("sgcond-vi", relations=0.5)
    )
    assert "best graph recipe by relation_accuracy: sgcond-v, 70 % [68, 72]\n" in text
    assert "over no graph: +60 points [+60, +60], at least 25 points, with its whole interval" in text
    assert "over shuffled graph: +50 points" in text
    assert "object_occurrence of sgcond-v: 90 % [88, 92], which reaches the 80 % wanted" in text
    assert "text alone (sgcond-i) 10 % [8, 12]: the graph tells who is where" in text
    assert "every row reaches all of these marks" in text


def test_what_falls_short_is_said() -> None:
    text = said(
        scenes("sgcond-v", relations=0.3, shuffled=0.25, objects=0.6), scenes("sgcond-vi", relations=0.2)
    )
    assert "over no graph: +20 points [+20, +20], short of the 25 points wanted" in text
    assert "which is short of the 80 % wanted" in text
    short = text.splitlines()[-1]
    assert (
        "sgcond-v (+20 points over no graph, +5 points over shuffled graph, object_occurrence 60 %)" in short
    )
    assert "sgcond-vi (+10 points over no graph, +0 points over shuffled graph)" in short


def test_a_gain_whose_interval_reaches_below_is_not_called_sure() -> None:
    row = group(
        "sgcond-v",
        figure("relation_accuracy", 0.37),
        figure("relation_accuracy", 0.1, "no_graph", shift=2),
        figure("relation_accuracy", 0.1, "shuffled_graph", shift=2),
    )
    assert "+27 points [+23, +30], at least 25 points, but its interval reaches below" in said(row)


def test_ties_are_named_by_their_paired_difference() -> None:
    near = group("sgcond-vi", figure("relation_accuracy", 0.69, shift=2))
    assert "too close to tell from sgcond-vi at this n" in said(scenes("sgcond-v"), near)
    assert "too close" not in said(scenes("sgcond-v"), scenes("sgcond-vi", relations=0.69)).split("\n")[0]


def test_the_sentence_may_win_or_tie_the_swap_test() -> None:
    assert ": the sentence does better" in said(scenes("sgcond-i", swap=0.9), scenes("sgcond-v", swap=0.5))
    assert ": too close to tell" in said(scenes("sgcond-i", swap=0.5), scenes("sgcond-v", swap=0.5))
    assert "text alone" not in said(scenes("sgcond-v"))


def test_text_alone_has_no_best_graph_recipe() -> None:
    assert said(scenes("sgcond-i")) == "every row reaches all of these marks"
