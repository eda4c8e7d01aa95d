"""The metrics of an evaluation protocol, over held-out targets in several arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphcond.evaluation import (
    Arm,
    EvaluationProtocol,
    Metric,
    PictureSet,
    Samples,
    Targets,
    build_metrics,
    get_protocol,
    match_scene,
)
from graphcond.evaluation.arms import DrawSettings
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
GRAPH_SIDE = 352
"""Side of the drawing of a scene graph in pixels."""


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

    def __init__(
        self,
        *,
        protocol: str | None = DEFAULT.protocol,
        metrics: Sequence[str] | None = DEFAULT.metrics,
        arms: Sequence[Arm] = DEFAULT.arms,
        split: str | None = DEFAULT.split,
        limit: int | None = DEFAULT.limit,
        steps: int | None = DEFAULT.steps,
        guidance: str = DEFAULT.guidance,
        boxes: bool = DEFAULT.boxes,
        redrawn: int | None = DEFAULT.redrawn,
        label: str | None = DEFAULT.label,
    ) -> None:
        self.protocol, self.metrics, self.arms = protocol, metrics, tuple(arms)
        self.split, self.limit, self.steps = split, limit, steps
        self.guidance, self.boxes, self.redrawn, self.label = guidance, boxes, redrawn, label

    def score(self, exam: Exam) -> Scored:
        """One figure for each metric and arm."""
        protocol = self._protocol(exam)
        of_classes = () if self.label is None else (SameClass.name,)
        names = tuple(dict.fromkeys((*(self.metrics or protocol.metrics), *of_classes)))
        networks = exam.shared.networks(protocol, names, exam.recipe.features)
        known = [fact for fact in FACTS if "oracle" in networks_of(names) and fact in exam.data.attributes]
        rows = exam.rows(self.split, self.limit or protocol.samples)
        side = protocol.resolution or exam.recipe.data.resolution
        targets = targets_of(exam.data, rows, side, known, self.label)
        metrics, notes = suitable(build_metrics(names, networks), targets)
        guidance = next(iter(protocol.guidances.values())) if self.guidance == "protocol" else None
        settings = draw_settings(protocol, guidance)
        figures = []
        for group in (1, 2):  # metrics of one picture of each target, then those of several
            chosen = [metric for metric in metrics if min(metric.draws, 2) == group]
            some = targets if group == 1 or self.redrawn is None else first_targets(targets, self.redrawn)
            figures += self._figures(exam, chosen, targets, some, settings)
        limits = exam.data.notes_on_limits(
            exam.recipe,
            rows,
            lambda name: exam.views(self.split, boxes=self.boxes)[name].sample(rows),
            exam.pipe.model.base,
        )
        said = [note for m in metrics for note in (m.basis(targets), m.caution(len(targets))) if note]
        return Scored(
            figures,
            [*dict.fromkeys(said), *notes, *limits, *self._on_arms(exam, targets)],
            self._examples(exam, targets, settings),
        )

    def _on_arms(self, exam: Exam, targets: Targets) -> list[str]:
        """What the arms of the row are shown, and what stays in the one without graph."""
        notes = []
        if exam.recipe.updates and "no_graph" in self.arms:
            names = " and ".join(exam.recipe.updates)
            notes.append(f"{names} stays in the arm without graph")
        if any(graph.boxes for graph in targets.scenes):
            predicts = any(one.encoder.predicts_boxes for one in exam.pipe.model.conditions.values())
            hidden = f"boxes were hidden, {'and predicted' if predicts else 'and no encoder predicts any'}"
            notes.append("models were shown the scenes' boxes" if self.boxes else hidden)
        return notes

    def _protocol(self, exam: Exam) -> EvaluationProtocol:
        """The protocol with its steps: the one named here, else that of the recipe for such data."""
        if self.protocol is not None:
            protocol = get_protocol(self.protocol, place="scores")
        else:
            protocol = protocol_for(exam.recipe.evaluation.protocol, exam.data)
        return replace(
            protocol,
            steps=self.steps or protocol.steps or exam.recipe.training.preview_steps,
            resolution=protocol.resolution or exam.recipe.data.resolution,
        )

    def _figures(
        self, exam: Exam, metrics: Sequence[Metric], targets: Targets, some: Targets, settings: DrawSettings
    ) -> list[Figure]:
        draws = max((metric.draws for metric in metrics), default=0)
        drawn = {arm: self._drawn(exam, arm, targets, some, settings, draws) for arm in self.arms if draws}
        named = fingerprint(exam.shared.data_identity(exam.recipe.data), some.rows)
        return [
            Figure(
                metric=metric.name,
                arm=arm,
                evidence=metric.evidence(Samples(some, pictures), seed=exam.seed),
                n=len(some),
                how=metric.how,
                higher_is_better=metric.higher_is_better,
                network=metric.identity,
                targets=named,
            )
            for metric in metrics
            for arm, pictures in drawn.items()
        ]

    def _drawn(
        self, exam: Exam, arm: Arm, targets: Targets, some: Targets, settings: DrawSettings, draws: int
    ) -> PictureSet:
        """Pictures of the first targets; those of all targets are drawn first, and used again."""

        def draw(of: Targets, number: int) -> PictureSet:
            return exam.pictures(
                of, arm, settings, among=targets.rows, split=self.split, boxes=self.boxes, draw=number
            )

        first = draw(targets, 0)
        if draws == 1:
            return first
        return PictureSet(first.pictures[: len(some)], [draw(some, number) for number in range(1, draws)])

    def _examples(self, exam: Exam, targets: Targets, settings: DrawSettings) -> list[Example]:
        if not exam.examples:
            return []
        arm: Arm = "graph" if "graph" in self.arms else self.arms[0]
        few = first_targets(targets, max(2, exam.examples))
        made = self._drawn(exam, arm, targets, targets, settings, 1).pictures[: len(few)]
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
