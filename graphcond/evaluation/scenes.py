"""Scene graphs as evaluation targets, and a scene model as what draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from graphcond.data.open import sources_of
from graphcond.errors import InputError, did_you_mean
from graphcond.evaluation.arms import ModelPictures
from graphcond.evaluation.evaluate import evaluate
from graphcond.evaluation.metrics.base import Metric
from graphcond.evaluation.metrics.registry import build_metrics, networks_of
from graphcond.evaluation.nodes import draw_settings
from graphcond.evaluation.protocols import EvaluationProtocol
from graphcond.evaluation.report import EvaluationReport
from graphcond.evaluation.samples import PictureSet, Targets
from graphcond.evaluation.scene_detector import SceneDetector
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.io.pictures import open_picture, to_square
from graphcond.pipeline import GraphPipeline
from graphcond.progress import Watch
from graphcond.scene_graph import SceneSet


def evaluate_scenes(
    pipe: GraphPipeline,
    scenes: SceneSet,
    rows: Int64[np.ndarray, " n"],
    protocol: EvaluationProtocol,
    *,
    boxes: bool = True,
    detector: SceneDetector | None = None,
    seed: int = 0,
    watch: Watch = lambda task: lambda done, total: None,
) -> dict[str, EvaluationReport]:
    """Draw and score scenes by a protocol: one report for each of its ways of guiding.

    A metric of the protocol that asks for what no scene has (boxes, say) is left out, and the report says so.

    Args:
        pipe: a model that reads scene graphs.
        scenes: where the graphs are.
        rows: the scenes to draw, at most as many as the protocol's samples.
        protocol: how to draw and what to score.
        boxes: whether the model is shown the boxes that scenes give; pictures are held against them anyhow.
        detector: reads scene graphs off pictures; the scene world's oracle unless given.
        seed: of the noise, of who gets whose graph, and of the intervals.
        watch: progress, by task.

    Raises:
        InputError: a network cannot be loaded, the detector fails, or no metric suits these scenes.
    """
    if detector is None and "detector" in networks_of(protocol.metrics):
        detector = OracleDetector.load()
    networks = protocol.load_networks(device=pipe.model.device, detector=detector)
    targets = scene_targets(scenes, rows[: protocol.samples], protocol.resolution)
    metrics, left_out = suitable(build_metrics(protocol.metrics, networks), targets)
    shown = scenes if boxes else scenes.without_boxes()
    sources = sources_of(
        pipe.model.recipe, shown, device=pipe.model.device, progress=watch("embedding the words")
    )
    maker = ModelPictures(pipe, sources, targets.rows, shuffle_seed=seed)
    notes = (*left_out, *_said_of_boxes(targets, shown=boxes))
    reports = {}
    for name, guidance in protocol.guidances.items():

        def advance(stage: str, done: int, total: int, name: str = name) -> None:
            watch(f"{name}: {stage}")(done, total)

        drawing = maker.with_settings(draw_settings(protocol, guidance))
        title = f"{protocol.name}, {name} guidance"
        report = evaluate(drawing, targets, metrics, title=title, seed=seed, progress=advance)
        reports[name] = replace(report, cautions=(*report.cautions, *notes))
    return reports


def _said_of_boxes(targets: Targets, *, shown: bool) -> tuple[str, ...]:
    if not any(graph.boxes for graph in targets.scenes):
        return ()
    return (
        "the model was shown the scenes' boxes" if shown else "the scenes' boxes were kept from the model",
    )


def scenes_of_split(scenes: SceneSet, split: str) -> Int64[np.ndarray, " n"]:
    """The scenes of a split, all of them where the set has no splits; those without objects are left out.

    Raises:
        InputError: the set has splits, but not this one, or none of its scenes has an object.
    """
    names = sorted(set(scenes.splits or ()))
    if names and split not in names:
        raise InputError(f"there is no split '{split}'", place=scenes.root, remedy=did_you_mean(split, names))
    rows = scenes.in_split(split) if names else np.arange(len(scenes))
    rows = np.array([row for row in rows.tolist() if len(scenes.graphs[row])], np.int64)
    if not len(rows):
        raise InputError(f"no scene of the split '{split}' has an object", place=scenes.root)
    return rows


def scene_targets(scenes: SceneSet, rows: Int64[np.ndarray, " n"], resolution: int) -> Targets:
    """Scenes to evaluate on, with their graphs, their prompts and, where all have one, their true pictures.

    Raises:
        InputError: a picture is missing or cannot be read.
    """
    chosen = rows.tolist()
    paths = [scenes.picture_path(row) for row in chosen]
    known = [path for path in paths if path is not None]
    opened = [open_picture(path, longest=2 * resolution) for path in known if len(known) == len(chosen)]
    return Targets(
        rows=rows,
        truths=PictureSet([to_square(picture, resolution) for picture in opened]),
        texts=[scenes.texts[row] for row in chosen],
        scenes=[scenes.graphs[row] for row in chosen],
    )


def suitable(metrics: Sequence[Metric], targets: Targets) -> tuple[list[Metric], tuple[str, ...]]:
    """The metrics that can be scored on ``targets``, and a sentence for each that cannot.

    Raises:
        InputError: none can.
    """
    kept: list[Metric] = []
    reasons: list[InputError] = []
    for metric in metrics:
        try:
            metric.check(targets)
            kept.append(metric)
        except InputError as error:
            reasons.append(error)
    if not kept and reasons:
        raise reasons[0]
    unsuited = [metric for metric in metrics if metric not in kept]
    return kept, tuple(
        f"{metric.name} is left out: {reason.problem}"
        for metric, reason in zip(unsuited, reasons, strict=True)
    )
