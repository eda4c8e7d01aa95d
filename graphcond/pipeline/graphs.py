"""The graphs that a caller gives to a pipeline, for each condition of the model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import torch
from PIL import Image
from torch import Tensor

from graphcond.config import as_number
from graphcond.context import Context, NeighborFeatures, SceneFeatures
from graphcond.errors import InputError, did_you_mean
from graphcond.guidance import GuidedGraph, release_null
from graphcond.io.pictures import read_picture
from graphcond.model import GraphModel
from graphcond.scene_graph import SceneGraph
from graphcond.signals import Signal, TextTokens

Picture: TypeAlias = Image.Image | str | Path
"""A picture, or the file that holds it."""

Graph: TypeAlias = Picture | Sequence[Picture] | NeighborFeatures
"""One graph as a caller gives it: its neighbors' pictures, or their embeddings with a row per prompt."""

Graphs: TypeAlias = Graph | Sequence[Graph] | Mapping[str, Graph | Sequence[Graph]] | None
"""One graph, several, or those of each condition by its name."""

Scene: TypeAlias = SceneGraph | Sequence[SceneGraph] | SceneFeatures
"""The scene of all pictures, a scene for each prompt, or their features with a row per prompt."""

Scenes: TypeAlias = Scene | Mapping[str, Scene] | None
"""The scenes for all conditions that read scenes, or those of each condition by its name."""

Rows = TypeVar("Rows", NeighborFeatures, SceneFeatures)


def graphs_by_condition(
    given: Any, conditions: Collection[str], argument: GraphArgument
) -> dict[str, list[Any]]:
    """The graphs of each condition, by its name, from one argument of the pipeline.

    Args:
        given: the argument's value; a mapping names conditions.
        conditions: those that read such graphs.
        argument: which argument it is.

    Raises:
        InputError: a condition does not exist or is not named, or a value is not a graph.
    """
    if given is None:
        return {}
    if not conditions:
        raise InputError(
            f"no condition of the model reads {argument.content}",
            place=argument.name,
            remedy=argument.alternative,
        )
    if not isinstance(given, Mapping):
        if len(conditions) > 1 and not argument.shared:
            raise InputError(
                "the model has several conditions",
                place=argument.name,
                remedy=f"give a mapping with keys {', '.join(conditions)}",
            )
        given = dict.fromkeys(conditions, given)
    for name in given:
        if name not in conditions:
            raise InputError(
                f"there is no condition '{name}' that reads {argument.content}",
                place=argument.name,
                remedy=did_you_mean(str(name), conditions),
            )
    return {name: argument.parse(value) for name, value in given.items()}


def graphs_given(model: GraphModel, neighbors: Any, scene: Any) -> dict[GraphArgument, dict[str, list[Any]]]:
    """The graphs of each condition of ``model``, by its name, from each argument of the pipeline.

    Raises:
        InputError: see `graphs_by_condition`.
    """
    return {
        argument: graphs_by_condition(value, model.reading(argument.reads), argument)
        for argument, value in ((NEIGHBORS, neighbors), (SCENE, scene))
    }


def graph_arguments(contexts: Mapping[str, Context] | None) -> dict[str, Any]:
    """The contexts of each condition, a row per prompt, as arguments of `GraphPipeline`."""
    arguments: dict[str, Any] = {}
    for name, context in (contexts or {}).items():
        arguments.setdefault(context.argument, {})[name] = context
    return arguments


def _as_graphs(given: Any) -> list[list[Image.Image] | NeighborFeatures]:
    """One graph of neighbors or several, as a list; one without pictures stays and is drawn as its null."""
    if isinstance(given, NeighborFeatures):
        return [given]
    if isinstance(given, Picture):
        return [[opened(given)]]
    if not isinstance(given, Sequence):
        raise _no_graph(given)
    if all(isinstance(item, Picture) for item in given):
        return [pictures_of(given)]
    if any(isinstance(item, Picture) for item in given):
        raise InputError(
            "pictures and other things are mixed",
            place="neighbors",
            remedy="give one list of pictures, or a list of lists",
        )
    return [item if isinstance(item, NeighborFeatures) else pictures_of(item) for item in given]


def pictures_of(graph: Any) -> list[Image.Image]:
    """The pictures of one graph; files are read.

    Raises:
        InputError: it is not a list of pictures, or a file cannot be read.
    """
    if isinstance(graph, Picture):
        return [opened(graph)]
    if not isinstance(graph, Sequence):
        raise _no_graph(graph)
    for item in graph:
        if not isinstance(item, Picture):
            raise _no_graph(item)
    return [opened(item) for item in graph]


