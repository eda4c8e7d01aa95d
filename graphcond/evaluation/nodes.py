"""Nodes of a graph as evaluation targets, and a model as what draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import AttributedGraph
from graphcond.data.open import contexts_of, embed_data
from graphcond.errors import InputError, did_you_mean
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.evaluation.evaluate import evaluate
from graphcond.evaluation.metrics.oracle import OracleReader
from graphcond.evaluation.metrics.registry import build_metrics, networks_of
from graphcond.evaluation.protocols import EvaluationProtocol
from graphcond.evaluation.report import EvaluationReport
from graphcond.evaluation.samples import PictureSet, Targets
from graphcond.guidance import GraphGuidance
from graphcond.io.pictures import open_picture, to_square
from graphcond.pipeline import GraphPipeline
from graphcond.progress import Watch
from graphcond.worlds.oracle import ArtOracle

FACTS = ("artist", "subject")
"""What the art world's oracle tells of a picture."""


def evaluate_model(
    pipe: GraphPipeline,
    graph: AttributedGraph,
    rows: Int64[np.ndarray, " n"],
    protocol: EvaluationProtocol,
    *,
    forbidden: Int64[np.ndarray, " f"] | None = None,
    seed: int = 0,
    watch: Watch = lambda task: lambda done, total: None,
) -> dict[str, EvaluationReport]:
    """Draw and score nodes by a protocol: one report for each of its ways of guiding.

    Args:
        pipe: the model.
        graph: the graph.
        rows: the nodes to draw, at most as many as the protocol's samples.
        protocol: how to draw and what to score.
        forbidden: nodes that may not be neighbors.
        seed: of the noise, of who gets whose graph, and of the intervals.
        watch: progress, by task.

    Raises:
        InputError: a network of the protocol cannot be loaded, or the graph lacks what it scores.
    """
    recipe, device = pipe.model.recipe, pipe.model.device
    oracle = art_oracle() if "oracle" in networks_of(protocol.metrics) else None
    facts = [fact for fact in FACTS if oracle is not None and fact in graph.nodes.attributes]
    metrics = build_metrics(protocol.metrics, protocol.load_networks(device=device, oracle=oracle))
    targets = targets_with_truth(graph, rows[: protocol.samples], protocol.resolution, facts)
    embeddings = embed_data(recipe, graph, device=device, progress=watch("embedding the graph"))
    contexts = contexts_of(recipe, graph, embeddings, forbidden)
    maker = ModelPictures(pipe, contexts, targets.rows, shuffle_seed=seed)
    reports = {}
    for name, guidance in protocol.guidances.items():

        def advance(stage: str, done: int, total: int, name: str = name) -> None:
            watch(f"{name}: {stage}")(done, total)

        settings = draw_settings(protocol, guidance)
        title = f"{protocol.name}, {name} guidance"
        reports[name] = evaluate(
            maker.with_settings(settings), targets, metrics, title=title, seed=seed, progress=advance
        )
    return reports


def draw_settings(protocol: EvaluationProtocol, guidance: GraphGuidance | None) -> DrawSettings:
    """How ``protocol`` draws with one of its ways of guiding."""
    settings = DrawSettings(steps=protocol.steps, resolution=protocol.resolution)
    if guidance is None:
        return settings
    return replace(settings, text_scale=guidance.text, graph_scale=guidance.graphs[0], mode=guidance.mode)


def rows_of_split(graph: AttributedGraph, split: str) -> Int64[np.ndarray, " n"]:
    """The nodes of a split that have a picture; all of them where the graph has no splits.

    Raises:
        InputError: the graph has splits, but not this one, or none of its nodes has a picture.
    """
    names = sorted(set(graph.nodes.splits or ()))
    if names and split not in names:
        raise InputError(f"there is no split '{split}'", place=graph.root, remedy=did_you_mean(split, names))
    rows = graph.nodes.in_split(split) if names else np.arange(len(graph))
    rows = np.array([row for row in rows.tolist() if graph.nodes.pictures[row] is not None], np.int64)
    if not len(rows):
        raise InputError(f"no node of the split '{split}' has a picture", place=graph.root)
    return rows


def art_oracle() -> OracleReader:
    """The packaged oracle of the art world with the names of its classes."""
    return OracleReader(ArtOracle.load(), {"artist": ArtOracle.artists, "subject": ArtOracle.subjects})


def targets_with_truth(
    graph: AttributedGraph, rows: Int64[np.ndarray, " n"], resolution: int, facts: Sequence[str] = ()
) -> Targets:
    """Nodes to evaluate on, with their true pictures, texts and known facts.

    Raises:
        InputError: a picture is missing or cannot be read.
    """
    paths = [graph.picture_path(row) for row in rows.tolist()]
    opened = [open_picture(path, longest=2 * resolution) for path in paths if path is not None]
    return Targets(
        rows=rows,
        truths=PictureSet([to_square(picture, resolution) for picture in opened]),
        texts=[graph.nodes.texts[row] for row in rows.tolist()],
        facts={fact: [graph.nodes.attributes[fact][row] for row in rows.tolist()] for fact in facts},
    )
