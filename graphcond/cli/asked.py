"""The request of ``graphcond generate``: a prompt, nodes of a graph, pictures, or scene graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphcond.errors import InputError

if TYPE_CHECKING:
    from graphcond.context import NeighborFeatures
    from graphcond.data.contexts import AnySource
    from graphcond.pipeline import GraphPipeline
    from graphcond.progress import Watch
    from graphcond.scene_graph import SceneGraph

MOST_SCENES = 64
"""Scenes of a file that are drawn together, on one sheet."""


@dataclass(frozen=True)
class Asked:
    """The values of the options, validated on construction.

    Args:
        prompt: the text, instead of the source's own.
        graph: a graph folder, or any source of one.
        targets: ids of its nodes, each a graph to draw with.
        neighbors: picture files, a list for each graph to draw with.
        scene: a file of scene graphs.
        index: which of them; all if None.

    Raises:
        InputError: options that need each other, or that exclude each other.
    """

    prompt: str | None = None
    graph: Path | None = None
    targets: Sequence[str] = ()
    neighbors: Sequence[Sequence[str]] = ()
    scene: Path | None = None
    index: int | None = None

    def __post_init__(self) -> None:
        _check_one_source(self)
        _check_complete(self)

    def scenes(self) -> list[SceneGraph]:
        """The scene graphs to draw; empty if the request has no scene.

        Raises:
            InputError: the file cannot be read, has no such scene or more than `MOST_SCENES`, or a scene has
                no objects.
        """
        from graphcond.scenes import read_scene, read_scenes

        if self.scene is None:
            return []
        one = self.index is not None
        scenes = [read_scene(self.scene, self.index)] if one else read_scenes(self.scene)
        _check_drawable(scenes, self.scene, self.index or 0)
        return scenes

    def prompt_and_graphs(self, pipe: GraphPipeline, watch: Watch) -> tuple[str, list[NeighborFeatures]]:
        """The text, the source's own unless one is given, and the neighbors of each graph.

        Raises:
            InputError: a node, a graph or a picture cannot be read, or ``pipe`` does not take it.
        """
        if self.graph is not None:
            text, graphs = _nodes(pipe, self.graph, self.targets, watch)
        elif self.scene is not None:
            text, graphs = _trained_prompt(pipe), []
        else:
            text, graphs = "", [_pictures(pipe, files) for files in self.neighbors]
        return text if self.prompt is None else self.prompt, graphs


def _check_one_source(asked: Asked) -> None:
    if asked.scene is not None and (asked.graph is not None or asked.targets or asked.neighbors):
        raise InputError(
            "a scene and a graph of pictures exclude each other",
            place="--scene",
            remedy="drop one; a model with both kinds of conditions is used from Python",
        )
    if asked.graph is not None and asked.neighbors:
        raise InputError(
            "a graph and neighbors exclude each other", place="--graph, --neighbors", remedy="drop one"
        )


def _check_complete(asked: Asked) -> None:
    if asked.graph is not None and not asked.targets:
        raise InputError("the graph is named, but no node of it", place="--graph", remedy="add --target ID")
    if asked.targets and asked.graph is None:
        raise InputError("a node is named, but no graph", place="--target", remedy="add --graph DIR")
    if asked.prompt is None and asked.graph is None and asked.scene is None:
        raise InputError("the prompt is missing", place="--prompt", remedy="say what to draw")
    if asked.index is not None and asked.scene is None:
        raise InputError("a scene is named, but no file", place="--index", remedy="add --scene FILE")


def _check_drawable(scenes: Sequence[SceneGraph], file: Path, first: int) -> None:
    if len(scenes) > MOST_SCENES:
        raise InputError(
            f"the file holds {len(scenes)} scenes, at most {MOST_SCENES} are drawn together",
            place=file,
            remedy="choose one with --index",
        )
    for number, scene in enumerate(scenes, first):
        if not scene.objects:
            raise InputError(
                "the scene has no objects", place=f"{file}: scene {number}", remedy="name at least one"
            )


def _nodes(
    pipe: GraphPipeline, folder: Path, nodes: Sequence[str], watch: Watch
) -> tuple[str, list[NeighborFeatures]]:
    """The first node's text, and the neighbors of each node."""
    from graphcond.data.dataset import GraphDataset
    from graphcond.graphs import load_graph

    model = pipe.model
    data = GraphDataset(load_graph(folder))
    rows = data.rows_of(*nodes)
    if len(model.conditions) > 1:
        raise InputError("the model has several conditions", place="--graph", remedy="use it from Python")
    progress = watch(f"embedding {data.embedded}")
    (source,) = data.views(model.recipe, model.extractors, progress=progress).values()
    return data.texts[rows[0]], [_neighbors(source, node, folder) for node in nodes]


def _neighbors(source: AnySource, node: str, folder: Path) -> NeighborFeatures:
    features: NeighborFeatures = source.features_of(node)
    if not features.present.any():
        raise InputError(
            f"the node '{node}' has no neighbors", place=folder, remedy="choose another, or --neighbors"
        )
    return features


def _pictures(pipe: GraphPipeline, files: Sequence[str]) -> NeighborFeatures:
    from graphcond.io.pictures import read_picture

    return pipe.embed([read_picture(Path(file)) for file in files])


def _trained_prompt(pipe: GraphPipeline) -> str:
    """The prompt that a model of scenes was trained with."""
    return pipe.model.recipe.data.default_prompt
