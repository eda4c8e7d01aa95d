"""A detector that says what it is told to, and scenes small enough to count by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from graphcond.evaluation import PictureSet, Samples, Targets
from graphcond.scene_graph import SceneGraph
from tests.evaluation.doubles import plain


class Reads:
    """Sees the given scene graphs, whatever the pictures show; counts how often it is asked."""

    identity = "reads"

    def __init__(self, seen: Sequence[SceneGraph]) -> None:
        self.seen, self.calls = list(seen), 0

    def detect(self, pictures: Sequence[Image.Image], asked: Sequence[SceneGraph]) -> list[SceneGraph]:
        self.calls += 1
        return self.seen[: len(pictures)]


def scene_targets(*graphs: SceneGraph) -> Targets:
    count = len(graphs)
    return Targets(np.arange(count), PictureSet([]), ["an image"] * count, scenes=graphs)


def scene_samples(*graphs: SceneGraph) -> Samples:
    return Samples(scene_targets(*graphs), PictureSet([plain("red")] * len(graphs)))


def scene(objects: str, *relations: tuple[int, str, int], colors: str = "", boxes: tuple = ()) -> SceneGraph:
    attributes = [[color] for color in colors.split()]
    return SceneGraph(tuple(objects.split()), relations, attributes, boxes)  # type: ignore[arg-type]
