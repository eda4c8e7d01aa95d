"""The scenes of a stage with everything that its objective wants, each part computed once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from graphcond.bases import Base
from graphcond.bases.phrases import phrase_states
from graphcond.context import SceneContext
from graphcond.data.scene_contexts import SceneContexts
from graphcond.data.scene_features import graph_of
from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor
from graphcond.features.feature_cache import FeatureCache, cached_pictures, cached_texts
from graphcond.objectives import ObjectiveConfig, PretrainBatch
from graphcond.progress import Progress
from graphcond.samplers.hard_negatives import swapped
from graphcond.scene_graph import name_of
from graphcond.training.gather import Gatherer
from graphcond.training.randomness import Purpose, seed_of
from graphcond.training.report import Report

Embeddings = Float32[np.ndarray, "n d"]

PART = 256
"""Scenes whose features are held at once while their sentences are collected."""


@dataclass(frozen=True)
class Negatives:
    """Scenes with a swap in each; where none changes the meaning, the scene itself stands."""

    source: SceneContexts
    context: SceneContext
    present: Bool[np.ndarray, " n"]
    texts: Embeddings


@dataclass(frozen=True)
class Phrases:
    """The base's states of all distinct phrases, and the row of each scene's objects; -1 without a state."""

    states: Float[Tensor, "p c"]
    rows: tuple[tuple[int, ...], ...]

    def of(self, rows: Int64[np.ndarray, " b"], nodes: int) -> tuple[Tensor, Tensor]:
        """The states (b, nodes, c) of some scenes, and which objects have one."""
        places = torch.full((len(rows), nodes), -1)
        for place, row in enumerate(rows.tolist()):
            places[place, : len(self.rows[row])] = torch.tensor(self.rows[row])
        return self.states[places.clamp(min=0)], places >= 0


@dataclass(frozen=True)
class StageScenes:
    """Scenes to train an encoder on; row ``i`` of every part is scene ``i``. Parts not needed are None."""

    source: SceneContexts
    context: SceneContext
    pictures: Embeddings | None = None
    texts: Embeddings | None = None
    negatives: Negatives | None = None
    phrases: Phrases | None = None

    def __len__(self) -> int:
        return len(self.context.scenes)

    @property
    def picture_width(self) -> int | None:
        """d, width of CLIP's embeddings, where an objective needs them."""
        return next((part.shape[1] for part in (self.pictures, self.texts) if part is not None), None)

    def batch(self, rows: Int64[np.ndarray, " b"], device: torch.device) -> PretrainBatch:
        """Some scenes, on ``device``."""
        context = self.context.take(rows)
        batch = PretrainBatch(
            self.source.features(context),
            scenes=context,
            pictures=_rows(self.pictures, rows),
            texts=_rows(self.texts, rows),
        )
        if self.negatives is not None:
            batch = replace(
                batch,
                negatives=self.negatives.source.features(self.negatives.context.take(rows)),
                negative_texts=_rows(self.negatives.texts, rows),
                has_negative=torch.from_numpy(self.negatives.present[rows]),
            )
        if self.phrases is not None:
            states, phrased = self.phrases.of(rows, batch.context.nodes.shape[1])
            batch = replace(batch, phrases=states, phrased=phrased)
        return batch.to(device)


def gather_scenes(
    objective: ObjectiveConfig,
    gatherer: Gatherer,
    base: Base,
    rows: Int64[np.ndarray, " n"],
    *,
    condition: str,
    seed: int,
    place: str,
) -> StageScenes:
    """The scenes of ``rows`` with what an objective needs; scenes without objects are left out.

    Args:
        objective: names its needs.
        gatherer: the data.
        base: encodes phrases.
        rows: of the data.
        condition: whose sampler chooses what is kept of a scene.
        seed: of the swaps.
        place: path of the objective in the recipe, for errors.

    Raises:
        InputError: no CLIP is named by the recipe, a picture cannot be read, or no scene has a box.
    """
    needs, source = objective.needs, cast(SceneContexts, gatherer.sources[condition])
    rows = rows[source.sample(rows).has_graph]
    scenes = StageScenes(source, source.sample(rows))
    boxes = (box for scene in scenes.context.scenes for box in scene.boxes)
    if "boxes" in needs and len(scenes) and all(box is None for box in boxes):
        raise InputError(
            "the objective needs boxes, and no scene has any",
            place=place,
            remedy="name data with boxes",
        )
    if "phrases" in needs:
        scenes = replace(scenes, phrases=_phrases(base, scenes.context, gatherer.report, place))
    if not needs & {"pictures", "texts", "negatives"}:
        return scenes
    with gatherer.report.stage("features", f"Embedding what {objective.kind} needs") as progress:
        try:
            clip = gatherer.extractors.clip
        except InputError as error:
            problem = f"the objective needs a CLIP for pictures and sentences: {error.problem}"
            raise InputError(problem, place=place, remedy=error.remedy) from error
        if "pictures" in needs:
            paths = [gatherer.data.picture_path(row) for row in rows.tolist()]
            scenes = replace(scenes, pictures=cached_pictures(clip, paths, FeatureCache(), progress))
        if "texts" in needs:
            scenes = replace(scenes, texts=_embedded(clip, source, scenes.context, progress))
        if "negatives" in needs:
            scenes = replace(scenes, negatives=_negatives(seed, clip, source, rows, progress))
    return scenes


def _phrases(base: Base, context: SceneContext, report: Report, place: str) -> Phrases:
    graphs = map(graph_of, context.scenes)
    names = [[name_of(graph, node) for node in range(len(graph))] for graph in graphs]
    row_of = {name: row for row, name in enumerate(dict.fromkeys(name for own in names for name in own))}
    states, known = phrase_states(base, list(row_of))
    rows = tuple(tuple(row_of[name] if known[row_of[name]] else -1 for name in own) for own in names)
    skipped = sum(own.count(-1) for own in rows)
    if skipped:
        of = sum(map(len, rows))
        report.say(
            f"{place}: {skipped} of {of} objects are skipped; their phrases are longer than the "
            "text encoder reads, or have no word that it knows"
        )
    return Phrases(states, rows)


def _negatives(
    seed: int,
    clip: ClipExtractor,
    source: SceneContexts,
    rows: Int64[np.ndarray, " n"],
    progress: Progress,
) -> Negatives:
    found = [
        swapped(source.scenes.graphs[row], np.random.default_rng(seed_of(seed, Purpose.STAGE, row)))
        for row in rows.tolist()
    ]
    graphs = list(source.scenes.graphs)
    for row, negative in zip(rows.tolist(), found, strict=True):
        if negative is not None:
            graphs[row] = negative.scene
    other = replace(source, scenes=replace(source.scenes, graphs=graphs))
    context = other.sample(rows)
    present = np.array([negative is not None for negative in found], np.bool_)
    return Negatives(other, context, present, _embedded(clip, other, context, progress))


def _embedded(
    clip: ClipExtractor, source: SceneContexts, context: SceneContext, progress: Progress
) -> Embeddings:
    """The embeddings of the scenes' sentences."""
    count = len(context.scenes)
    parts = [np.arange(start, min(start + PART, count)) for start in range(0, count, PART)]
    sentences = [text for rows in parts for text in source.features(context.take(rows)).sentences]
    return cached_texts(clip, sentences, FeatureCache(), progress)


def _rows(table: Embeddings | None, rows: Int64[np.ndarray, " b"]) -> Tensor | None:
    return None if table is None else torch.from_numpy(table[rows])
