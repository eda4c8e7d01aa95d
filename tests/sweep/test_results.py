"""Figures over targets and seeds, and differences that are called one only where their intervals say so."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from graphcond.evaluation import RatioMetric, SampleMetric, SetMetric
from graphcond.intervals import Measurement, bootstrap_interval, half_sample_interval, percentile_interval
from graphcond.report.table import number
from graphcond.sweep import parse_sweep
from graphcond.sweep.config import PicturesConfig
from graphcond.sweep.results import NO_DIFFERENCE, Results, student, value_of
from graphcond.sweep.scores.base import Example, Figure
from graphcond.sweep.tables import draw_plot, draw_sheet, main_table, notes_of, to_json, to_markdown
from tests.sweep.builders import N, figure, group, results

CONFIG = parse_sweep({"name": "hand", "description": "What is it?", "recipe": "instructg2i", "base": "tiny"})
SEEDS = parse_sweep({"name": "hand", "recipe": "instructg2i", "seeds": [0, 1, 2]})


def test_differences_are_paired_by_target() -> None:
    """Targets that are hard for both rows do not hide a small difference."""
    table = results(
        group("a", figure("m", 0.5)), group("b", figure("m", 0.52)), group("c", figure("m", 0.52, shift=9))
    )
    paired, unpaired = (table.difference(name, "a", ("m", "graph")) for name in "bc")
    assert paired is not None
    assert unpaired is not None
    assert paired.verdict == "better"
    assert paired.value.over_targets.mean == pytest.approx(0.02)
    assert unpaired.verdict == NO_DIFFERENCE
    low, high = bootstrap_interval(table.groups[0].figures["m", "graph"][0].evidence, seed=0)
    assert high - low > 0.02  # wider than the difference


@pytest.mark.parametrize(("higher", "verdict"), [(True, "worse"), (False, "better"), (None, "lower")])
def test_the_verdict_knows_where_better_is(higher: bool | None, verdict: str) -> None:
    table = results(group("a", figure("m", 0.5, higher=higher)), group("b", figure("m", 0.4, higher=higher)))
    found = table.difference("b", "a", ("m", "graph"))
    assert found is not None
    assert found.verdict == verdict


def test_seeds_that_disagree_hide_a_difference() -> None:
    first = group("a", *[figure("m", 0.5)], again=[[figure("m", 0.5)]] * 2)
    sure = group("b", figure("m", 0.60), again=[[figure("m", 0.61)], [figure("m", 0.59)]])
    unsure = group("c", figure("m", 0.9), again=[[figure("m", 0.49)], [figure("m", 0.41)]])
    table = results(first, sure, unsure)
    for name, verdict in (("b", "better"), ("c", NO_DIFFERENCE)):
        found = table.difference(name, "a", ("m", "graph"))
        assert found is not None
        assert found.value.over_targets.low > 0
        assert found.verdict == verdict
    seeds = sure.values["m", "graph"].over_seeds
    assert seeds is not None
    assert (seeds.mean, seeds.n) == (pytest.approx(0.6), 3)
    assert seeds.high - seeds.mean == pytest.approx(4.303 * 0.01 / 3**0.5)


def test_rows_of_which_other_seeds_failed_are_not_compared() -> None:
    first, second = group("a", figure("m", 0.1)), replace(group("b", figure("m", 0.9)), seeds=(1,))
    assert results(first, second).difference("b", "a", ("m", "graph")) is None
    assert results(first, replace(second, seeds=(0,))).difference("b", "a", ("m", "graph")) is not None


def test_seeds_may_have_other_targets() -> None:
    """Then all targets together give the interval."""
    short = replace(figure("m", 0.9), evidence=np.full(50, 0.9), n=50)
    value = value_of([figure("m", 0.5), short], [figure("m", 0.5).evidence, short.evidence], seed=0)
    assert value.over_targets.mean == pytest.approx((N * 0.5 + 50 * 0.9) / (N + 50))
    assert value.over_seeds is not None
    assert value.over_seeds.mean == pytest.approx(0.7)


@pytest.mark.parametrize("change", [{"targets": "others"}, {"network": "another eye"}, {"n": 3}])
def test_other_targets_or_networks_are_not_compared(change: dict[str, object]) -> None:
    other = replace(figure("m", 0.9), **change)  # type: ignore[arg-type]
    table = results(group("a", figure("m", 0.1)), group("b", other))
    assert table.difference("b", "a", ("m", "graph")) is None
    assert "not compared with a, since targets or networks differ: b" in notes_of(CONFIG, table)


EVIDENCE = np.random.default_rng(0).random(30)


@pytest.mark.parametrize(
    ("kind", "mean", "interval"),
    [
        (SampleMetric, EVIDENCE.mean(), bootstrap_interval(EVIDENCE, seed=3)),
        (RatioMetric, EVIDENCE[0], percentile_interval(EVIDENCE[1:])),
        (SetMetric, EVIDENCE[0], half_sample_interval(EVIDENCE)),
    ],
)
def test_evidence_gives_the_figure_of_its_metric(
    kind: type, mean: float, interval: tuple[float, float]
) -> None:
    """What a sweep keeps of a metric gives the measurement that the metric itself gives."""
    metric = type("Mine", (kind,), {"name": "m", "score": None, "count": None})()
    kept = Figure("m", "graph", EVIDENCE, 30, metric.how, True, "", "")
    assert kept.measured(seed=3) == metric.measure(EVIDENCE, 30, seed=3)
    assert kept.measured(seed=3) == Measurement("m", float(mean), *interval, n=30)


def test_students_t() -> None:
    for freedom, quantile in ((1, 12.706), (5, 2.571), (20, 2.086), (25, 2.060), (60, 2.000), (1000, 1.962)):
        assert student(freedom) == pytest.approx(quantile, rel=3e-3)


def table() -> Results:
    arms = {"graph": 0.7, "no_graph": 0.1, "shuffled_graph": 0.2}
    return results(
        group("a", *(figure("m", mean, arm) for arm, mean in arms.items())),
        group("b", *(figure("m", mean - 0.05, arm) for arm, mean in arms.items())),
        group("broken", failed={0: "no room"}),
    )


def test_the_tables_say_what_was_asked() -> None:
    text = to_markdown(CONFIG, table(), ["a finding"])
    assert text.startswith("What is it?\n")
    assert f"| a | a | 1,234,567 | 250 | {number(90.0)} | {number(0.7)} [" in text
    assert f"| a | no graph | {number(0.1)} [" in text
    assert f"| a | m | shuffled graph | {number(0.5)} [" in text
    assert f"| b | m | {number(-0.05)} [{number(-0.05)}, {number(-0.05)}] | worse |" in text
    assert "m ↑ (n = 200)" in text
    assert "| no room |" in text
    assert "- broken failed (seed 0): no room" in text
    assert text.index("- a finding") < text.index("- m by eye")
    assert "- relation_accuracy: 312 relations in 120 graphs" in text


def test_the_arms_of_the_headline_stand_side_by_side() -> None:
    """With whether the graph adds to it: over no graph and over a wrong one, or it does not."""
    config = parse_sweep({"name": "hand", "recipe": "instructg2i", "headline": "m"})
    arms = {"graph": 0.7, "no_graph": 0.1, "shuffled_graph": 0.7}
    deaf = group("deaf", *(figure("m", mean, arm) for arm, mean in arms.items()))
    rows = list(csv.DictReader(io.StringIO(main_table(config, results(*table().groups, deaf)).to_csv())))
    assert [row["learns from the graph"] for row in rows] == ["yes", "yes", "", "no"]
    assert [row["beside a"] for row in rows] == ["", "worse", "", NO_DIFFERENCE]
    assert [row["shuffled graph"] for row in rows] == ["0.2", "0.15000000000000002", "", "0.7"]
    assert "- learns from the graph: m is better than" in to_markdown(config, table(), [])
    assert "learns from the graph" not in to_markdown(CONFIG, table(), [])


def test_an_update_is_judged_by_the_same_model_without_it() -> None:
    config = parse_sweep({"name": "hand", "recipe": "instructg2i", "headline": "m"})
    groups = [group("a", figure("m", 0.7))]
    for name, without in (("better", 0.6), ("equal", 0.7), ("worse", 0.8)):
        groups.append(group(name, figure("m", 0.7), figure("m", without, "no_update")))
    rows = list(csv.DictReader(io.StringIO(main_table(config, results(*groups)).to_csv())))
    assert [row["learns by its update"] for row in rows] == ["", "yes", "no", "no"]
    text = to_markdown(config, results(*groups), [])
    assert f"| worse | m | no update | {number(-0.1)} [" in text
    assert "- learns by its update: m is better than" in text


def test_a_sheet_may_have_a_line_for_each_row() -> None:
    pictures = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    examples = tuple(Example("a picture", one, truth=one) for one in pictures)
    drawn = results(*(replace(one, examples=examples) for one in table().groups[:2]))
    sizes = {
        lines: draw_sheet(PicturesConfig(count=2, lines=lines), drawn).size  # type: ignore[arg-type, union-attr]
        for lines in ("targets", "rows")
    }
    assert sizes["targets"][0] > sizes["rows"][0]
    assert sizes["targets"][1] / 2 > sizes["rows"][1] / 3  # three lines: the true pictures and two rows


def test_the_csv_has_plain_headings_and_full_figures() -> None:
    rows = list(csv.DictReader(io.StringIO(main_table(CONFIG, table(), arrows=False).to_csv())))
    assert float(rows[0]["m"]) == pytest.approx(0.7)
    assert {"m_low", "m_high", "m_n", "parameters"} <= set(rows[0])
    assert rows[2]["m"] == ""


def test_the_json_holds_every_arm() -> None:
    found = to_json(CONFIG, table(), [])
    arms = [one["arm"] for one in found["rows"][0]["figures"]]
    assert arms == ["graph", "no_graph", "shuffled_graph"]
    assert found["rows"][2]["failed"] == {"0": "no room"}
    assert found["differences"][0]["verdict"] == "worse"


def test_plot_and_sheet_need_figures_and_pictures() -> None:
    plot = draw_plot(CONFIG, table())
    assert plot is not None
    assert plot.width > 400
    assert plot.tobytes() == draw_plot(CONFIG, table()).tobytes()  # type: ignore[union-attr]
    nothing = results(group("broken", failed={0: "no room"}))
    assert draw_plot(CONFIG, nothing) is None
    pictures = parse_sweep({"name": "p", "recipe": "r", "pictures": {}}).pictures
    assert pictures is not None
    assert draw_sheet(pictures, nothing) is None
    assert "no room" in to_markdown(CONFIG, nothing, [])


def test_columns_of_seeds() -> None:
    row = group("a", figure("m", 0.5), again=[[figure("m", 0.6)], [figure("m", 0.7)]])
    text = to_markdown(SEEDS, results(row), [])
    assert "m ↑ over seeds (n = 3)" in text
    assert "mean of the seeds 0, 1, 2" in text
