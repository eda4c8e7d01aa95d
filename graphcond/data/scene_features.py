"""A padded batch of sampled scenes, its words embedded: what encoders of scenes read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from graphcond.context import SampledScene, SceneContext, SceneFeatures
from graphcond.features.words import WordTable
from graphcond.scene_graph import MASK_SIDE, Relationship, SceneGraph, sentence_of


def words_read(context: SceneContext) -> Iterator[str]:
    """Every label, attribute and predicate of sampled scenes."""
    for scene in context.scenes:
        yield from scene.words
        yield from _predicates(scene)


def scene_features(context: SceneContext, words: WordTable) -> SceneFeatures:
    """A padded batch of sampled scenes, in float32.

    Where some scenes know masks and others do not, an object without one fills its box.

    Raises:
        InputError: ``words`` is closed and does not hold a word.
    """
    words.add(words_read(context))  # together: a network is slow to embed a few at a time
    scenes, width = context.scenes, words.width
    return SceneFeatures(
        nodes=_padded([words.of(scene.words) for scene in scenes], np.zeros((0, width), np.float32)),
        present=_padded([np.ones(len(scene.words), np.bool_) for scene in scenes], np.zeros(0, np.bool_)),
        is_object=_padded([_first(scene) for scene in scenes], np.zeros(0, np.bool_)),
        triples=_padded([_ends(scene) for scene in scenes], np.zeros((0, 2), np.int64)),
        predicates=_padded(
            [words.of(_predicates(scene)) for scene in scenes], np.zeros((0, width), np.float32)
        ),
        related=_padded([np.ones(len(scene.triples), np.bool_) for scene in scenes], np.zeros(0, np.bool_)),
        boxes=_padded([_boxes(scene) for scene in scenes], np.zeros((0, 4), np.float32)),
        boxed=_padded([_boxed(scene) for scene in scenes], np.zeros(0, np.bool_)),
        sentences=tuple(sentence_of(graph_of(scene)) for scene in scenes),
        masks=_masks(scenes),
    )


def graph_of(scene: SampledScene) -> SceneGraph:
    """A sampled scene as a scene graph again: what was kept, its attributes with their objects."""
    attributes: list[list[str]] = [[] for _ in range(scene.objects)]
    for subject, _, target in scene.triples:
        if target >= scene.objects:
            attributes[subject].append(scene.words[target])
    return SceneGraph(
        scene.words[: scene.objects],
        tuple(Relationship(*triple) for triple in scene.triples if triple.object < scene.objects),
        tuple(tuple(words) for words in attributes),
        scene.boxes,
        scene.masks,
    )


def _padded(rows: Sequence[np.ndarray], nothing: np.ndarray) -> Tensor:
    """Rows of unlike length in one tensor, zero where one ends; ``nothing`` is a row of length 0."""
    longest = max((len(row) for row in rows), default=0)
    batch = np.zeros((len(rows), longest, *nothing.shape[1:]), nothing.dtype)
    for place, row in enumerate(rows):
        batch[place, : len(row)] = row
    return torch.from_numpy(batch)


def _predicates(scene: SampledScene) -> list[str]:
    return [triple.predicate for triple in scene.triples]


def _ends(scene: SampledScene) -> np.ndarray:
    ends = [(triple.subject, triple.object) for triple in scene.triples]
    return np.array(ends, np.int64).reshape(-1, 2)


def _first(scene: SampledScene) -> np.ndarray:
    """True for objects among the nodes of a scene."""
    return np.asarray(np.arange(len(scene.words)) < scene.objects)


def _boxes(scene: SampledScene) -> np.ndarray:
    boxes = np.zeros((len(scene.words), 4), np.float32)
    for place, box in enumerate(scene.boxes):
        if box is not None:
            boxes[place] = box
    return boxes


def _boxed(scene: SampledScene) -> np.ndarray:
    known = np.zeros(len(scene.words), np.bool_)
    known[: len(scene.boxes)] = [box is not None for box in scene.boxes]
    return known


def _masks(scenes: Sequence[SampledScene]) -> Tensor | None:
    if all(scene.masks is None for scene in scenes):
        return None
    longest = max(len(scene.words) for scene in scenes)
    masks = np.zeros((len(scenes), longest, MASK_SIDE, MASK_SIDE), np.float32)
    for row, scene in enumerate(scenes):
        masks[row, : scene.objects] = 1.0 if scene.masks is None else scene.masks
    return torch.from_numpy(masks)
