"""The scene world's oracle as a detector of scene graphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image
from torch import Tensor

from graphcond.evaluation.scene_match import match_scene
from graphcond.io.pictures import to_pixels, to_square
from graphcond.scene_graph import Box, Relationship, SceneGraph, predicate
from graphcond.worlds.scene_oracle import Detected, SceneOracle
from graphcond.worlds.scene_relations import BIGGER, relation_holds

BATCH = 64
RESOLUTION = 64


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
        return self.read(_pixels(pictures), asked)

    def read(
        self, pixels: Float32[Tensor, "b 3 height width"], asked: Sequence[SceneGraph]
    ) -> list[SceneGraph]:
        """As `detect`, for pictures that are pixels in -1..1."""
        found = [one for batch in pixels.split(BATCH) for one in self.oracle.detect(batch)]
        return [_seen(*pair) for pair in zip(found, asked, strict=True)]


def _pixels(pictures: Sequence[Image.Image]) -> Float32[Tensor, "b 3 64 64"]:
    values = [to_pixels(to_square(picture, RESOLUTION)) for picture in pictures]
    return torch.from_numpy(np.array(values, np.float32).reshape(-1, 3, RESOLUTION, RESOLUTION))


def _seen(found: Detected, asked: SceneGraph) -> SceneGraph:
    seen = found.as_scene_graph()
    related = replace(seen, relationships=tuple(_all_relations(found.boxes)))
    places = match_scene(asked, related).places
    return replace(seen, relationships=tuple(_answers(asked, places, found.boxes)))


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
