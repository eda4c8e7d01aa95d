"""The scene world: coloured shapes whose boxes, masks and relations are known.

A scene shows 2 to 6 shapes, a hard one 6 to 12 (`graphcond.worlds.hard_scenes`). Its graph names their
colours and some of their relations. Its prompt is "an image", so only the graph can tell a model what to draw
and where.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from graphcond.scene_graph import SPATIAL_PREDICATES, Box, Relationship, SceneGraph, SceneSet
from graphcond.worlds.hard_scenes import COUNTS as HARD_COUNTS
from graphcond.worlds.hard_scenes import EDGE, GAP, WorldScene, drawn_count, hard_scene
from graphcond.worlds.scene_captions import ANY_SCENE, draw_caption
from graphcond.worlds.scene_drawing import draw_scene as draw_scene
from graphcond.worlds.scene_relations import joined, state_relations
from graphcond.worlds.shapes import COLORS, DISTINCT, OUTER_SHAPES, SHAPES, contrast, mask_of

Difficulty: TypeAlias = Literal["plain", "hard"]

COUNTS: dict[int, float] = {1: 0.1, 2: 0.34, 3: 0.36, 4: 0.2, 5: 0.07, 6: 0.03}
"""Number of objects in a scene, and its probability among the numbers that a world allows."""

NESTED_SHARE = 0.3
"""Share of the scenes of up to four objects in which one object lies inside another."""

TWIN_SHARE = 0.05
"""Share of the scenes that may show one (colour, shape) twice."""

SIZES: dict[int, tuple[float, float]] = {
    1: (0.32, 0.48),
    2: (0.3, 0.48),
    3: (0.27, 0.4),
    4: (0.25, 0.34),
    5: (0.23, 0.29),
    6: (0.22, 0.26),
}
"""Smallest and largest side of an object, by how many there are; 0.22 are 14 of 64 pixels."""

OUTER_SIZES: dict[int, tuple[float, float]] = {2: (0.62, 0.78), 3: (0.58, 0.65), 4: (0.54, 0.58)}
"""Sides of an object that surrounds another."""

INNER_SIZES = (0.25, 0.3)


@dataclass(frozen=True)
class SceneWorld:
    """Scenes of coloured shapes; equal arguments give equal scenes, and a longer world begins like a shorter.

    Scenes for validation come after the others and have random numbers of their own, so that those for
    training and testing do not depend on how many there are.

    Args:
        seed: determines everything.
        count: number of scenes for training and testing.
        resolution: side of the pictures in pixels.
        test_share: share of those scenes kept for testing.
        objects: least and most objects of a scene, within 1 to 6, or 6 to 12 of hard scenes; 2 to 6, and 6 to
            12, unless given.
        validation: number of further scenes, kept for validation.
        difficulty: ``hard`` for the scenes of `graphcond.worlds.hard_scenes`.
    """

    seed: int = 0
    count: int = 1_000
    resolution: int = 64
    test_share: float = 0.2
    objects: tuple[int, int] | None = None
    validation: int = 0
    difficulty: Difficulty = "plain"

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"the seed must be 0 or more, got {self.seed}")
        if self.count < 1:
            raise ValueError(f"a world needs at least one scene, got {self.count}")
        if self.validation < 0:
            raise ValueError(f"the scenes for validation must be 0 or more, got {self.validation}")
        if self.resolution < 16:
            raise ValueError(f"the resolution must be at least 16 pixels, got {self.resolution}")
        if not 0 <= self.test_share < 1:
            raise ValueError(f"the test share must be at least 0 and below 1, got {self.test_share}")
        counts = COUNTS if self.difficulty == "plain" else HARD_COUNTS
        if not min(counts) <= self.limits[0] <= self.limits[1] <= max(counts):
            raise ValueError(
                f"objects of {self.difficulty} scenes must be the least and the most, from {min(counts)} to "
                f"{max(counts)}, got {self.limits}"
            )

    def __len__(self) -> int:
        return self.count + self.validation

    @property
    def limits(self) -> tuple[int, int]:
        """Least and most objects of a scene."""
        return self.objects or ((2, 6) if self.difficulty == "plain" else (6, 12))

    def graph(self, index: int) -> SceneGraph:
        """What the graph of one scene tells, with its boxes and masks: colours and relations."""
        return self._scene(index).told

    def shown(self, index: int) -> SceneGraph:
        """The truth about one picture; of plain scenes `graph` tells all of it."""
        return self._scene(index).shown

    @cached_property
    def _known(self) -> dict[int, WorldScene]:
        """Scenes that were made: a scene's graph, its caption and its picture all begin with it."""
        return {}

    def _scene(self, index: int) -> WorldScene:
        if index not in self._known:
            rng = self._random(5, index)
            hard = self.difficulty == "hard"
            self._known[index] = hard_scene(self.limits, rng) if hard else self._plain_scene(rng)
        return self._known[index]

    def _plain_scene(self, rng: np.random.Generator) -> WorldScene:
        count = drawn_count(COUNTS, self.limits, rng)
        nested = 2 <= count <= 4 and rng.random() < NESTED_SHARE
        # The relations must join all objects into one piece: a model could not place the others.
        boxes = lay_out(count, nested, rng)
        while not joined(boxes):
            boxes = lay_out(count, nested, rng)
        looks = _looks(count, nested, rng)
        order = rng.permutation(count).tolist()
        boxes, looks = tuple(boxes[n] for n in order), [looks[n] for n in order]
        shapes = tuple(shape for _, shape in looks)
        told = SceneGraph(
            objects=shapes,
            relationships=state_relations(boxes, rng),
            attributes=tuple((color,) for color, _ in looks),
            boxes=boxes,
            masks=np.stack([mask_of(shape) for shape in shapes]),
        )
        return WorldScene(told, told)

    @cached_property
    def graphs(self) -> tuple[SceneGraph, ...]:
        """What the graphs of all scenes tell."""
        return tuple(self.graph(index) for index in range(len(self)))

    def caption(self, index: int) -> str:
        """A caption that tells all or part of the scene; often "an image", sometimes empty."""
        return draw_caption(self.shown(index), self._random(6, index)).text

    def split(self, index: int) -> str:
        """The split of the scene: "train", "test" or "val"."""
        if index >= self.count:
            return "val"
        return "test" if self._random(7, index).random() < self.test_share else "train"

    def draw(self, index: int) -> Image.Image:
        """Draw a scene."""
        return draw_scene(self.shown(index), self._numbers(8, index), self.resolution)

    def scenes(self) -> SceneSet:
        """All scenes; every prompt is "an image"."""
        rows = range(len(self))
        return SceneSet(
            graphs=self.graphs,
            ids=[f"scene-{index:06d}" for index in rows],
            texts=[ANY_SCENE] * len(self),
            pictures=[f"pictures/{index:06d}.png" for index in rows],
            captions=[self.caption(index) for index in rows],
            splits=[self.split(index) for index in rows],
        )

    def _random(self, purpose: int, index: int) -> np.random.Generator:
        return np.random.default_rng(self._numbers(purpose, index))

    def _numbers(self, purpose: int, index: int) -> list[int]:
        """The seed of what is random in a scene."""
        if not 0 <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}")
        if index < self.count:
            return [self.seed, purpose, index]
        return [self.seed, 10, purpose, index - self.count]


