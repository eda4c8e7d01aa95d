"""The scene world's oracle as a detector of scene graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image
from torch import Tensor

from graphcond.evaluation.scene_match import match_scene
from graphcond.io.pictures import to_pixels, to_square
from graphcond.scene_graph import Relationship, SceneGraph, predicate
from graphcond.worlds.scene_oracle import Detected, SceneOracle
from graphcond.worlds.scene_relations import BIGGER, relation_holds

BATCH = 64
RESOLUTION = 64


@runtime_checkable
class ShapeOracle(Protocol):
    """Finds coloured shapes; `graphcond.worlds.scene_oracle.SceneOracle` does."""

    def detect(self, pixels: Float32[Tensor, "b 3 height width"]) -> Sequence[Detected]:
        """The shapes of each picture, pixels in -1..1."""


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
        return cls(SceneOracle.load())

    @property
    def identity(self) -> str:
        """The oracle's class name."""
        return type(self.oracle).__name__

    def detect(self, pictures: Sequence[Image.Image], asked: Sequence[SceneGraph]) -> list[SceneGraph]:
        """The scene graph of each picture; of two objects it tells what sort of relation is asked."""
        values = [to_pixels(to_square(picture, RESOLUTION)) for picture in pictures]
        pixels = np.array(values, np.float32).reshape(-1, 3, RESOLUTION, RESOLUTION)
        return self.read(torch.from_numpy(pixels), asked)

    def read(
        self, pixels: Float32[Tensor, "b 3 height width"], asked: Sequence[SceneGraph]
    ) -> list[SceneGraph]:
        """As `detect`, for pictures that are pixels in -1..1."""
        found = [one for batch in pixels.split(BATCH) for one in self.oracle.detect(batch)]
        return [_seen(*pair) for pair in zip(found, asked, strict=True)]


def _seen(found: Detected, asked: SceneGraph) -> SceneGraph:
    seen, boxes = found.as_scene_graph(), found.boxes
    every: list[Relationship] = []
    for subject, target in permutations(range(len(boxes)), 2):
        every.append(Relationship(subject, predicate(boxes[subject], boxes[target]), target))
        if relation_holds(BIGGER, boxes[subject], boxes[target]):
            every.append(Relationship(subject, BIGGER, target))
    places = match_scene(asked, replace(seen, relationships=tuple(every))).places
    answers: list[Relationship] = []
    for relation in asked.relationships:
        first, second = places[relation.subject], places[relation.object]
        if first is None or second is None or first == second:
            continue
        if relation.predicate != BIGGER:
            answers.append(Relationship(first, predicate(boxes[first], boxes[second]), second))
        elif relation_holds(BIGGER, boxes[first], boxes[second]):
            answers.append(Relationship(first, BIGGER, second))
        elif relation_holds(BIGGER, boxes[second], boxes[first]):
            answers.append(Relationship(second, BIGGER, first))
    return replace(seen, relationships=tuple(answers))
