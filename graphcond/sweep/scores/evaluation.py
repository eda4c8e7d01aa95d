"""The metrics of an evaluation protocol, over held-out targets in several arms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from graphcond.evaluation import (
    Arm,
    Metric,
    PictureSet,
    Samples,
    Targets,
    build_metrics,
    get_protocol,
    match_scene,
)
from graphcond.evaluation.metrics.registry import networks_of
from graphcond.evaluation.metrics.retrieval import SameClass
from graphcond.evaluation.targets import FACTS, draw_settings, protocol_for, suitable, targets_of
from graphcond.io.fingerprint import fingerprint
from graphcond.scene_graph import sentence_of
from graphcond.scenes import draw_graph
from graphcond.sweep.exam import Exam, first_targets
from graphcond.sweep.scores.base import Example, Figure, Score, Scored
from graphcond.sweep.scores.config import EvaluationScoreConfig

DEFAULT = EvaluationScoreConfig.model_construct()
Draw = Callable[..., PictureSet]
"""`Exam.pictures` with the settings of a score."""
GRAPH_SIDE = 352
"""Side of the drawing of a scene graph in pixels."""


@dataclass(frozen=True, kw_only=True)
class EvaluationScore(Score):
    """Draws held-out targets and scores the pictures.

    Args:
        protocol: name of a protocol; that of the row's recipe unless given.
        metrics: names of metrics; the protocol's unless given.
        arms: the arms that are drawn.
        split: whose rows are drawn; the forbidden splits unless given, else ``val``.
        limit: most targets.
        steps: denoising steps.
        guidance: whose scales are used.
        boxes: whether models are shown the boxes of scenes.
        redrawn: targets of metrics that compare several pictures of a target.
        label: the column of the nodes that holds the classes of `SameClass`.
    """

    protocol: str | None = DEFAULT.protocol
    metrics: Sequence[str] | None = DEFAULT.metrics
    arms: Sequence[Arm] = DEFAULT.arms
    split: str | None = DEFAULT.split
    limit: int | None = DEFAULT.limit
    steps: int | None = DEFAULT.steps
    guidance: str = DEFAULT.guidance
    boxes: bool = DEFAULT.boxes
    redrawn: int | None = DEFAULT.redrawn
    label: str | None = DEFAULT.label

    def score(self, exam: Exam) -> Scored:
        """One figure for each metric and arm."""
        recipe, data = exam.recipe, exam.data
        if self.protocol is not None:
            protocol = get_protocol(self.protocol, place="scores")
        else:
            protocol = protocol_for(recipe.evaluation.protocol, data)
        steps = self.steps or protocol.steps or recipe.training.preview_steps
        side = protocol.resolution or recipe.data.resolution
        of_classes = () if self.label is None else (SameClass.name,)
        names = tuple(dict.fromkeys((*(self.metrics or protocol.metrics), *of_classes)))
        networks = exam.shared.networks(protocol, names, recipe.features)
        known = [fact for fact in FACTS if "oracle" in networks_of(names) and fact in data.attributes]
        rows = exam.rows(self.split, self.limit or protocol.samples)
        targets = targets_of(data, rows, side, known, self.label)
        metrics, notes = suitable(build_metrics(names, networks), targets)
        guidance = next(iter(protocol.guidances.values())) if self.guidance == "protocol" else None
        draw = partial(
            exam.pictures,
            settings=draw_settings(replace(protocol, steps=steps, resolution=side), guidance),
            among=rows,
            split=self.split,
            boxes=self.boxes,
        )
        base, views = exam.pipe.model.base, partial(exam.views, self.split, boxes=self.boxes)
        limits = data.notes_on_limits(recipe, rows, lambda name: views()[name].sample(rows), base)
        said = [note for m in metrics for note in (m.basis(targets), m.caution(len(targets))) if note]
        if recipe.updates and "no_graph" in self.arms:
            limits = [*limits, f"{' and '.join(recipe.updates)} stays in the arm without graph"]
        if any(graph.boxes for graph in targets.scenes):
            predicts = any(one.encoder.predicts_boxes for one in exam.pipe.model.conditions.values())
            hidden = f"boxes were hidden, {'and predicted' if predicts else 'and no encoder predicts any'}"
            limits = [*limits, "models were shown the scenes' boxes" if self.boxes else hidden]
        return Scored(
            list(self._figures(exam, draw, metrics, targets)),
            [*dict.fromkeys(said), *notes, *limits],
            self._examples(exam, draw, targets) if exam.examples else (),
        )

    def _figures(
        self, exam: Exam, draw: Draw, metrics: Sequence[Metric], targets: Targets
    ) -> Iterator[Figure]:
        """Those of metrics that look at one picture of each target, then of those that look at several."""
        arms = [arm for arm in self.arms if arm != "no_update" or exam.pipe.model.adapters]
        for several in (False, True):
            chosen = [metric for metric in metrics if (metric.draws > 1) is several]
            some = first_targets(targets, self.redrawn) if several and self.redrawn else targets
            drawn: dict[Arm, PictureSet] = {}
            for arm in arms if chosen else ():
                drawn[arm] = draw(targets, arm)
                if several:
                    others = [draw(some, arm, draw=n) for n in range(1, max(m.draws for m in chosen))]
                    drawn[arm] = PictureSet(drawn[arm].pictures[: len(some)], others)
            named = fingerprint(exam.shared.data_identity(exam.recipe.data), some.rows)
            for metric, (arm, pictures) in product(chosen, drawn.items()):
                yield Figure(
                    metric=metric.name,
                    arm=arm,
                    evidence=metric.evidence(Samples(some, pictures), seed=exam.seed),
                    n=len(some),
                    how=metric.how,
                    higher_is_better=metric.higher_is_better,
                    network=metric.identity,
                    targets=named,
                )

    def _examples(self, exam: Exam, draw: Draw, targets: Targets) -> list[Example]:
        few = first_targets(targets, max(2, exam.examples))
        made = draw(targets, "graph" if "graph" in self.arms else self.arms[0]).pictures[: len(few)]
        truths = few.truths.pictures or (None,) * len(few)
        if not few.scenes:
            shown = zip(few.texts, made, truths, strict=True)
            return [Example(text, drawn, truth=truth) for text, drawn, truth in shown]
        seen = PictureSet(made).detected(exam.shared.detector, few.scenes)
        return [
            Example(
                sentence_of(graph),
                drawn,
                graph=draw_graph(graph, size=GRAPH_SIDE),
                truth=truth,
                right=match_scene(graph, found).related,
            )
            for graph, drawn, truth, found in zip(few.scenes, made, truths, seen, strict=True)
        ]
