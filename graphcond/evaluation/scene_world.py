"""The scene world's oracle as a detector of scene graphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image
from torch import Tensor

from graphcond.evaluation.scene_match import match_scene
from graphcond.pictures import to_pixels, to_square
from graphcond.spatial import predicate
from graphcond.types import Box, Relationship, SceneGraph
from graphcond.worlds.scene_relations import BIGGER, relation_holds

BATCH = 64
RESOLUTION = 64


class ShapeOracle(Protocol):
    """Finds coloured shapes; `graphcond.worlds.scene_oracle.SceneOracle` does."""

    def detect(self, pixels: Float32[Tensor, "b 3 64 64"]) -> Sequence[Any]:
        """For each picture in -1..1 the ``labels``, ``colors`` and ``boxes`` of its shapes."""


class OracleDetector:
    """Reads scene graphs off pictures of the scene world: shapes, colours, boxes and how boxes lie.

    Args:
        oracle: finds the shapes.
    """

    def __init__(self, oracle: ShapeOracle) -> None:
        self.oracle = oracle

    @classmethod
    def load(cls) -> OracleDetector:
        """The detector around the packaged oracle."""
        from graphcond.worlds.scene_oracle import SceneOracle

        return cls(SceneOracle.load())

    @property
    def identity(self) -> str:
        """The oracle's class name."""
        return type(self.oracle).__name__

    def detect(self, pictures: Sequence[Image.Image], asked: Sequence[SceneGraph]) -> list[SceneGraph]:
        """The scene graph of each picture; of two objects it tells what sort of relation is asked."""
        found: list[Any] = []
        for start in range(0, len(pictures), BATCH):
            found += self.oracle.detect(_pixels(pictures[start : start + BATCH]))
        return [_seen(*pair) for pair in zip(found, asked, strict=True)]


def _pixels(pictures: Sequence[Image.Image]) -> Float32[Tensor, "b 3 64 64"]:
    return torch.from_numpy(np.stack([to_pixels(to_square(picture, RESOLUTION)) for picture in pictures]))


def _seen(found: Any, asked: SceneGraph) -> SceneGraph:
    boxes = [Box(*(float(edge) for edge in box)) for box in found.boxes]
    columns: dict[str, Any] = {
        "objects": tuple(found.labels),
        "attributes": tuple((color,) for color in found.colors),
        "boxes": boxes,
    }
    everything = SceneGraph(**columns, relationships=tuple(_all_relations(boxes)))
    places = match_scene(asked, everything).places
    return SceneGraph(**columns, relationships=tuple(_answers(asked, places, boxes)))


def _all_relations(boxes: Sequence[Box]) -> Iterator[Relationship]:
    for subject, target in permutations(range(len(boxes)), 2):
        yield Relationship(subject, predicate(boxes[subject], boxes[target]), target)
        if relation_holds(BIGGER, boxes[subject], boxes[target]):
            yield Relationship(subject, BIGGER, target)


def _answers(asked: SceneGraph, places: Sequence[int | None], boxes: Sequence[Box]) -> Iterator[Relationship]:
    for relation in asked.relationships:
        subject, target = places[relation.subject], places[relation.object]
        if subject is None or target is None or subject == target:
            continue
        if relation.predicate != BIGGER:
            yield Relationship(subject, predicate(boxes[subject], boxes[target]), target)
        elif relation_holds(BIGGER, boxes[subject], boxes[target]):
            yield Relationship(subject, BIGGER, target)
        elif relation_holds(BIGGER, boxes[target], boxes[subject]):
            yield Relationship(target, BIGGER, subject)
