"""From scene graphs to the inputs of encoders: embedded words, sampled and shuffled scenes, what is cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import ShortRepr, rows_named
from graphcond.bases.base import Base
from graphcond.bases.cut_prompts import note_on_cut
from graphcond.context import SampledScene, SceneContext, SceneFeatures
from graphcond.data.contexts import ContextSource
from graphcond.data.scene_features import graph_of, scene_features
from graphcond.features.clip import TextEmbedder
from graphcond.features.feature_cache import FeatureCache
from graphcond.features.words import WordTable, word_table
from graphcond.io.frames import WHOLE, Frame
from graphcond.progress import Progress
from graphcond.recipe import ConditionConfig
from graphcond.samplers import SceneSampler
from graphcond.samplers.scene_triples import ATTRIBUTE_PREDICATE
from graphcond.scene_graph import MASK_SIDE, Box, SceneGraph, SceneSet, sentence_of

EMPTY = SampledScene(words=(), objects=0, triples=(), boxes=())
"""A scene without any word."""


def words_of(scene: SceneGraph) -> Iterator[str]:
    """All labels, attributes and predicates of a scene, the "is" of attributes included."""
    yield from scene.objects
    yield from (relation.predicate for relation in scene.relationships)
    yield from (word for words in scene.attributes for word in words)
    if scene.attributes:
        yield ATTRIBUTE_PREDICATE


def embed_words(
    scenes: SceneSet,
    extractor: TextEmbedder,
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> WordTable:
    """Embed every word of a set of scenes, each distinct one once; ``cache`` keeps them between runs."""
    return word_table(
        (word for scene in scenes.graphs for word in words_of(scene)), extractor, cache, progress
    )


@dataclass(frozen=True, repr=False)
class SceneContexts(ContextSource[SceneContext, SceneFeatures]):
    """A set of scenes with the sampler of one condition and the embeddings its encoder reads.

    Args:
        scenes: the scenes.
        sampler: chooses what is kept of a scene.
        words: embeds every word of the scenes.
        seed: of the sampler's random choices.
    """

    scenes: SceneSet
    sampler: SceneSampler
    words: WordTable
    seed: int = 0

    @property
    def feature_width(self) -> int:
        """d, width of the embeddings that encoders read."""
        return self.words.width

    @property
    def texts(self) -> Sequence[str]:
        """The prompt of every scene."""
        return self.scenes.texts

    def rows_of(self, *ids: str) -> Int64[np.ndarray, " b"]:
        """The rows of scene ids; see `ContextSource.rows_of`."""
        return rows_named(ids, self.scenes.index, noun="scene", place=self.scenes.root)

    def sample(
        self, rows: Int64[np.ndarray, " b"], generator: np.random.Generator | None = None
    ) -> SceneContext:
        """The sampled scenes of ``rows``, which do not depend on the batch that a scene is in.

        Without ``generator`` it is the same in every call, too.
        """
        chosen = [self.scenes.graphs[row] for row in rows.tolist()]
        return self.sampler.sample(chosen, generator or np.random.default_rng(self.seed))

    def features(self, context: SceneContext) -> SceneFeatures:
        """Sampled scenes as encoders read them, in float32.

        Raises:
            InputError: ``words`` is closed and lacks a word of them.
        """
        return scene_features(context, self.words)

    def shuffled(self, context: SceneContext, seed: int) -> SceneContext:
        """The control: every target gets another's scene; see `shuffled_scenes`."""
        return shuffled_scenes(context, seed)

    def without_boxes(self, context: SceneContext) -> SceneContext | None:
        """The scenes without boxes and masks; None where no scene has a box."""
        if not any(box is not None for scene in context.scenes for box in scene.boxes):
            return None
        return SceneContext(
            tuple(replace(scene, boxes=(None,) * scene.objects, masks=None) for scene in context.scenes)
        )

    def framed(self, context: SceneContext, frames: Sequence[Frame]) -> SceneContext:
        """The scenes with boxes and masks where frames show them; what they do not show has no box."""
        return SceneContext(tuple(map(framed_scene, context.scenes, frames)))

    def identity(self) -> tuple[object, ...]:
        """The scenes, the embeddings of their words and the seed, without the sampler's settings."""
        graphs = self.scenes.graphs
        masks = [graph.masks for graph in graphs if graph.masks is not None]
        return (
            tuple(graphs),
            tuple(graph.masks is not None for graph in graphs),
            np.concatenate(masks) if masks else None,
            self.words.words,
            self.words.vectors,
            self.seed,
        )