def opened(picture: Picture) -> Image.Image:
    """A picture, read if it is a file.

    Raises:
        InputError: the file cannot be read.
    """
    return picture if isinstance(picture, Image.Image) else read_picture(Path(picture))


def _no_graph(found: object) -> InputError:
    return InputError(
        f"a graph is a list of pictures, not {type(found).__name__}",
        place="neighbors",
        remedy="give a list of pictures or their files, such as [PIL.Image.open('one.png'), 'other.png']",
    )


def _as_scenes(given: Any) -> list[list[SceneGraph] | SceneFeatures]:
    """One graph, since all scenes of a condition are its rows."""
    if isinstance(given, SceneFeatures):
        return [given]
    scenes = list(given) if isinstance(given, list | tuple) else [given]
    wrong = [one for one in scenes if not isinstance(one, SceneGraph)]
    if wrong or not scenes:
        problem = f"a scene is a SceneGraph, not {type(wrong[0]).__name__}" if wrong else "there is none"
        raise InputError(
            problem,
            place="scene",
            remedy='give SceneGraph(["sky", "grass"], [[0, "above", 1]]), or a list with one per prompt',
        )
    return [scenes]


@dataclass(frozen=True)
class GraphArgument:
    """An argument of `GraphPipeline` that takes graphs.

    Args:
        name: of the argument.
        reads: the features that result; the argument is for conditions that read them.
        content: the word for the graphs that it takes.
        alternative: the remedy if no condition reads such graphs.
        parse: returns the graphs of one condition as a list: features, or lists of items to embed.
        shared: whether a value without names goes to all conditions.
        null: the graph beside the negative prompt in joint guidance; None for the condition's own null.
    """

    name: str
    reads: type[Context]
    content: str
    alternative: str
    parse: Callable[[Any], list[Any]]
    shared: bool
    null: Callable[[Any], Context] | None = None


NEIGHBORS = GraphArgument(
    name="neighbors",
    reads=NeighborFeatures,
    content="neighbors",
    alternative="give a scene instead (scene=, --scene)",
    parse=_as_graphs,
    shared=False,
    null=release_null,
)
SCENE = GraphArgument(
    name="scene",
    reads=SceneFeatures,
    content="scene graphs",
    alternative="give neighbors instead (neighbors=, --neighbors)",
    parse=_as_scenes,
    shared=True,
)


