"""How well the base draws scenes from words alone, as the scene oracle sees it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from draw import scene_world
from torch import Tensor

from graphcond.evaluation import SceneMatch, match_scene
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.scene_graph import SceneGraph, list_of, name_of, sentence_of
from graphcond.worlds.scene_captions import ANY_SCENE

Draw = Callable[[list[str], str, int, float], Tensor]
"""Draws captions with a scheduler ("ddim"), steps and a text scale; pixels (B, 3, 64, 64)."""


def test_graphs(count: int) -> list[SceneGraph]:
    """Return scenes that the base never saw."""
    world = scene_world("test")
    return [world.graph(row) for row in range(count)]


def list_caption(graph: SceneGraph) -> str:
    """Return the objects of a scene, named with their colours."""
    return list_of([name_of(graph, place) for place in range(len(graph))])


def occurred(match: SceneMatch) -> list[bool]:
    """Return for each object of the graph whether it is seen."""
    return [place is not None for place in match.places]


def shares(matches: list[SceneMatch]) -> dict[str, float]:
    """Shares of objects that occur, colours that are right and relations that hold."""
    return {
        "objects": float(np.mean([hit for match in matches for hit in occurred(match)])),
        "colors": float(np.mean([hit for match in matches for words in match.attributes for hit in words])),
        "relations": float(np.mean([hit for match in matches for hit in match.relations])),
    }


def drawn(
    draw: Draw, caption: Callable[[SceneGraph], str], graphs: list[SceneGraph], steps: int, scale: float = 2.0
) -> dict[str, Any]:
    """Draw a caption of each scene with DDIM and check the pictures; also by number of objects."""
    pixels = draw([caption(graph) for graph in graphs], "ddim", steps, scale)
    seen = OracleDetector.load().read(pixels, graphs)
    matches = [match_scene(*both) for both in zip(graphs, seen, strict=True)]
    return {
        **shares(matches),
        "objects_by_count": {
            count: float(np.mean([hit for m in matches if len(m.places) == count for hit in occurred(m)]))
            for count in sorted({len(graph) for graph in graphs})
        },
        "detections_per_scene": float(np.mean([len(graph) for graph in seen])),
    }


def from_words(draw: Draw, count: int = 240) -> dict[str, Any]:
    """Scenes from lists of objects, from whole sentences, and from "an image"."""
    graphs = test_graphs(count)
    return {
        "list of objects, 8 steps": drawn(draw, list_caption, graphs, 8),
        "list of objects, 10 steps": drawn(draw, list_caption, graphs, 10),
        "list of objects, 10 steps, scale 3": drawn(draw, list_caption, graphs, 10, 3.0),
        "sentence with relations, 10 steps": drawn(draw, sentence_of, graphs, 10),
        "an image, 10 steps": drawn(draw, lambda graph: ANY_SCENE, graphs, 10),
    }
