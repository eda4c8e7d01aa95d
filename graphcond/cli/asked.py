"""The request of ``graphcond generate``: a prompt, nodes of a graph, pictures, or scene graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphcond.errors import InputError

if TYPE_CHECKING:
    from graphcond.context import NeighborFeatures
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
        if self.scene is not None and (self.graph is not None or self.targets or self.neighbors):
            raise InputError(
                "a scene and a graph of pictures exclude each other",
                place="--scene",
                remedy="drop one; a model with both kinds of conditions is used from Python",
            )
        if self.graph is not None and self.neighbors:
            raise InputError(
                "a graph and neighbors exclude each other", place="--graph, --neighbors", remedy="drop one"
            )
        if self.graph is not None and not self.targets:
            raise InputError(
                "the graph is named, but no node of it", place="--graph", remedy="add --target ID"
            )
        if self.targets and self.graph is None:
            raise InputError("a node is named, but no graph", place="--target", remedy="add --graph DIR")
        if self.prompt is None and self.graph is None and self.scene is None:
            raise InputError("the prompt is missing", place="--prompt", remedy="say what to draw")
        if self.index is not None and self.scene is None:
            raise InputError("a scene is named, but no file", place="--index", remedy="add --scene FILE")

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
        if len(scenes) > MOST_SCENES:
            raise InputError(
                f"the file holds {len(scenes)} scenes, at most {MOST_SCENES} are drawn together",
                place=self.scene,
                remedy="choose one with --index",
            )
        for number, scene in enumerate(scenes, self.index or 0):
            if not scene.objects:
                place = f"{self.scene}: scene {number}"
                raise InputError("the scene has no objects", place=place, remedy="name at least one")
        return scenes

    def prompt_and_graphs(self, pipe: GraphPipeline, watch: Watch) -> tuple[str, list[NeighborFeatures]]:
        """The text, the source's own unless one is given, and the neighbors of each graph.

        Raises:
            InputError: a node, a graph or a picture cannot be read, or ``pipe`` does not take it.
        """
        from graphcond.data.dataset import GraphDataset
        from graphcond.graphs import load_graph
        from graphcond.io.pictures import read_picture

        if self.graph is not None:
            data, model = GraphDataset(load_graph(self.graph)), pipe.model
            text = data.texts[data.rows_of(*self.targets)[0]]
            if len(model.conditions) > 1:
                raise InputError(
                    "the model has several conditions", place="--graph", remedy="use it from Python"
                )
            progress = watch(f"embedding {data.embedded}")
            (source,) = data.views(model.recipe, model.extractors, progress=progress).values()
            graphs = [source.features_of(node) for node in self.targets]
            for node, neighbors in zip(self.targets, graphs, strict=True):
                if not neighbors.present.any():
                    raise InputError(
                        f"the node '{node}' has no neighbors",
                        place=self.graph,
                        remedy="choose another, or --neighbors",
                    )
        elif self.scene is not None:  # a model of scenes was trained with one prompt for all
            text, graphs = pipe.model.recipe.data.default_prompt, []
        else:
            groups = ([read_picture(Path(file)) for file in files] for files in self.neighbors)
            text, graphs = "", [pipe.embed(pictures) for pictures in groups]
        return text if self.prompt is None else self.prompt, graphs
