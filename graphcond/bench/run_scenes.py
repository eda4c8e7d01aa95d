"""From seven recipes to a comparison: train each, then evaluate each; finished work is used again."""

from __future__ import annotations

from collections.abc import Sequence

from graphcond.bench.experiments import Experiment, Trainer, train_experiment
from graphcond.bench.scene_exam import SceneExamples, first_targets, open_exam
from graphcond.bench.scene_verdict import scene_findings
from graphcond.bench.scenes import EXAMPLES, STEPS, SceneBench, examine
from graphcond.evaluation import SceneDetector
from graphcond.progress import progress_bars
from graphcond.training import train


def run_scenes(
    experiments: Sequence[Experiment],
    *,
    limit: int = 120,
    pairs: int = 100,
    seed: int = 0,
    detector: SceneDetector | None = None,
    trainer: Trainer = train,
) -> tuple[SceneBench, SceneExamples]:
    """Train and examine experiments whose data are the same.

    Args:
        experiments: the experiments to compare.
        limit: held-out graphs, at most.
        pairs: of the swap test.
        seed: of the graphs, the pairs, the noise and the intervals.
        detector: reads scene graphs off pictures; the scene world's oracle unless given.
        trainer: trains a recipe, as `graphcond.training.train` does.

    Raises:
        InputError: a recipe cannot be trained, its data are not scene graphs, or the detector fails.
        KeyboardInterrupt: the user stopped it; another call continues from there.
    """
    with progress_bars() as watch:
        exam = open_exam(
            experiments[0].recipe, limit=limit, pairs=pairs, seed=seed, detector=detector, watch=watch
        )
    for experiment in experiments:
        train_experiment(experiment, trainer=trainer)
    rows, made = [], {}
    with progress_bars() as watch:
        for number, experiment in enumerate(experiments):
            row, made[experiment.name] = examine(experiment, exam, watch=watch)
            rows.append(row)
            watch("experiments")(number + 1, len(experiments))
    bench = SceneBench(
        rows=tuple(rows),
        findings=tuple(scene_findings(rows)),
        n=len(exam.targets),
        pairs=len(exam.pairs),
        steps=STEPS,
        seed=seed,
    )
    return bench, SceneExamples(first_targets(exam.targets, EXAMPLES), made, exam.detector)
