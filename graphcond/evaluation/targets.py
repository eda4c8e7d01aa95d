"""Evaluation of a model on its data: nodes of a graph or scenes, drawn and scored by a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import AttributedGraph
from graphcond.data.dataset import Dataset, SceneDataset, as_dataset
from graphcond.errors import InputError
from graphcond.evaluation import protocols
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.evaluation.crew import Crew
from graphcond.evaluation.evaluate import Look, check_metrics, make_pictures, score_pictures
from graphcond.evaluation.metrics.base import Metric
from graphcond.evaluation.metrics.oracle import OracleReader
from graphcond.evaluation.metrics.registry import build_metrics, networks_of
from graphcond.evaluation.metrics.retrieval import CLASS, SameClass
from graphcond.evaluation.protocols import ART, OWN, SCENES, EvaluationProtocol
from graphcond.evaluation.report import EvaluationReport
from graphcond.evaluation.samples import PictureSet, SceneDetector, Targets
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.guidance import GraphGuidance
from graphcond.io.pictures import open_square
from graphcond.pipeline import GraphPipeline
from graphcond.progress import Watch, silent, within
from graphcond.recipe.sections import AUTO
from graphcond.scene_graph import SceneSet
from graphcond.worlds.oracle import ArtOracle

FACTS = ("artist", "subject")
"""The facts that the art world's oracle recognizes in a picture."""


def protocol_for(name: str, data: Dataset) -> EvaluationProtocol:
    """The protocol that a recipe names, for these data.

    ``auto``, and a protocol of a world (``art``, ``scenes``), give that of the world which the data are from,
    and ``own`` for all other data with pictures: the oracle of a world recognizes nothing else.

    Raises:
        InputError: there is no such protocol.
    """
    if name not in (AUTO, ART.name, SCENES.name):
        return protocols.get_protocol(name)
    pictured = any(picture is not None for picture in data.columns.pictures)
    if pictured and not data.of_world:
        return OWN
    return SCENES if isinstance(data, SceneDataset) else ART


def evaluate_model(
    pipe: GraphPipeline,
    data: AttributedGraph | SceneSet | Dataset,
    rows: Int64[np.ndarray, " n"],
    protocol: EvaluationProtocol,
    *,
    forbidden: Int64[np.ndarray, " f"] | None = None,
    label: str | None = None,
    boxes: bool = True,
    detector: SceneDetector | None = None,
    seed: int = 0,
    watch: Watch = silent,
    look: Look | None = None,
    crew: Crew | None = None,
) -> dict[str, EvaluationReport]:
    """Draw and score nodes or scenes by a protocol: one report for each of its ways of guiding.

    On scenes, a metric of the protocol that no scene has the facts for (boxes, say) is left out, and the
    report says so.

    Args:
        pipe: the model.
        data: the dataset whose rows are drawn.
        rows: nodes or scenes, at most as many as the protocol's samples.
        protocol: how to draw and what to score.
        forbidden: nodes that may not be neighbors.
        label: a column of the nodes whose values are classes; `SameClass` is then scored too.
        boxes: whether the model is shown the boxes that scenes give; pictures are compared with them anyhow.
        detector: reads scene graphs off pictures; the scene world's oracle unless given.
        seed: of the noise, of who gets whose graph, and of the intervals.
        watch: progress, by task.
        look: is shown the pictures of each way of guiding before they are scored.
        crew: processes that call this at once, and divide the pictures; only the first one scores, and the
            others get no reports.

    Raises:
        InputError: a network cannot be loaded, the detector fails, or the data lack a fact that is scored.
    """
    data, device, recipe = as_dataset(data), pipe.model.device, pipe.model.recipe
    resolution = protocol.resolution or recipe.data.resolution
    protocol = replace(protocol, resolution=resolution, steps=protocol.steps or recipe.training.preview_steps)
    scored = protocol.metrics if label is None else tuple(dict.fromkeys((*protocol.metrics, SameClass.name)))
    needed = networks_of(scored)
    if detector is None and "detector" in needed:
        detector = OracleDetector.load()
    oracle = art_oracle() if "oracle" in needed else None
    facts = [fact for fact in FACTS if oracle is not None and fact in data.attributes]
    networks = protocol.load_networks(
        device=device, oracle=oracle, detector=detector, metrics=scored, extractors=pipe.model.extractors
    )
    metrics: Sequence[Metric] = build_metrics(scored, networks)
    targets = targets_of(data, rows[: protocol.samples], resolution, facts, label)
    notes: tuple[str, ...] = ()
    if targets.scenes:
        metrics, notes = suitable(metrics, targets)
    if any(graph.boxes for graph in targets.scenes):
        said = "the model was shown the scenes' boxes"
        notes = (*notes, said if boxes else "the scenes' boxes were kept from the model")
    shown = data if boxes else data.without_boxes()
    progress = watch(f"embedding {data.embedded}")
    views = shown.views(recipe, pipe.model.extractors, forbidden=forbidden, progress=progress)
    maker = ModelPictures(pipe, views, targets.rows, shuffle_seed=seed)
    check_metrics(metrics, targets)
    draws, crew, reports = max(metric.draws for metric in metrics), crew or Crew(), {}
    for name, guidance in protocol.guidances.items():
        drawing, task = maker.with_settings(draw_settings(protocol, guidance)), within(watch, name)
        pictures = make_pictures(drawing, targets, draws=draws, seed=seed, watch=task, crew=crew)
        if not crew.leads:
            continue
        if look is not None:
            look(targets, pictures)
        title = f"{protocol.name}, {name} guidance"
        report = score_pictures(pictures, targets, metrics, title=title, seed=seed, watch=task)
        reports[name] = replace(report, cautions=(*report.cautions, *notes))
    return reports


def draw_settings(protocol: EvaluationProtocol, guidance: GraphGuidance | None) -> DrawSettings:
    """The settings with which ``protocol`` draws in one of its guidance modes."""
    settings = DrawSettings(steps=protocol.steps or DrawSettings.steps, resolution=protocol.resolution)
    if guidance is None:
        return settings
    return replace(settings, text_scale=guidance.text, graph_scale=guidance.graphs[0], mode=guidance.mode)


def art_oracle() -> OracleReader:
    """The packaged oracle of the art world with the names of its classes."""
    return OracleReader(ArtOracle.load(), {"artist": ArtOracle.artists, "subject": ArtOracle.subjects})


def targets_of(
    data: Dataset,
    rows: Int64[np.ndarray, " n"],
    resolution: int,
    facts: Sequence[str] = (),
    label: str | None = None,
) -> Targets:
    """Nodes or scenes to evaluate on, with their texts, known facts and scene graphs.

    Their true pictures are there where all of them have one. The column ``label`` holds the classes that
    `SameClass` reads.

    Raises:
        InputError: a picture is missing or cannot be read, or there is no such column.
    """
    chosen = rows.tolist()
    columns = {fact: data.labels(fact) for fact in facts}
    if label is not None:
        columns[CLASS] = data.labels(label)
    known = [path for path in map(data.picture_path, chosen) if path is not None]
    truths = [open_square(path, resolution) for path in known if len(known) == len(chosen)]
    return Targets(
        rows=rows,
        truths=PictureSet(truths),
        texts=[data.texts[row] for row in chosen],
        facts={fact: [column[row] for row in chosen] for fact, column in columns.items()},
        scenes=data.scene_graphs(rows),
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
