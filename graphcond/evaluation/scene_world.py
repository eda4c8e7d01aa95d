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
from graphcond.worlds.scene_relations import BIGGER, SAME_COLOR, relation_holds

BATCH = 64
RESOLUTION = 64
FEW = 6
"""Most objects of a plain scene."""
FURTHER = (BIGGER, SAME_COLOR)
"""The relations that are not spatial."""


@runtime_checkable
class ShapeOracle(Protocol):
    """Finds coloured shapes; `graphcond.worlds.scene_oracle.SceneOracle` does."""

    def detect(self, pixels: Float32[Tensor, "b 3 height width"]) -> Sequence[Detected]:
        """The shapes of each picture, pixels in -1..1."""


class OracleDetector:
    """Reads scene graphs off pictures of the scene world: shapes, colours, boxes and how boxes lie.

    Args:
        oracle: finds the shapes.
        hard: finds them in pictures that are asked to show more than six, for which `SceneOracle` has other
            weights; ``oracle`` unless given.
    """

    def __init__(self, oracle: ShapeOracle, hard: ShapeOracle | None = None) -> None:
        self.oracle, self.hard = oracle, hard or oracle

    @classmethod
    def load(cls) -> OracleDetector:
        """The detector around the packaged oracles."""
        return cls(SceneOracle.load(), SceneOracle.load(hard=True))

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
        found: dict[int, Detected] = {}
        for oracle, crowded in ((self.oracle, False), (self.hard, True)):
            rows = [row for row, graph in enumerate(asked) if (len(graph) > FEW) is crowded]
            for start in range(0, len(rows), BATCH):
                some = rows[start : start + BATCH]
                found.update(zip(some, oracle.detect(pixels[some]), strict=True))
        return [_seen(found[row], graph) for row, graph in enumerate(asked)]


def _seen(found: Detected, asked: SceneGraph) -> SceneGraph:
    seen, boxes = found.as_scene_graph(), found.boxes

    def holds(relation: str, subject: int, target: int) -> bool:
        if relation == SAME_COLOR:
            return found.colors[subject] == found.colors[target]
        return relation_holds(relation, boxes[subject], boxes[target])

    every: list[Relationship] = []
    for subject, target in permutations(range(len(boxes)), 2):
        every.append(Relationship(subject, predicate(boxes[subject], boxes[target]), target))
        every += [Relationship(subject, one, target) for one in FURTHER if holds(one, subject, target)]
    places = match_scene(asked, replace(seen, relationships=tuple(every))).places
    answers: list[Relationship] = []
    for relation in asked.relationships:
        first, second = places[relation.subject], places[relation.object]
        if first is None or second is None or first == second:
            continue
        if relation.predicate not in FURTHER:
            answers.append(Relationship(first, predicate(boxes[first], boxes[second]), second))
        elif holds(relation.predicate, first, second):
            answers.append(Relationship(first, relation.predicate, second))
        elif holds(relation.predicate, second, first):
            answers.append(Relationship(second, relation.predicate, first))
    return replace(seen, relationships=tuple(answers))
