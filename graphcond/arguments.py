"""What a caller may hand to `GraphPipeline`, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import index
from typing import Any, TypeAlias

import torch
from PIL import Image

from graphcond.errors import InputError, did_you_mean
from graphcond.types import NeighborFeatures, SceneFeatures, SceneGraph

Graph: TypeAlias = Sequence[Image.Image] | NeighborFeatures
"""One graph as a caller gives it: its neighbors' pictures, or their embeddings with a row per prompt."""

Graphs: TypeAlias = Graph | Sequence[Graph] | Mapping[str, Graph | Sequence[Graph]] | None
"""One graph, several, or those of each condition by its name."""

Scene: TypeAlias = SceneGraph | Sequence[SceneGraph] | SceneFeatures
"""The scene of all pictures, a scene for each prompt, or their features with a row per prompt."""

Scenes: TypeAlias = Scene | Mapping[str, Scene] | None
"""What every condition that reads scenes gets, or what each one gets, by its name."""

Generators: TypeAlias = torch.Generator | list[torch.Generator] | None


def texts_of(given: Any, place: str) -> list[str]:
    """One text or several, as a list.

    Raises:
        InputError: there is none, or one is no string.
    """
    texts = [given] if isinstance(given, str) or not isinstance(given, Sequence) else list(given)
    wrong = [text for text in texts if not _is_text(text)]
    if wrong or not texts:
        problem = f"{wrong[0]!r} is no text" if wrong else "there is none"
        raise InputError(problem, place=place, remedy="give a string or a list of strings")
    return texts


def graphs_by_condition(neighbors: Graphs, conditions: Collection[str]) -> dict[str, list[Graph]]:
    """The graphs of each condition that reads neighbors, by its name.

    Raises:
        InputError: a condition does not exist or is not named, or what stands for a graph is none.
    """
    if neighbors is None:
        return {}
    if not conditions:
        raise InputError(
            "no condition of the model reads neighbors",
            place="neighbors",
            remedy="give a scene instead (scene=, --scene)",
        )
    if not isinstance(neighbors, Mapping):
        if len(conditions) > 1:
            raise InputError(
                "the model has several conditions",
                place="neighbors",
                remedy=f"give a mapping with keys {', '.join(conditions)}",
            )
        neighbors = {next(iter(conditions)): neighbors}
    for name in neighbors:
        if name not in conditions:
            raise InputError(
                f"there is no condition '{name}'",
                place="neighbors",
                remedy=did_you_mean(str(name), conditions),
            )
    return {name: _as_graphs(graphs) for name, graphs in neighbors.items()}


def scenes_by_condition(scene: Scenes, conditions: Collection[str]) -> dict[str, Scene]:
    """The scenes of each condition that reads scene graphs, by its name.

    Raises:
        InputError: no condition reads scenes, a condition does not exist, or what stands for a scene is none.
    """
    if scene is None:
        return {}
    if not conditions:
        raise InputError(
            "no condition of the model reads scene graphs",
            place="scene",
            remedy="give neighbors instead (neighbors=, --neighbors)",
        )
    if not isinstance(scene, Mapping):
        scene = dict.fromkeys(conditions, scene)
    for name, given in scene.items():
        if name not in conditions:
            raise InputError(
                f"there is no condition '{name}' that reads scene graphs",
                place="scene",
                remedy=did_you_mean(str(name), conditions),
            )
        _check_scene(given)
    return dict(scene)


def check_steps(steps: int, at_most: int) -> None:
    """See that a scheduler can make that many steps.

    Raises:
        InputError: it cannot.
    """
    check_count(steps, "num_inference_steps")
    if steps > at_most:
        raise InputError(
            f"{steps} is more than the {at_most} steps of the base's noise",
            place="num_inference_steps",
            remedy=f"use {at_most} or fewer; 50 are plenty",
        )


def check_count(count: int, place: str) -> None:
    """See that ``count`` is a whole number, 1 or more.

    Raises:
        InputError: it is not.
    """
    try:
        enough = index(count) >= 1
    except TypeError:
        raise InputError(f"{count!r} is no whole number", place=place, remedy="use 1 or more") from None
    if not enough:
        raise InputError(f"{count} is too few", place=place, remedy="use 1 or more")


def check_generators(generator: Generators, pictures: int) -> None:
    """See that noise can be drawn from ``generator``.

    Raises:
        InputError: it is no generator, or a list of another length.
    """
    each = generator if isinstance(generator, list) else [generator]
    if not all(one is None or isinstance(one, torch.Generator) for one in each):
        raise InputError(
            f"is a {type(generator).__name__}",
            place="generator",
            remedy="give a torch.Generator, or a list of one per picture",
        )
    if isinstance(generator, list) and len(generator) != pictures:
        raise InputError(
            f"{len(generator)} generators for {pictures} pictures",
            place="generator",
            remedy="give one, or one per picture",
        )


def check_choice(given: str, choices: Collection[str], place: str) -> None:
    """See that ``given`` is one of ``choices``.

    Raises:
        InputError: it is not.
    """
    if given not in choices:
        raise InputError(f"there is no '{given}'", place=place, remedy=did_you_mean(str(given), choices))


def _is_text(text: object) -> bool:
    """Tokenizers take no lone surrogates, which some JSON and file names hold."""
    return isinstance(text, str) and not any("\ud800" <= sign <= "\udfff" for sign in text)


def _as_graphs(graphs: Any) -> list[Graph]:
    """One graph or several, as a list. A graph without pictures stays: it is drawn as its null."""
    if isinstance(graphs, NeighborFeatures):
        return [graphs]
    items = _items(graphs)
    if all(isinstance(item, Image.Image) for item in items):
        return [items]
    if any(isinstance(item, Image.Image) for item in items):
        raise InputError(
            "pictures and other things are mixed",
            place="neighbors",
            remedy="give one list of pictures, or a list of lists",
        )
    return [item if isinstance(item, NeighborFeatures) else _pictures(item) for item in items]


def _pictures(graph: Any) -> list[Image.Image]:
    items = _items(graph)
    wrong = [item for item in items if not isinstance(item, Image.Image)]
    if wrong:
        raise _no_graph(wrong[0])
    return items


def _items(graph: Any) -> list[Any]:
    if isinstance(graph, Image.Image | str) or not isinstance(graph, Sequence):
        raise _no_graph(graph)
    return list(graph)


def _check_scene(given: Any) -> None:
    scenes = list(given) if isinstance(given, list | tuple) else [given]
    wrong = [one for one in scenes if not isinstance(one, SceneGraph | SceneFeatures)]
    if wrong or not scenes:
        problem = f"a scene is a SceneGraph, not {type(wrong[0]).__name__}" if wrong else "there is none"
        raise InputError(
            problem,
            place="scene",
            remedy='give SceneGraph(["sky", "grass"], [[0, "above", 1]]), or a list with one per prompt',
        )


def _no_graph(found: object) -> InputError:
    return InputError(
        f"a graph is a list of pictures, not {type(found).__name__}",
        place="neighbors",
        remedy="give a list of opened pictures, such as [PIL.Image.open('one.png')]",
    )
