"""Evaluation: pictures of the same targets and seeds without graph, with it, and with a shuffled one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, product
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Int64
from PIL import Image

from graphcond.errors import InputError
from graphcond.evaluation.arms import Arm
from graphcond.evaluation.crew import Crew
from graphcond.evaluation.metrics.base import Metric
from graphcond.evaluation.report import DIFFERENCES, EvaluationReport
from graphcond.evaluation.samples import PictureSet, Samples, Targets, require_length
from graphcond.intervals import Measurement
from graphcond.progress import Watch, silent

ARMS: tuple[Arm, ...] = ("no_graph", "graph", "shuffled_graph")

BATCH = 32

Look: TypeAlias = Callable[[Targets, Mapping[str, PictureSet]], None]
"""Is shown the targets, and the pictures of each arm."""


@runtime_checkable
class PictureMaker(Protocol):
    """Makes pictures for targets; evaluation does not know how."""

    def make(self, rows: Int64[np.ndarray, " b"], arm: Arm, seed: int) -> Sequence[Image.Image]:
        """One picture for each row of the graph.

        A picture depends on its row, the arm and the seed, not on the batch it comes in, and starts
        from the same noise in every arm. ``shuffled_graph`` gives each target the context of another.
        """


def evaluate(
    maker: PictureMaker,
    targets: Targets,
    metrics: Sequence[Metric],
    *,
    title: str = "evaluation",
    seed: int = 0,
    batch_size: int = BATCH,
    watch: Watch = silent,
    look: Look | None = None,
) -> EvaluationReport:
    """Make the pictures of all three arms and score them; ``look`` is shown them in between.

    Raises:
        InputError: no metrics, or the targets lack what a metric needs.
    """
    check_metrics(metrics, targets)
    draws = max(metric.draws for metric in metrics)
    pictures = make_pictures(maker, targets, draws=draws, seed=seed, batch_size=batch_size, watch=watch)
    if look is not None:
        look(targets, pictures)
    return score_pictures(pictures, targets, metrics, title=title, seed=seed, watch=watch)


def make_pictures(
    maker: PictureMaker,
    targets: Targets,
    *,
    arms: Sequence[Arm] = ARMS,
    draws: int = 1,
    seed: int = 0,
    batch_size: int = BATCH,
    watch: Watch = silent,
    crew: Crew | None = None,
) -> dict[str, PictureSet]:
    """The pictures of each arm, in the order of the targets.

    Args:
        maker: makes them.
        targets: the targets to draw.
        arms: which arms.
        draws: pictures of each target; the further ones are the set's ``redrawn``.
        seed: of the noise.
        batch_size: pictures at a time.
        watch: counts the pictures of each arm.
        crew: processes that call this at once, and divide the batches.
    """
    count, arm_pictures = len(targets), {}
    batches = list(pairwise([*range(0, count, batch_size), count]))
    for arm in arms:
        progress, made = watch(arm.replace("_", " ")), list[Image.Image]()
        progress(0, draws * count)

        def make(batch: tuple[int, tuple[int, int]], arm: Arm = arm) -> Sequence[Image.Image]:
            draw, (start, end) = batch
            pictures = maker.make(targets.rows[start:end], arm, seed + draw)
            require_length("pictures", len(pictures), end - start)
            return pictures

        for pictures in (crew or Crew()).divided([*product(range(draws), batches)], make):
            made.extend(pictures)
            progress(len(made), draws * count)
        first, *others = (PictureSet(made[draw * count : (draw + 1) * count]) for draw in range(draws))
        arm_pictures[str(arm)] = PictureSet(first.pictures, others)
    return arm_pictures


def score_pictures(
    pictures: Mapping[str, PictureSet],
    targets: Targets,
    metrics: Sequence[Metric],
    *,
    title: str = "evaluation",
    seed: int = 0,
    watch: Watch = silent,
) -> EvaluationReport:
    """Score the pictures of any number of arms, whatever they are called.

    Raises:
        InputError: no metrics, an arm with more or fewer pictures than targets, or targets that lack
            the facts that a metric needs.
    """
    check_metrics(metrics, targets)
    samples = {arm: Samples(targets, made) for arm, made in pictures.items()}
    pairs = [pair for pair in DIFFERENCES if set(pair) <= set(samples)]
    arms: dict[str, dict[str, Measurement]] = {arm: {} for arm in samples}
    differences: dict[str, dict[str, Measurement]] = {f"{a} - {b}": {} for a, b in pairs}
    progress = watch("scoring (metrics)")
    for done, metric in enumerate(metrics):
        progress(done, len(metrics))
        evidence = {arm: metric.evidence(made, seed=seed) for arm, made in samples.items()}
        for arm, found in evidence.items():
            arms[arm][metric.name] = metric.measure(found, len(targets), seed=seed)
        for a, b in pairs:
            gain = metric.measure(evidence[a] - evidence[b], len(targets), seed=seed)
            differences[f"{a} - {b}"][metric.name] = gain
    progress(len(metrics), len(metrics))
    notes = (note for metric in metrics for note in (metric.basis(targets), metric.caution(len(targets))))
    chances = {metric.name: metric.chance(targets) for metric in metrics}
    return EvaluationReport(
        title=title,
        n=len(targets),
        seed=seed,
        arms=arms,
        differences=differences,
        networks={metric.name: metric.identity for metric in metrics},
        higher_is_better={metric.name: metric.higher_is_better for metric in metrics},
        cautions=tuple(dict.fromkeys(note for note in notes if note is not None)),
        chance={name: level for name, level in chances.items() if level is not None},
    )


def check_metrics(metrics: Sequence[Metric], targets: Targets) -> None:
    """Check, before anything is drawn, that there are metrics, and that the targets have what they need.

    Raises:
        InputError: no metrics, or the targets lack what one needs.
    """
    if not metrics:
        raise InputError("no metric to score by", place="evaluation", remedy="name at least one")
    for metric in metrics:
        metric.check(targets)
