"""Rows of a comparison with figures set by hand."""

from __future__ import annotations

from graphcond.bench.experiments import ExperimentFacts
from graphcond.bench.scene_scores import Scores
from graphcond.bench.scenes import METRICS, SceneRow
from graphcond.bench.swap import SwapResult
from graphcond.evaluation import EvaluationReport, Measurement

ARMS = ("no_graph", "graph", "shuffled_graph")


def share(name: str, mean: float, reach: float = 0.04, n: int = 120) -> Measurement:
    return Measurement(name, mean, mean - reach, mean + reach, n)


def row(
    name: str,
    relations: float = 0.7,
    without: float = 0.1,
    shuffled: float = 0.2,
    objects: float = 0.9,
    swap: float = 0.5,
    seconds: float | None = 90.0,
) -> SceneRow:
    figures = {
        "graph": {**_all(0.5), "relation_accuracy": relations, "object_occurrence": objects},
        "no_graph": {**_all(0.2), "relation_accuracy": without},
        "shuffled_graph": {**_all(0.3), "relation_accuracy": shuffled},
    }
    arms = {arm: {m: share(m, value) for m, value in figures[arm].items()} for arm in ARMS}
    differences = {
        f"graph - {other}": {m: share(m, figures["graph"][m] - figures[other][m]) for m in METRICS}
        for other in ("no_graph", "shuffled_graph")
    }
    report = EvaluationReport(
        title=name,
        n=120,
        seed=0,
        arms=arms,
        differences=differences,
        networks=dict.fromkeys(METRICS, "SceneOracle"),
        higher_is_better=dict.fromkeys(METRICS, True),
        cautions=("relation_accuracy: 312 relations in 120 graphs",),
    )
    swaps = SwapResult(*(share(one, mean, n=100) for one, mean in (("b", swap), ("o", 0.8), ("c", 0.04))))
    facts = ExperimentFacts(name, "triple_gcn over tiny", "gated_self_attention", 1_234_567, seconds)
    return SceneRow(facts, Scores(report, {arm: share("diversity", 0.3, n=24) for arm in ARMS}, swaps))


def _all(value: float) -> dict[str, float]:
    return dict.fromkeys(METRICS, value)
