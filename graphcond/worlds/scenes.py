"""The scene world: coloured shapes whose boxes, masks and relations are known.

A scene shows 2 to 6 shapes. Its graph names their colours and some of their relations; its prompt,
"an image", names nothing, so only the graph can tell a model what to draw and where.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from graphcond.scene_graph import SPATIAL_PREDICATES, Box, Relationship, SceneGraph, SceneSet
from graphcond.worlds.scene_captions import ANY_SCENE, draw_caption
from graphcond.worlds.scene_drawing import draw_scene as draw_scene
from graphcond.worlds.scene_layout import lay_out
from graphcond.worlds.scene_relations import joined, state_relations
from graphcond.worlds.shapes import COLORS, SHAPES, mask_of

COUNTS: dict[int, float] = {1: 0.1, 2: 0.34, 3: 0.36, 4: 0.2, 5: 0.07, 6: 0.03}
"""How many objects a scene has, and how often, as far as a world asks for that many."""

NESTED_SHARE = 0.3
"""Share of the scenes of up to four objects in which one object lies inside another."""

OUTER_SHAPES = ("circle", "square")
"""Shapes with room in their middle."""

TWIN_SHARE = 0.05
"""Share of the scenes that may show one (colour, shape) twice."""


@dataclass(frozen=True)
class SceneWorld:
    """Scenes of coloured shapes; equal arguments give equal scenes, and a longer world begins as a shorter.

    Args:
        seed: settles everything.
        count: how many scenes.
        resolution: side of the pictures in pixels.
        test_share: share of the scenes kept for testing.
        objects: least and most objects of a scene, 1 to 6.
    """

    seed: int = 0
    count: int = 1_000
    resolution: int = 64
    test_share: float = 0.2
    objects: tuple[int, int] = (2, 6)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"a seed is 0 or more, not {self.seed}")
        if self.count < 1:
            raise ValueError(f"a world has a scene or more, not {self.count}")
        if self.resolution < 16:
            raise ValueError(f"shapes need 16 pixels or more, not {self.resolution}")
        if not 0 <= self.test_share < 1:
            raise ValueError(f"the test share is at least 0 and below 1, not {self.test_share}")
        if not 1 <= self.objects[0] <= self.objects[1] <= max(COUNTS):
            raise ValueError(f"scenes have 1 to {max(COUNTS)} objects, least before most, not {self.objects}")

    def __len__(self) -> int:
        return self.count

    def graph(self, index: int) -> SceneGraph:
        """The truth about one scene: colours, relations, boxes and masks."""
        if not 0 <= index < self.count:
            raise IndexError(f"scene {index} of {self.count}")
        return _graph(self.objects, np.random.default_rng([self.seed, 5, index]))

    @cached_property
    def graphs(self) -> tuple[SceneGraph, ...]:
        """The truth about all scenes."""
        return tuple(self.graph(index) for index in range(self.count))

    def caption(self, index: int) -> str:
        """What the scene shows, more or less, in words; often "an image", sometimes nothing."""
        return draw_caption(self.graph(index), np.random.default_rng([self.seed, 6, index])).text

    def split(self, index: int) -> str:
        """Whether the scene is for "train" or "test"."""
        return "test" if np.random.default_rng([self.seed, 7, index]).random() < self.test_share else "train"

    def draw(self, index: int) -> Image.Image:
        """Draw a scene."""
        return draw_scene(self.graph(index), [self.seed, 8, index], self.resolution)

    def scenes(self) -> SceneSet:
        """All scenes; every prompt is "an image"."""
        rows = range(self.count)
        return SceneSet(
            graphs=self.graphs,
            ids=[f"scene-{index:06d}" for index in rows],
            texts=[ANY_SCENE] * self.count,
            pictures=[f"pictures/{index:06d}.png" for index in rows],
            captions=[self.caption(index) for index in rows],
            splits=[self.split(index) for index in rows],
        )


def swap_pairs(count: int, seed: int = 0) -> list[tuple[SceneGraph, SceneGraph]]:
    """Pairs of graphs that differ in who is the subject: "A left of B" and "B left of A".

    Both show the same two objects, unlike in colour and in shape, and know no boxes. The predicates take
    turns.
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


def _graph(objects: tuple[int, int], rng: np.random.Generator) -> SceneGraph:
    counts = [count for count in COUNTS if objects[0] <= count <= objects[1]]
    shares = np.array([COUNTS[count] for count in counts])
    count = int(rng.choice(counts, p=shares / shares.sum()))
    nested = 2 <= count <= 4 and rng.random() < NESTED_SHARE
    boxes = _joined(count, nested, rng)
    looks = _looks(count, nested, rng)
    order = rng.permutation(count).tolist()
    boxes, looks = tuple(boxes[n] for n in order), [looks[n] for n in order]
    shapes = tuple(shape for _, shape in looks)
    return SceneGraph(
        objects=shapes,
        relationships=state_relations(boxes, rng),
        attributes=tuple((color,) for color, _ in looks),
        boxes=boxes,
        masks=np.stack([mask_of(shape) for shape in shapes]),
    )


def _joined(count: int, nested: bool, rng: np.random.Generator) -> tuple[Box, ...]:
    """Boxes that clear relations join into one piece."""
    while not joined(boxes := lay_out(count, nested, rng)):
        pass
    return boxes


def _looks(count: int, nested: bool, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Colour and shape of each object, mostly all distinct; an inner object differs in colour."""
    twins = rng.random() < TWIN_SHARE
    while True:
        colors = [str(color) for color in rng.choice(list(COLORS), count)]
        shapes = [str(shape) for shape in rng.choice(list(SHAPES), count)]
        if nested:
            shapes[0] = str(rng.choice(OUTER_SHAPES))
        looks = list(zip(colors, shapes, strict=True))
        told_apart = twins or len(set(looks)) == count
        if told_apart and not (nested and _alike(colors[0], colors[1])):
            return looks


def _alike(first: str, second: str) -> bool:
    """Whether one colour would hardly show on the other."""
    return sum(abs(a - b) for a, b in zip(COLORS[first], COLORS[second], strict=True)) < 200
