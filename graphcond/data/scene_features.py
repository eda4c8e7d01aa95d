"""A padded batch of sampled scenes with embedded words, the input of scene encoders."""

from __future__ import annotations

import numpy as np
import torch

from graphcond.context import SampledScene, SceneContext, SceneFeatures
from graphcond.features.words import WordTable
from graphcond.scene_graph import MASK_SIDE, Mention, Relationship, SceneGraph, written_out


def scene_features(context: SceneContext, words: WordTable) -> SceneFeatures:
    """A padded batch of sampled scenes, in float32.

    Where some scenes have masks and others do not, an object without one fills its box.

    Raises:
        InputError: ``words`` is closed and lacks a label, an attribute or a predicate.
    """
    scenes = context.scenes
    predicates_of = [[triple.predicate for triple in scene.triples] for scene in scenes]
    # All words of the batch at once: a network takes as long for a few of them.
    words.add(
        word
        for scene, predicates in zip(scenes, predicates_of, strict=True)
        for word in (*scene.words, *predicates)
    )
    most_nodes = max((len(scene.words) for scene in scenes), default=0)
    most_triples = max((len(scene.triples) for scene in scenes), default=0)
    of_nodes, of_triples = (len(scenes), most_nodes), (len(scenes), most_triples)
    nodes = np.zeros((*of_nodes, words.width), np.float32)
    present, is_object, boxed = (np.zeros(of_nodes, np.bool_) for _ in range(3))
    boxes = np.zeros((*of_nodes, 4), np.float32)
    triples = np.zeros((*of_triples, 2), np.int64)
    predicates = np.zeros((*of_triples, words.width), np.float32)
    related = np.zeros(of_triples, np.bool_)
    masks = None
    if any(scene.masks is not None for scene in scenes):
        masks = np.zeros((*of_nodes, MASK_SIDE, MASK_SIDE), np.float32)
    for row, scene in enumerate(scenes):
        here, count = len(scene.words), len(scene.triples)
        nodes[row, :here] = words.of(scene.words)
        present[row, :here] = True
        is_object[row, : scene.objects] = True
        for place, box in enumerate(scene.boxes):
            if box is not None:
                boxes[row, place], boxed[row, place] = box, True
        for place, triple in enumerate(scene.triples):
            triples[row, place] = triple.subject, triple.object
        predicates[row, :count] = words.of(predicates_of[row])
        related[row, :count] = True
        if masks is not None:
            masks[row, : scene.objects] = 1.0 if scene.masks is None else scene.masks
    spoken = [spoken_scene(scene) for scene in scenes]
    return SceneFeatures(
        nodes=torch.from_numpy(nodes),
        present=torch.from_numpy(present),
        is_object=torch.from_numpy(is_object),
        triples=torch.from_numpy(triples),
        predicates=torch.from_numpy(predicates),
        related=torch.from_numpy(related),
        boxes=torch.from_numpy(boxes),
        boxed=torch.from_numpy(boxed),
        sentences=tuple(sentence for sentence, _ in spoken),
        masks=None if masks is None else torch.from_numpy(masks),
        mentions=tuple(mentions for _, mentions in spoken),
    )


def spoken_scene(scene: SampledScene) -> tuple[str, tuple[Mention, ...]]:
    """The sentence of a scene, and what it speaks of, as positions in the scene's words and triples."""
    attributes: dict[int, list[int]] = {}
    relations: list[int] = []
    for place, (subject, _, target) in enumerate(scene.triples):
        if target < scene.objects:
            relations.append(place)
        else:
            attributes.setdefault(subject, []).append(target)
    sentence, mentions = written_out(graph_of(scene))
    return sentence, tuple(
        one._replace(
            attribute=None
            if one.object is None or one.attribute is None
            else attributes[one.object][one.attribute],
            relation=None if one.relation is None else relations[one.relation],
        )
        for one in mentions
    )


def graph_of(scene: SampledScene) -> SceneGraph:
    """A sampled scene as a scene graph again: the kept part, attributes with their objects."""
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