class GraphReader:
    """Makes signals of the graphs that a caller gives.

    Args:
        model: whose conditions read them.
        embed: the features of one graph's pictures.
        read: the features that a condition, by its name, reads of scenes.
    """

    def __init__(
        self,
        model: GraphModel,
        embed: Callable[[Sequence[Image.Image]], NeighborFeatures],
        read: Callable[[Sequence[SceneGraph], str], SceneFeatures],
    ) -> None:
        self.model, self.embed, self.read = model, embed, read

    def guided(
        self,
        given: Mapping[GraphArgument, Mapping[str, list[Any]]],
        text: TextTokens,
        empty: TextTokens,
        *,
        joint: bool,
        copies: int,
        one_each: bool,
    ) -> list[GuidedGraph]:
        """The signal of every graph, and beside the negative prompt that of its null.

        Args:
            given: for each argument, the graphs of its conditions by name.
            text: the prompts, a row for each picture.
            empty: the negative prompts.
            joint: guidance in mode ``joint``.
            copies: pictures of each prompt.
            one_each: several lists of pictures are a graph for each prompt.

        Raises:
            InputError: graphs do not fit the model or the prompts.
        """
        guided = []
        for argument, by_condition in given.items():
            for name, graphs in by_condition.items():
                condition = self.model.conditions[name]
                for graph in self._one_each(graphs, len(text.ids) // copies) if one_each else graphs:
                    context = self._context(graph, argument, name)
                    context = _one_row_each(context, len(text.ids), copies, argument.name)
                    if joint and argument.null is not None:
                        unconditional: Signal | None = condition.signal(argument.null(context), empty)
                    else:
                        unconditional = condition.null_signal(empty)
                    signal = condition.signal(context, text)
                    if not signal.values[signal.present].isfinite().all():
                        raise InputError(
                            f"the encoder of the condition '{name}' gives values that are not finite",
                            place=argument.name,
                            remedy="train the model again, or give embeddings of a usual size",
                        )
                    guided.append(GuidedGraph(condition, signal, unconditional))
        return guided

    def _one_each(self, graphs: list[Any], prompts: int) -> list[Any]:
        """The graphs of one condition; lists of pictures for several prompts as one graph with a row each."""
        if len(graphs) == 1 or all(isinstance(graph, NeighborFeatures) for graph in graphs):
            return graphs
        if len(graphs) != prompts or any(isinstance(graph, NeighborFeatures) for graph in graphs):
            raise InputError(
                f"expected one graph, or a list of pictures for each of {prompts} prompts, got {len(graphs)}",
                place="neighbors",
                remedy="to show several graphs in every picture, give their features: "
                "[pipe.embed(one), pipe.embed(other)]",
            )
        rows = [self.embed(pictures) for pictures in graphs]
        most = max(row.present.shape[1] for row in rows)
        pictures = [row.pictures for row in rows if row.pictures is not None]

        def padded(tensor: Tensor) -> Tensor:
            return torch.cat([tensor, tensor.new_zeros(1, most - tensor.shape[1], *tensor.shape[2:])], dim=1)

        return [
            NeighborFeatures(
                torch.cat([padded(row.embeddings) for row in rows]),
                torch.cat([padded(row.present) for row in rows]),
                pictures=torch.cat([padded(picture) for picture in pictures]) if pictures else None,
            )
        ]

    def _context(self, graph: Any, argument: GraphArgument, condition: str) -> Any:
        """A graph as the condition's encoder reads it, embedded unless it is so already."""
        if argument is SCENE:
            features = self.read(graph, condition) if isinstance(graph, list) else graph
            self._check_features(features, features.nodes, argument)
            return features.to(self.model.device)
        features = self.embed(graph) if isinstance(graph, list) else graph
        self._check_features(features, features.embeddings, argument)
        if self.model.conditions[condition].encoder.reads_pictures and features.pictures is None:
            raise InputError(
                f"the condition '{condition}' looks at the neighbors' pictures, and there are none",
                place="neighbors",
                remedy="give pictures or their files, or what the pipeline's `embed` makes of them",
            )
        given = int(features.present.sum(dim=1).max()) if features.present.numel() else 0
        most = self.model.most_neighbors(condition)
        if most is not None and given > most:
            raise InputError(
                f"expected at most {most} neighbors of one target, as in training, got {given}",
                place="neighbors",
                remedy=f"give {most} or fewer",
            )
        return features.to(self.model.device)

    def _check_features(self, features: Context, embeddings: Tensor, argument: GraphArgument) -> None:
        present, wanted = features.present, self.model.feature_width
        if embeddings.ndim != 3 or present.shape != embeddings.shape[:2] or present.dtype != torch.bool:
            raise InputError(
                f"expected embeddings (rows, n, width) and present (rows, n) as bool, got "
                f"{tuple(embeddings.shape)} and {tuple(present.shape)} as {present.dtype}",
                place=argument.name,
                remedy="give each target a row",
            )
        if embeddings.shape[-1] != wanted:
            raise InputError(
                f"embeddings are {embeddings.shape[-1]} wide, the model reads {wanted}",
                place=argument.name,
                remedy="use the features that the model was trained with",
            )
        fault = features.fault()
        if fault is not None:
            raise InputError(fault, place=argument.name, remedy="correct it or leave it out")


def _one_row_each(features: Rows, rows: int, copies: int, place: str) -> Rows:
    have = features.has_graph.shape[0]
    if have == rows:
        return features
    if have not in (1, rows // copies):
        raise InputError(
            f"expected {rows} graphs, one for each picture, got {have}",
            place=place,
            remedy="give one row or scene per prompt",
        )
    times = rows if have == 1 else copies
    return features.select(torch.arange(have, device=features.present.device).repeat_interleave(times))


def scales_of(
    model: GraphModel, graphs: Sequence[GuidedGraph], given: float | Sequence[float] | None
) -> tuple[float, ...]:
    """The scale of each graph, from what a caller gives.

    Args:
        model: has the scales to use unless others are given.
        graphs: each in order.
        given: one scale for all, or one each.

    Raises:
        InputError: there are more or fewer scales than graphs.
    """
    if given is None:
        return tuple(model.guidance.graph_scale(graph.condition.name) for graph in graphs)
    several = isinstance(given, list | tuple) or getattr(given, "ndim", 0) > 0
    values = list(cast("Iterable[Any]", given)) if several else [given] * len(graphs)
    scales = tuple(as_number(value, "graph_guidance_scale") for value in values)
    if len(scales) != len(graphs):
        raise InputError(
            f"expected {len(graphs)} scales, one for each graph, got {len(scales)}",
            place="graph_guidance_scale",
            remedy="give one scale per graph",
        )
    return scales