def swap_pairs(count: int, seed: int = 0) -> list[tuple[SceneGraph, SceneGraph]]:
    """Pairs of graphs that differ in the direction of a relation: "A left of B" and "B left of A".

    Both show the same two objects, which differ in colour and in shape, and have no boxes. The predicates
    take turns.
    """
    rng, pairs = np.random.default_rng([seed, 9]), []
    sideways = [name for name in SPATIAL_PREDICATES if name in ("left of", "right of", "above", "below")]
    for number in range(count):
        shapes = [list(SHAPES)[n] for n in rng.choice(len(SHAPES), 2, replace=False)]
        colors = [(list(COLORS)[n],) for n in rng.choice(len(COLORS), 2, replace=False)]
        relation = sideways[number % len(sideways)]
        there, back = (
            SceneGraph(tuple(shapes), (Relationship(a, relation, b),), tuple(colors))
            for a, b in ((0, 1), (1, 0))
        )
        pairs.append((there, back))
    return pairs


def _looks(count: int, nested: bool, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Colour and shape of each object, mostly all distinct; an inner object differs in colour."""
    twins = rng.random() < TWIN_SHARE
    while True:
        colors = [str(color) for color in rng.choice(list(COLORS), count)]
        shapes = [str(shape) for shape in rng.choice(list(SHAPES), count)]
        if nested:
            shapes[0] = str(rng.choice(OUTER_SHAPES))
        looks = list(zip(colors, shapes, strict=True))
        if len(set(looks)) < count and not twins:
            continue
        if not nested or contrast(colors[0], colors[1]) >= DISTINCT:
            return looks


def lay_out(count: int, nested: bool, rng: np.random.Generator) -> tuple[Box, ...]:
    """Place ``count`` square boxes at random; start again until all find room.

    Args:
        count: 1 to 6.
        nested: the second box lies in the middle of the first, for 2 to 4 boxes.
        rng: determines everything.
    """
    low, high = SIZES[count]
    high = low + (high - low) * (0.3 if nested else 1)  # beside a large box only small ones find room
    while True:
        boxes: list[Box] = []
        if nested:
            outer = _anywhere(float(rng.uniform(*OUTER_SIZES[count])), rng)
            x, y = (outer.x0 + outer.x1) / 2, (outer.y0 + outer.y1) / 2
            x, y = x + rng.uniform(-0.02, 0.02), y + rng.uniform(-0.02, 0.02)
            half = rng.uniform(*INNER_SIZES) / 2
            boxes = [outer, Box(*(float(edge) for edge in (x - half, y - half, x + half, y + half)))]
        while len(boxes) < count:
            side = float(rng.uniform(low, high))
            tried = (_anywhere(side, rng) for _ in range(30))
            box = next((box for box in tried if all(_gap(box, other) >= GAP for other in boxes)), None)
            if box is None:
                break
            boxes.append(box)
        else:
            return tuple(boxes)


def _anywhere(side: float, rng: np.random.Generator) -> Box:
    x, y = (float(value) for value in rng.uniform(EDGE, 1 - EDGE - side, 2))
    return Box(x, y, x + side, y + side)


def _gap(one: Box, other: Box) -> float:
    """The distance of two boxes along the axis on which they are further apart; below 0 if they overlap."""
    across = max(one.x0, other.x0) - min(one.x1, other.x1)
    return max(across, max(one.y0, other.y0) - min(one.y1, other.y1))
