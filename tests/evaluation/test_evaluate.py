"""Three arms side by side on the same targets and seeds."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from graphcond.errors import InputError
from graphcond.evaluation import (
    ARMS,
    Arm,
    EvaluationReport,
    PictureSet,
    build_metrics,
    evaluate,
    make_pictures,
    score_pictures,
)
from graphcond.evaluation.metrics.cosine import Diversity
from graphcond.evaluation.metrics.oracle import StyleAccuracy
from graphcond.evaluation.metrics.registry import Networks
from tests.evaluation.doubles import COLORS, READER, ColorAccuracy, MeanColor, plain, targets

TRUTH = [COLORS[row % 3] for row in range(12)]
TARGETS = targets([plain(color) for color in TRUTH], TRUTH, color=TRUTH)


class Maker:
    """Paints the right color with the graph, the next one with a shuffled graph, noise without."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], str, int]] = []

    def make(self, rows: np.ndarray, arm: Arm, seed: int) -> Sequence[Image.Image]:
        self.calls.append((rows.tolist(), arm, seed))
        if arm == "no_graph":
            return [
                Image.fromarray(np.random.default_rng([seed, row]).integers(0, 256, (4, 4, 3), np.uint8))
                for row in rows
            ]
        shift = arm == "shuffled_graph"
        return [plain(COLORS[(row + shift) % 3]) for row in rows]


def _metrics() -> list:
    clip = MeanColor()
    named = build_metrics(["clip_i", "kid", "fid"], Networks(clip=clip, distribution=clip))
    return [ColorAccuracy(READER), *named]


@pytest.fixture(scope="module")
def report() -> EvaluationReport:
    return evaluate(Maker(), TARGETS, _metrics(), title="colors", seed=3, batch_size=5)


def test_every_arm_has_every_metric_with_its_interval(report: EvaluationReport) -> None:
    assert tuple(report.arms) == ARMS
    for figures in (*report.arms.values(), *report.differences.values()):
        assert list(figures) == ["style_accuracy", "clip_i", "kid", "fid"]
        assert all(figure.low <= figure.mean <= figure.high for figure in figures.values())
        assert all(figure.n == 12 for figure in figures.values())
    assert report.figure("graph", "style_accuracy").mean == 1
    assert report.figure("shuffled_graph", "style_accuracy").mean == 0
    assert report.figure("graph", "clip_i").mean == pytest.approx(100)


def test_differences_are_paired(report: EvaluationReport) -> None:
    for pair, figures in report.differences.items():
        first, second = pair.split(" - ")
        for metric, figure in figures.items():
            gap = report.figure(first, metric).mean - report.figure(second, metric).mean
            assert figure.mean == pytest.approx(gap)
    exact = report.differences["graph - shuffled_graph"]["style_accuracy"]
    assert (exact.low, exact.high) == (1, 1)


def test_arms_see_the_same_rows_and_seed_in_batches() -> None:
    maker = Maker()
    seen: list[tuple[str, int, int]] = []
    make_pictures(
        maker, TARGETS, seed=7, batch_size=5, watch=lambda arm: lambda *state: seen.append((arm, *state))
    )
    batches = [list(range(5)), list(range(5, 10)), [10, 11]]
    assert maker.calls == [(batch, arm, 7) for arm in ARMS for batch in batches]
    assert seen[:4] == [("no graph", done, 12) for done in (0, 5, 10, 12)]


def test_batches_do_not_matter(report: EvaluationReport) -> None:
    assert evaluate(Maker(), TARGETS, _metrics(), title="colors", seed=3, batch_size=12) == report


def test_other_arms_can_be_scored() -> None:
    pictures = make_pictures(Maker(), TARGETS, arms=["graph"])
    report = score_pictures({"ppr": pictures["graph"], "graph": pictures["graph"]}, TARGETS, _metrics())
    assert list(report.arms) == ["ppr", "graph"]
    assert report.differences == {}


def test_json_holds_everything(report: EvaluationReport) -> None:
    read = json.loads(json.dumps(report.to_json()))
    assert read["n"] == 12
    assert read["arms"]["graph"]["style_accuracy"] == {
        "name": "style_accuracy",
        "mean": 1.0,
        "low": 1.0,
        "high": 1.0,
        "n": 12,
    }
    assert set(read["differences"]) == {"graph - no_graph", "graph - shuffled_graph"}
    assert read["networks"]["style_accuracy"] == "ColorOracle"


def test_a_metric_gets_as_many_pictures_of_a_target_as_it_looks_at() -> None:
    maker = Maker()
    report = evaluate(maker, TARGETS, [Diversity(MeanColor(), draws=3)], seed=3, batch_size=12)
    rows = list(range(12))
    assert maker.calls == [(rows, arm, seed) for arm in ARMS for seed in (3, 4, 5)]
    assert report.figure("graph", "diversity").mean == pytest.approx(0, abs=1e-6)
    assert report.figure("no_graph", "diversity").mean > 0


def test_fid_is_cautioned_about(report: EvaluationReport) -> None:
    assert any("fid over 12 samples" in note for note in report.cautions)


def test_what_is_missing_is_said_before_any_picture_is_made() -> None:
    maker = Maker()
    with pytest.raises(InputError, match="no metric"):
        evaluate(maker, TARGETS, [])
    with pytest.raises(InputError, match="'artist'"):
        evaluate(maker, TARGETS, [StyleAccuracy(READER)])
    few = targets([plain("red")] * 3)
    with pytest.raises(InputError, match="too few for fid"):
        evaluate(maker, few, build_metrics(["fid"], Networks(distribution=MeanColor())))
    assert maker.calls == []


def test_wrong_numbers_of_pictures_are_refused() -> None:
    class Lazy(Maker):
        def make(self, rows: np.ndarray, arm: Arm, seed: int) -> Sequence[Image.Image]:
            return super().make(rows, arm, seed)[1:]

    with pytest.raises(InputError, match="4 pictures for 5 targets"):
        evaluate(Lazy(), TARGETS, _metrics(), batch_size=5)
    with pytest.raises(InputError, match="1 pictures for 12 targets"):
        score_pictures({"graph": PictureSet([plain("red")])}, TARGETS, _metrics())
