"""SGCond's seven experiments on the scene world: which way of reading a scene graph draws it best?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from PIL import Image

from graphcond import evaluation, worlds
from graphcond.bench.experiments import Experiment, ExperimentFacts, facts_of, weights_of
from graphcond.bench.scene_exam import SceneExam, first_targets
from graphcond.bench.scene_scores import Scores, keep_scores, kept_scores
from graphcond.bench.swap import swap_test
from graphcond.data.dataset import SceneDataset
from graphcond.evaluation import (
    Measurement,
    PictureSet,
    build_metrics,
    make_pictures,
    score_pictures,
)
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.evaluation.metrics.diversity import Diversity
from graphcond.evaluation.metrics.registry import Networks
from graphcond.evaluation.protocols import SCENES
from graphcond.features.clip import ClipExtractor
from graphcond.io.fingerprint import fingerprint, source_version
from graphcond.pipeline import GraphPipeline
from graphcond.progress import Watch, within

METRICS = tuple(name for name in SCENES.metrics if name not in ("box_iou", "diversity"))
"""No experiment is told boxes, so none is scored by them; diversity is measured on fewer graphs."""

BATCH = 40
STEPS = 8
DIVERSE = 24
"""Number of graphs that are drawn a second time, to measure the diversity of their pictures."""

EXAMPLES = 6
"""Number of graphs in the picture."""


@dataclass(frozen=True)
class SceneRow:
    """One experiment and everything measured of it."""

    facts: ExperimentFacts
    scores: Scores

    def figure(self, metric: str, arm: str = "graph") -> Measurement:
        """One figure, by metric and arm."""
        return self.scores.report.figure(arm, metric)

    def gain(self, metric: str, over: str) -> Measurement:
        """The gain in a figure from the graph over another arm, paired by target."""
        return self.scores.report.differences[f"graph - {over}"][metric]


@dataclass(frozen=True)
class SceneBench:
    """All experiments over the same graphs and noise.

    Args:
        rows: one for each experiment.
        findings: the findings, one sentence each.
        n: held-out graphs.
        pairs: of the swap test.
        steps: denoising steps.
        seed: of the world, the training and the noise.
    """

    rows: tuple[SceneRow, ...]
    findings: tuple[str, ...]
    n: int
    pairs: int
    steps: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain values."""
        return asdict(self)


def examine(experiment: Experiment, exam: SceneExam, *, watch: Watch) -> tuple[SceneRow, list[Image.Image]]:
    """Draw and score with a trained experiment, or load the scores of an earlier call.

    Returns:
        the row, and the pictures of the first graphs.
    """
    pipe = GraphPipeline.from_pretrained(experiment.model)
    facts = facts_of(experiment, pipe)
    key = fingerprint(
        weights_of(experiment),
        exam.targets.rows,
        len(exam.pairs),
        exam.seed,
        exam.detector.identity,
        (STEPS, DIVERSE, EXAMPLES, METRICS),
        source_version(evaluation),
        source_version(worlds),
    )
    kept = kept_scores(experiment.folder, key)
    if kept is not None:
        return SceneRow(facts, kept[0]), kept[1]
    scores, examples = score(pipe, experiment.name, exam, watch=watch)
    keep_scores(experiment.folder, key, scores, examples)
    return SceneRow(facts, scores), examples


def score(
    pipe: GraphPipeline, name: str, exam: SceneExam, *, watch: Watch
) -> tuple[Scores, list[Image.Image]]:
    """Draw the exam's graphs in every arm and its pairs, and score the pictures.

    Returns:
        the scores, and the pictures of the first graphs.
    """
    settings = DrawSettings(steps=STEPS)
    scenes = SceneDataset(exam.scenes).without_boxes()
    views = scenes.views(pipe.model.recipe, pipe.model.extractors)
    maker = ModelPictures(pipe, views, exam.targets.rows, settings, shuffle_seed=exam.seed)
    draw = partial(make_pictures, maker, batch_size=BATCH)
    pictures = draw(exam.targets, seed=exam.seed, watch=within(watch, name))
    metrics = build_metrics(METRICS, Networks(detector=exam.detector))
    report = score_pictures(pictures, exam.targets, metrics, title=name, seed=exam.seed)
    few = first_targets(exam.targets, DIVERSE)
    again = draw(few, seed=exam.seed + 1)
    swap = swap_test(
        pipe,
        exam.detector,
        exam.pairs,
        settings=settings,
        seed=exam.seed,
        progress=watch(f"{name}: swaps"),
    )
    both = {arm: PictureSet(made.pictures[: len(few)], [again[arm]]) for arm, made in pictures.items()}
    metric = Diversity(ClipExtractor.from_pretrained("tiny"))
    twice = score_pictures(both, few, [metric], seed=exam.seed)
    diversity = {arm: figures["diversity"] for arm, figures in twice.arms.items()}
    return Scores(report, diversity, swap), list(pictures["graph"].pictures[:EXAMPLES])