@dataclass(frozen=True, repr=False)
class SceneReader(ShortRepr):
    """Reads any scene graph for drawing. Words that were not seen in training also work.

    Args:
        sampler: chooses what is kept of a scene, the same in every call.
        extractor: embeds words.
        cache: keeps embeddings between runs; None keeps none.
    """

    sampler: SceneSampler
    extractor: TextEmbedder
    cache: FeatureCache | None = None

    def read(self, scenes: Sequence[SceneGraph]) -> SceneFeatures:
        """``scenes`` as encoders read them."""
        return scene_features(self.sampler.sample(scenes, None), WordTable(self.extractor, self.cache))


def framed_scene(scene: SampledScene, frame: Frame) -> SampledScene:
    """A scene with boxes and masks in shares of a frame; an object outside of it has no box."""
    if frame.region == WHOLE:
        return scene
    boxes, masks = list[Box | None](), None if scene.masks is None else scene.masks.copy()
    for place, box in enumerate(scene.boxes):
        shown = None if box is None else frame.box(box)
        boxes.append(None if shown is None else Box(*shown))
        if box is None or shown is None or masks is None:
            continue
        # A mask is stretched over its box, so it loses the rows and columns that are cut off with it.
        x0, y0, x1, y1 = frame.region
        columns, rows = (
            _cells(*((low + share * (high - low) - edge) / side for share in (shown[axis], shown[axis + 2])))
            for axis, low, high, edge, side in (
                (0, x0, x1, box.x0, box.x1 - box.x0),
                (1, y0, y1, box.y0, box.y1 - box.y0),
            )
        )
        masks[place] = masks[place][rows[:, None], columns]
    return replace(scene, boxes=tuple(boxes), masks=masks)


def _cells(low: float, high: float) -> Int64[np.ndarray, 16]:
    """The cells of a mask that show a part of it, from shares of its side, nearest to even steps."""
    steps = low + (np.arange(MASK_SIDE) + 0.5) / MASK_SIDE * (high - low)
    return np.clip((steps * MASK_SIDE).astype(np.int64), 0, MASK_SIDE - 1)


def shuffled_scenes(context: SceneContext, seed: int) -> SceneContext:
    """The control: every target gets the scene of another one that differs from its own.

    A target gets an empty scene where every scene left is equal to its own: where it is alone, or where more
    than half of the scenes are equal.
    """
    # Equal scenes are grouped in a random order. A shift by the size of the largest group then leads from
    # each scene into another group, as long as no group holds more than half of them.
    rng, said = (
        np.random.default_rng(seed),
        [(scene.words, scene.objects, scene.triples) for scene in context.scenes],
    )
    count, sizes = len(said), Counter(said)
    group = dict(zip(sizes, rng.permutation(len(sizes)).tolist(), strict=True))
    order = sorted(rng.permutation(count).tolist(), key=lambda row: group[said[row]])
    shift = max(sizes.values(), default=0)
    scenes = list(context.scenes)
    for place, row in enumerate(order):
        donor = order[(place + shift) % count]
        scenes[row] = EMPTY if said[donor] == said[row] else context.scenes[donor]
    return SceneContext(tuple(scenes))


def notes_on_limits(
    condition: ConditionConfig, graphs: Sequence[SceneGraph], sampled: Sequence[SampledScene], base: Base
) -> Iterator[str]:
    """A sentence for each limit of a condition that scene graphs exceed.

    Args:
        condition: of the recipe.
        graphs: the scene graphs.
        sampled: what the condition's sampler keeps of each.
        base: reads the sentences of encoders that write scenes out.
    """
    place, encoder = f"conditions.{condition.name}", condition.encoder
    reduced = sum(
        len(graph) > scene.objects
        or len(graph.relationships) > sum(triple.object < scene.objects for triple in scene.triples)
        for graph, scene in zip(graphs, sampled, strict=True)
    )
    if reduced:
        yield (
            f"{reduced} of {len(graphs)} scenes have more objects or relations than {place}.sampler keeps: "
            "raise its limits"
        )
    read, most = encoder.most_triples(), max(map(_items, sampled), default=0)
    if read is not None and most > read:
        cut = sum(_items(scene) > read for scene in sampled)
        yield (
            f"{cut} of {len(graphs)} scenes have more triples than the {read} that the encoder reads, up to "
            f"{most}: raise {place}.encoder.triples"
        )
    if encoder.token_count() == "prompt":
        sentences = {sentence_of(graph_of(scene)) for scene in sampled}
        note = note_on_cut(base.cut_prompts(sorted(sentences)), len(sentences), base.facts.token_count)
        if note is not None:
            yield f"the sentences of scenes ({place}): {note}"


def _items(scene: SampledScene) -> int:
    """Triples, attributes among them, and objects in no triple."""
    named = {end for triple in scene.triples for end in (triple.subject, triple.object)}
    return len(scene.triples) + len(set(range(scene.objects)) - named)
