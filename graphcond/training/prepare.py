"""From a recipe to a model and its examples: everything that is computed before the first step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from graphcond.data import contexts_of, embed_data, forbidden_of, held_out_of, open_data, targets_of
from graphcond.errors import InputError
from graphcond.model import GraphModel, load_extractor
from graphcond.models.attention import choose_attention
from graphcond.recipe import Recipe
from graphcond.recipe.sections import FileFeatures
from graphcond.training.drops import learns_without_graph
from graphcond.training.examples import Examples
from graphcond.training.gather import Gatherer, Neighbors, has_graph
from graphcond.training.objective import check_prediction
from graphcond.training.optimizer import all_parameters
from graphcond.training.randomness import Purpose, seed_of
from graphcond.training.report import Report
from graphcond.types import AttributedGraph


@dataclass(frozen=True)
class Prepared:
    """A model and what it is trained and validated on.

    Args:
        graph: where the targets lie.
        model: untrained, its trained parameters in float32.
        train: the training examples.
        validation: examples for the validation loss and previews; each has a graph.
        held_out: whether no validation example is trained on.
        left_out: training targets without any neighbor, which could teach nothing.
        always: whether samples without graph give gradients too.
    """

    graph: AttributedGraph
    model: GraphModel
    train: Examples
    validation: Examples
    held_out: bool
    left_out: int
    always: bool


def prepare(
    recipe: Recipe,
    device: torch.device,
    report: Report,
    *,
    graph: AttributedGraph | None = None,
    targets: Int64[np.ndarray, " n"] | None = None,
) -> Prepared:
    """Open the data, build the model, and compute once what stays the same in every step.

    Args:
        recipe: what to train.
        device: where to compute.
        report: shows the stages.
        graph: in place of the recipe's data.
        targets: rows to train on, in place of the training splits.

    Raises:
        InputError: something about the data, the base or their fit is wrong.
    """
    choose_attention(recipe.base.attention, device)  # refused now, not after hours of embedding
    graph = _open(recipe, report) if graph is None else graph
    targets = targets_of(graph, recipe.data) if targets is None else _checked(graph, targets)
    held_out = np.setdiff1d(held_out_of(graph, recipe.data), targets)
    gatherer = _gatherer(recipe, graph, device, report)
    neighbors = gatherer.neighbors(targets, "training")
    found = has_graph(neighbors)
    if not found.any():
        raise InputError("no training target has a neighbor", place="data", remedy="check its edges")
    model = _build_model(recipe, gatherer.feature_width, device, report)
    always = learns_without_graph(model.conditions.values(), lora=model.lora is not None)
    kept = np.ones_like(found) if always else found
    train = gatherer.examples(model.base, neighbors, kept, "training", mirrored=recipe.training.flip)
    chosen, is_held_out = _validation_neighbors(gatherer, held_out, targets[found])
    validation = gatherer.examples(model.base, chosen, has_graph(chosen), "validation")
    return Prepared(
        graph=graph,
        model=model,
        train=train,
        validation=validation,
        held_out=is_held_out,
        left_out=int(len(found) - kept.sum()),
        always=always,
    )


def _open(recipe: Recipe, report: Report) -> AttributedGraph:
    with report.stage("data", "Drawing pictures") as progress:
        return open_data(recipe.data, progress=progress)


def _gatherer(recipe: Recipe, graph: AttributedGraph, device: torch.device, report: Report) -> Gatherer:
    with report.stage("features", "Embedding pictures and texts") as progress:
        embeddings = embed_data(recipe, graph, device=device, progress=progress)
    forbidden = forbidden_of(graph, recipe.data)
    return Gatherer(recipe, graph, contexts_of(recipe, graph, embeddings, forbidden), forbidden, report)


def _build_model(recipe: Recipe, feature_width: int, device: torch.device, report: Report) -> GraphModel:
    with report.stage("model", "Loading the base"):
        model = GraphModel.build(
            recipe, feature_width=feature_width, device=device, text_projection=_text_projection(recipe)
        )
    check_prediction(model.base.prediction_type)
    for parameter in all_parameters(model.trainable_parameters()):
        parameter.data = parameter.data.float()
    return model


def _text_projection(recipe: Recipe) -> Tensor | None:
    """CLIP's own, where an encoder starts from it; embeddings from a file have none."""
    asked = any(getattr(c.encoder, "init", None) == "clip" for c in recipe.conditions)
    if not asked or isinstance(recipe.features, FileFeatures):
        return None
    return load_extractor(recipe).text_projection


def _validation_neighbors(
    gatherer: Gatherer, held_out: Int64[np.ndarray, " n"], trained: Int64[np.ndarray, " m"]
) -> tuple[Neighbors, bool]:
    """Some held-out targets with their neighbors; of the trained ones where no held-out one has any."""
    config = gatherer.recipe.training
    wanted = max(config.validation_samples, config.previews)
    generator = np.random.default_rng(seed_of(config.seed, Purpose.VALIDATION))
    chosen = generator.permutation(held_out)[:wanted]
    if len(chosen):
        neighbors = gatherer.neighbors(chosen, "validation")
        if has_graph(neighbors).any():
            return neighbors, True
    return gatherer.neighbors(generator.permutation(trained)[:wanted], "validation"), False


def _checked(graph: AttributedGraph, targets: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    targets = np.asarray(targets, np.int64)
    outside = targets[(targets < 0) | (targets >= len(graph))]
    if not len(targets) or len(outside):
        problem = f"there is no node {outside[0]}" if len(outside) else "there are none"
        raise InputError(problem, place="targets", remedy=f"name rows from 0 to {len(graph) - 1}")
    for target in targets.tolist():
        if graph.nodes.pictures[target] is None:
            raise InputError(
                f"node '{graph.nodes.ids[target]}' has no picture", place="targets", remedy="leave it out"
            )
    return targets
