"""From a recipe's ``data`` and ``features`` to a graph or scenes, their targets and their embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Int64

from graphcond import worlds
from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings, NodeTable
from graphcond.context import SceneContext
from graphcond.data.contexts import AnySource, GraphContexts, embed_graph
from graphcond.data.scene_contexts import SceneContexts, embed_words
from graphcond.errors import InputError
from graphcond.features.embedding_files import load_embeddings
from graphcond.features.feature_cache import FeatureCache
from graphcond.features.load import load_extractor, load_words
from graphcond.graphs import load_graph, open_graph, save_world
from graphcond.io.files import default_cache_folder
from graphcond.io.fingerprint import source_version
from graphcond.progress import Progress
from graphcond.recipe import Recipe
from graphcond.recipe.sections import AnyData, FileFeatures, MmagData, SceneData, WorldData
from graphcond.scene_graph import SceneSet
from graphcond.scenes import load_scene_set, open_scene_folder, save_scene_world
from graphcond.worlds.scenes import SceneWorld

Source: TypeAlias = AttributedGraph | SceneSet
"""What a recipe trains on."""

SETTINGS = {
    "art": {name: name for name in ("noise", "paintings_per_artist", "resolution", "seed")},
    "scenes": {"count": "scenes", "resolution": "resolution", "seed": "seed"},
}
"""What each world is made of, and what a recipe calls that."""

VALIDATION_SPLITS = ("validation", "valid", "val", "dev")
"""What a split that is kept for validation may be called."""


def open_data(
    config: AnyData, *, progress: Progress | None = None, say: Callable[[str], None] | None = None
) -> Source:
    """What a recipe trains on: read from its path, or a world that is drawn when it is first needed.

    Args:
        config: a recipe's ``data``.
        progress: called while pictures of a world are drawn.
        say: takes a sentence about each thing that is missing or looks wrong in files of scene graphs.

    Raises:
        InputError: no path is set, nothing readable stands there, or the world cannot be drawn.
    """
    if isinstance(config, WorldData):
        return _open_world(config, progress)
    if config.path is None:
        what = "scene graphs lie" if isinstance(config, SceneData) else "graph lies"
        raise InputError("is not set", place="data.path", remedy=f"say where the {what}: --set data.path=...")
    if isinstance(config, MmagData):
        return load_graph(config.path)
    return _open_scenes(config, config.path, say)


def open_graph_data(config: AnyData, *, progress: Progress | None = None) -> AttributedGraph:
    """The attributed graph of a recipe; arguments as `open_data`.

    Raises:
        InputError: the recipe reads scene graphs, or its graph cannot be opened.
    """
    graph = open_data(config, progress=progress)
    if not isinstance(graph, AttributedGraph):
        raise InputError("are scene graphs", place="data", remedy="use a recipe that reads a graph")
    return graph


def columns_of(source: Source) -> NodeTable | SceneSet:
    """The ids, texts, pictures and splits of what a recipe trains on, row by row."""
    return source.nodes if isinstance(source, AttributedGraph) else source


def targets_of(source: Source, config: AnyData) -> Int64[np.ndarray, " n"]:
    """The training targets: nodes or scenes of the training splits that have a picture, ascending.

    Raises:
        InputError: the data have splits, but none of the training splits; or no target has a picture.
    """
    rows = _in_splits(source, config.train_splits)
    if not len(rows):
        splits = sorted(set(columns_of(source).splits or ()))
        raise InputError(
            f"nothing is in a split called {' or '.join(config.train_splits)}",
            place="data.train_splits",
            remedy=f"choose from the splits there are: {', '.join(splits)}",
        )
    targets = _with_picture(source, rows)
    if not len(targets):
        raise InputError("no target has a picture", place=source.root, remedy="add pictures to the data")
    return targets


def forbidden_of(source: Source, config: AnyData) -> Int64[np.ndarray, " n"]:
    """The nodes that may never be neighbors: those of the forbidden splits, ascending."""
    return columns_of(source).in_split(*config.forbidden_splits)


def held_out_of(source: Source, config: AnyData) -> Int64[np.ndarray, " n"]:
    """Rows with a picture to validate on, ascending: a validation split, else the forbidden splits.

    Empty where the data have neither.
    """
    for splits in (VALIDATION_SPLITS, config.forbidden_splits):
        rows = columns_of(source).in_split(*(name for name in splits if name not in config.train_splits))
        rows = _with_picture(source, rows)
        if len(rows):
            return rows
    return np.empty(0, np.int64)


def sources_of(
    recipe: Recipe,
    source: Source,
    forbidden: Int64[np.ndarray, " f"] | None = None,
    *,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> dict[str, AnySource]:
    """The data as each condition of ``recipe`` reads them, by the condition's name.

    Args:
        recipe: names features and samplers.
        source: a graph or scenes.
        forbidden: rows of a graph that are never neighbors.
        device: where the network of the features runs.
        progress: called while pictures, texts or words are embedded.

    Raises:
        InputError: the features cannot be computed, or a sampler does not read such data.
    """
    check_samplers(recipe, scenes=isinstance(source, SceneSet))
    if isinstance(source, SceneSet):
        return dict(scene_contexts_of(recipe, source, device=device, progress=progress))
    embeddings = embed_data(recipe, source, device=device, progress=progress)
    return dict(contexts_of(recipe, source, embeddings, forbidden))


def check_samplers(recipe: Recipe, *, scenes: bool) -> None:
    """See that every sampler reads what the data give.

    Raises:
        InputError: one does not.
    """
    data = "scene graphs" if scenes else "a graph of nodes"
    for number, condition in enumerate(recipe.conditions):
        if (condition.sampler.makes is SceneContext) is not scenes:
            raise InputError(
                f"'{condition.sampler.kind}' does not read {data}",
                place=f"conditions.{number}.sampler",
                remedy="choose another sampler, or other data",
            )


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


def scene_contexts_of(
    recipe: Recipe,
    scenes: SceneSet,
    *,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> dict[str, SceneContexts]:
    """Scenes as each condition of ``recipe`` reads them, by the condition's name; words are embedded once.

    Raises:
        InputError: the text model of the recipe's features cannot be loaded.
    """
    words = embed_words(scenes, load_words(recipe, device=device), FeatureCache(), progress)
    return {
        c.name: SceneContexts(scenes, c.sampler.build(), words, seed=recipe.training.seed)
        for c in recipe.conditions
    }


def _open_scenes(config: SceneData, path: Path, say: Callable[[str], None] | None) -> SceneSet:
    scenes = load_scene_set(
        path,
        format=config.format,
        pictures=config.pictures,
        prompt=config.prompt,
        seed=config.seed,
        report=say,
    )
    if config.prompt_from == "fixed":
        return scenes
    if scenes.captions is None:
        raise InputError(
            "the scenes have no captions", place="data.prompt_from", remedy="use 'fixed' with a data.prompt"
        )
    return replace(scenes, texts=[caption or config.prompt for caption in scenes.captions])


def _open_world(config: WorldData, progress: Progress | None) -> Source:
    settings = {name: getattr(config, setting) for name, setting in SETTINGS[config.world].items()}
    key = hashlib.sha256(f"{sorted(settings.items())} {source_version(worlds)}".encode()).hexdigest()[:16]
    folder = default_cache_folder() / "worlds" / f"{config.world}-{key}"
    art = config.world == "art"
    if folder.is_dir():
        return open_graph(folder) if art else open_scene_folder(folder)
    try:
        world = worlds.ArtWorld(**settings) if art else SceneWorld(**settings)
    except ValueError as error:
        raise InputError(str(error), place="data", remedy="choose another value") from None
    if isinstance(world, SceneWorld):
        return save_scene_world(world, folder, progress=progress)
    return save_world(world, folder, progress=progress)


def _in_splits(source: Source, splits: tuple[str, ...]) -> Int64[np.ndarray, " n"]:
    columns = columns_of(source)
    return np.arange(len(columns)) if columns.splits is None else columns.in_split(*splits)


def _with_picture(source: Source, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
    pictures = columns_of(source).pictures
    return np.array([row for row in rows.tolist() if pictures[row] is not None], np.int64)
