"""From a recipe's ``data`` and ``features`` to a graph, its targets and its embeddings."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from jaxtyping import Int64

from graphcond import worlds
from graphcond.contexts import GraphContexts, embed_graph
from graphcond.errors import InputError
from graphcond.fingerprint import source_version
from graphcond.graphs import load_graph, open_graph, save_world
from graphcond.model import load_extractor
from graphcond.models.embedding_files import load_embeddings
from graphcond.models.feature_cache import FeatureCache, default_cache_folder
from graphcond.progress import Progress
from graphcond.recipe import Recipe
from graphcond.recipe.sections import FileFeatures, MmagData, WorldData
from graphcond.types import AttributedGraph, NodeEmbeddings

VALIDATION_SPLITS = ("validation", "valid", "val", "dev")
"""What a split that is kept for validation may be called."""


def open_data(config: MmagData | WorldData, *, progress: Progress | None = None) -> AttributedGraph:
    """The graph of a recipe: read from its path, or a world that is drawn when it is first needed.

    Args:
        config: a recipe's ``data``.
        progress: called while pictures of a world are drawn.

    Raises:
        InputError: no path is set, nothing readable stands there, or the world cannot be drawn.
    """
    if isinstance(config, WorldData):
        return _open_world(config, progress)
    if config.path is None:
        raise InputError(
            "is not set", place="data.path", remedy="say where the graph lies: --set data.path=..."
        )
    return load_graph(config.path)


def targets_of(graph: AttributedGraph, config: MmagData | WorldData) -> Int64[np.ndarray, " n"]:
    """The training targets: nodes of the training splits that have a picture, ascending.

    Raises:
        InputError: the graph has splits, but none of the training splits; or no target has a picture.
    """
    rows = _in_splits(graph, config.train_splits)
    if not len(rows):
        raise InputError(
            f"no node is in a split called {' or '.join(config.train_splits)}",
            place="data.train_splits",
            remedy=f"choose from the graph's splits: {', '.join(sorted(set(graph.nodes.splits or ())))}",
        )
    targets = _with_picture(graph, rows)
    if not len(targets):
        raise InputError("no target has a picture", place=graph.root, remedy="add pictures to the graph")
    return targets


def forbidden_of(graph: AttributedGraph, config: MmagData | WorldData) -> Int64[np.ndarray, " n"]:
    """The nodes that may never be neighbors: those of the forbidden splits, ascending."""
    return graph.nodes.in_split(*config.forbidden_splits)


def held_out_of(graph: AttributedGraph, config: MmagData | WorldData) -> Int64[np.ndarray, " n"]:
    """Nodes with a picture to validate on, ascending: a validation split, else the forbidden splits.

    Empty where the graph has neither.
    """
    for splits in (VALIDATION_SPLITS, config.forbidden_splits):
        rows = graph.nodes.in_split(*(name for name in splits if name not in config.train_splits))
        rows = _with_picture(graph, rows)
        if len(rows):
            return rows
    return np.empty(0, np.int64)


def embed_data(
    recipe: Recipe,
    graph: AttributedGraph,
    *,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> NodeEmbeddings:
    """The embeddings that a recipe's ``features`` give to the nodes of ``graph``.

    Raises:
        InputError: the network or the file cannot be loaded, or a picture cannot be read.
    """
    if isinstance(recipe.features, FileFeatures):
        return NodeEmbeddings(extra=load_embeddings(recipe.features.path, len(graph)))
    return embed_graph(graph, load_extractor(recipe, device=device), FeatureCache(), progress)


def contexts_of(
    recipe: Recipe,
    graph: AttributedGraph,
    embeddings: NodeEmbeddings,
    forbidden: Int64[np.ndarray, " f"] | None = None,
) -> dict[str, GraphContexts]:
    """The graph as each condition of ``recipe`` reads it, by the condition's name.

    Args:
        recipe: names the samplers.
        graph: where neighbors come from.
        embeddings: of all nodes.
        forbidden: rows that are never neighbors.

    Raises:
        InputError: a sampler needs what the graph or the embeddings lack.
    """
    return {
        c.name: GraphContexts(
            graph,
            c.sampler.build(graph=graph, embeddings=embeddings, forbidden=forbidden),
            embeddings,
            seed=recipe.training.seed,
        )
        for c in recipe.conditions
    }


def _open_world(config: WorldData, progress: Progress | None) -> AttributedGraph:
    settings = config.model_dump(include={"paintings_per_artist", "noise", "seed", "resolution"})
    key = hashlib.sha256(f"{sorted(settings.items())} {source_version(worlds)}".encode()).hexdigest()[:16]
    folder = default_cache_folder() / "worlds" / f"{config.world}-{key}"
    if folder.is_dir():
        return open_graph(folder)
    try:
        world = worlds.ArtWorld(**settings)
    except ValueError as error:
        raise InputError(str(error), place="data", remedy="choose another value") from None
    return save_world(world, folder, progress=progress)


def _in_splits(graph: AttributedGraph, splits: tuple[str, ...]) -> Int64[np.ndarray, " n"]:
    return np.arange(len(graph)) if graph.nodes.splits is None else graph.nodes.in_split(*splits)


def _with_picture(graph: AttributedGraph, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
    return np.array([row for row in rows.tolist() if graph.nodes.pictures[row] is not None], np.int64)
