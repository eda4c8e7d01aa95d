"""From a graph on disk to the inputs of encoders: embeddings of nodes, sampled and shuffled contexts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from graphcond import samplers
from graphcond.attributed_graph import AttributedGraph, LazyRows, NodeEmbeddings, ShortRepr, rows_named
from graphcond.context import (
    Context,
    NeighborContext,
    NeighborFeatures,
    NeighborStructure,
    SceneContext,
)
from graphcond.errors import InputError
from graphcond.features.clip import FeatureExtractor, TextEmbedder
from graphcond.features.feature_cache import FeatureCache, cached_pictures, cached_texts
from graphcond.io.cache import Arrays, Layout, cached_rows
from graphcond.io.fingerprint import fingerprint, source_version
from graphcond.io.frames import Frame
from graphcond.io.pictures import open_square, to_pixels
from graphcond.progress import Progress
from graphcond.samplers import NeighborSampler, structure_of, with_relations
from graphcond.samplers.neighbor_file import graph_identity

BATCH = 256
"""Targets of one call of the sampler."""

PART = 2048
"""Targets whose neighbors are kept together, and divided among processes together."""

Sampled: TypeAlias = NeighborContext | SceneContext
"""The contexts that samplers return."""

Chosen = TypeVar("Chosen", bound=Sampled)
Read = TypeVar("Read", bound=Context)


class ContextSource(ShortRepr, ABC, Generic[Chosen, Read]):
    """Data as one condition reads them, in training and in drawing.

    Rows are those of the data. A row gets the same context in whatever batch it comes.
    """

    @property
    @abstractmethod
    def feature_width(self) -> int:
        """d, width of the embeddings that encoders read."""

    @property
    @abstractmethod
    def texts(self) -> Sequence[str]:
        """The prompt of every row."""

    @abstractmethod
    def rows_of(self, *ids: str) -> Int64[np.ndarray, " b"]:
        """The rows of ``ids``.

        Raises:
            InputError: an id does not exist.
        """

    @abstractmethod
    def sample(self, rows: Int64[np.ndarray, " b"]) -> Chosen:
        """The contexts of ``rows``."""

    def sample_once(
        self, rows: Int64[np.ndarray, " b"], named: Sequence[object], progress: Progress | None = None
    ) -> Chosen:
        """As `sample`; cached between runs if sampling takes long.

        Args:
            rows: the rows to sample for.
            named: the sampler's settings, which with `identity` determine the result.
            progress: called after each batch.
        """
        return self.sample(rows)

    @abstractmethod
    def features(self, context: Chosen) -> Read:
        """Contexts as encoders read them, in float32 on the CPU."""

    def features_of(self, *ids: str) -> Read:
        """The contexts of ``ids`` as encoders read them, for `GraphPipeline`.

        Raises:
            InputError: an id does not exist.
        """
        return self.features(self.sample(self.rows_of(*ids)))

    @abstractmethod
    def shuffled(self, context: Chosen, seed: int) -> Chosen:
        """The control: every row gets the context of another one."""

    def without_boxes(self, context: Chosen) -> Chosen | None:
        """The contexts without the boxes and masks of objects; None where they have no boxes."""
        return None

    def framed(self, context: Chosen, frames: Sequence[Frame]) -> Chosen:
        """The contexts with boxes and masks of objects where a frame of each row's picture shows them."""
        return context

    @abstractmethod
    def identity(self) -> tuple[object, ...]:
        """The value that identifies this source in `fingerprint`, without the settings of its sampler."""


AnySource: TypeAlias = ContextSource[Any, Any]


def embed_graph(
    graph: AttributedGraph,
    extractor: FeatureExtractor,
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> NodeEmbeddings:
    """Embed every picture and text of a graph, each distinct content once; ``cache`` keeps them between runs.

    Texts are not embedded if ``extractor`` embeds pictures only.

    Raises:
        InputError: a picture is missing or cannot be decoded.
    """
    return NodeEmbeddings(
        pictures=cached_pictures(extractor, graph.picture_paths, cache, progress),
        texts=cached_texts(extractor, graph.nodes.texts, cache, progress)
        if isinstance(extractor, TextEmbedder)
        else None,
    )


@dataclass(frozen=True, repr=False)
class GraphContexts(ContextSource[NeighborContext, NeighborFeatures]):
    """A graph with the sampler of one condition and the embeddings its encoder reads.

    Args:
        graph: the graph.
        sampler: chooses neighbors.
        embeddings: of all nodes; encoders read the pictures', or ``extra`` where that is given.
        seed: of the sampler's random choices.
        structure: give encoders the edges among a target and its neighbors, and the sampler's scores.
        target_text: give encoders the embedding of the target's own text.
        pictures: give encoders the neighbors' pictures, padded to squares with this side in pixels.

    Raises:
        InputError: texts are requested that are not embedded, or not as wide as what encoders read; or
            pictures, and the sampler gives means of neighbors.
    """

    graph: AttributedGraph
    sampler: NeighborSampler
    embeddings: NodeEmbeddings
    seed: int = 0
    structure: bool = False
    target_text: bool = False
    pictures: int | None = None

    def __post_init__(self) -> None:
        if self.pictures is not None and self.sampler.averages:
            raise InputError(
                "the sampler gives means of neighbors, which are not pictures",
                place="sampler",
                remedy="use another, such as ppr, for an encoder that reads pictures",
            )
        texts = self.embeddings.texts
        if self.target_text and (texts is None or texts.shape[1] != self.feature_width):
            raise InputError(
                "the features embed no texts as they embed pictures",
                place="encoder.target_text",
                remedy="leave it out, or use features of the kind clip",
            )

    @property
    def feature_width(self) -> int:
        """d, width of the embeddings that encoders read."""
        return self._read().shape[1]

    @property
    def texts(self) -> Sequence[str]:
        """The text of every node."""
        return self.graph.nodes.texts

    def rows_of(self, *ids: str) -> Int64[np.ndarray, " b"]:
        """The rows of node ids; see `ContextSource.rows_of`."""
        return rows_named(ids, self.graph.nodes.index, noun="node", place=self.graph.root)

    def sample(self, targets: Int64[np.ndarray, " b"]) -> NeighborContext:
        """The neighbors of ``targets``, which do not depend on the batch that a target is in.

        Where the graph has edge types, relations are told.
        """
        return with_relations(self.graph, self.sampler.sample(targets, np.random.default_rng(self.seed)))

    def sample_once(
        self, targets: Int64[np.ndarray, " b"], named: Sequence[object], progress: Progress | None = None
    ) -> NeighborContext:
        """As `sample`, from the cache if the same was sampled before.

        It is sampled again when the graph, the embeddings, the sampler or its settings change.

        Raises:
            InputError: a target lacks something that the sampler needs.
            StorageError: the cache cannot be written.
        """
        first = self.sample(targets[:0])
        shape = (len(targets), first.neighbors.shape[1])
        layouts = {"neighbors": Layout(shape, np.int64), "scores": Layout(shape, np.float32)}
        if self.graph.edge_types is not None:
            layouts["relations"] = Layout(shape, np.int16)

        def fill(part: slice) -> Iterator[Arrays]:
            for start in range(part.start, part.stop, BATCH):
                found = self.sample(targets[start : min(start + BATCH, part.stop)])
                yield {name: getattr(found, name) for name in layouts}

        key = fingerprint(*named, source_version(samplers), *self.identity(), targets)
        filled = cached_rows(f"neighbors-{key}", layouts, fill, at_once=PART, progress=progress)
        return NeighborContext(targets, **filled)

    def features(self, context: NeighborContext) -> NeighborFeatures:
        """The sampler's features for encoders, in float32: embeddings of neighbors, or means of them.

        Means have no relations and no structure. Where pictures are asked for, neighbors without one are not
        present.

        Raises:
            InputError: a picture is missing or cannot be decoded.
        """
        rows, present = self.sampler.read(context, self._read())
        pictures = None
        if self.pictures is not None:
            present, pictures = self._pictures(context.neighbors, present, self.pictures)
        relations = None if self.sampler.averages else context.relations
        structure = None
        if self.structure and not self.sampler.averages:
            linked, types = structure_of(self.graph, context)
            structure = NeighborStructure(
                torch.from_numpy(context.scores),
                torch.from_numpy(linked),
                None if types is None else torch.from_numpy(types),
            )
        texts = self.embeddings.texts if self.target_text else None
        return NeighborFeatures(
            torch.from_numpy(rows),
            torch.from_numpy(present),
            None if relations is None else torch.from_numpy(relations.astype(np.int64)),
            self.graph.relation_names,
            structure,
            None if texts is None else torch.from_numpy(np.asarray(texts[context.targets], np.float32)),
            pictures=pictures,
        )

    def _pictures(
        self, neighbors: Int64[np.ndarray, "b k"], present: Bool[np.ndarray, "b k"], side: int
    ) -> tuple[Bool[np.ndarray, "b k"], Float32[Tensor, "b k 3 _ _"]]:
        """Which neighbors have a picture, and these, each read once; zeros elsewhere."""
        paths = self.graph.picture_paths
        there = {row: path for row in np.unique(neighbors[present]).tolist() if (path := paths[row])}
        present = present & np.isin(neighbors, list(there))
        pictures = torch.zeros(*neighbors.shape, 3, side, side)
        for row, path in there.items():
            found = torch.from_numpy(present & (neighbors == row))
            pictures[found] = torch.from_numpy(to_pixels(open_square(path, side)))
        return present, pictures

    def shuffled(self, context: NeighborContext, seed: int) -> NeighborContext:
        """The control: every target gets the neighbors of another one; see `shuffled`."""
        return shuffled(context, seed)

    def identity(self) -> tuple[object, ...]:
        """Everything that determines neighbors and their embeddings, except the sampler's settings."""
        return (graph_identity(self.graph), *self.embeddings.identity(), self.seed)

    def _read(self) -> Float[np.ndarray, "nodes d"] | LazyRows:
        table = self.embeddings.pictures if self.embeddings.extra is None else self.embeddings.extra
        if table is None:
            raise InputError(
                "no picture of the graph is embedded", place="features", remedy="add pictures or a file"
            )
        return table


def shuffled(context: NeighborContext, seed: int) -> NeighborContext:
    """The control: every target gets the neighbors of another one with their relations, none its own.

    A neighbor that is the target itself is removed. The row of a single target becomes empty, since there is
    no other target to swap with.
    """
    count = len(context.targets)
    order = np.random.default_rng(seed).permutation(count)
    donors = np.empty(count, np.int64)
    donors[order] = np.roll(order, 1)
    given = replace(context.take(donors), targets=context.targets, chosen_for=context.around[donors])
    own = (given.neighbors == given.targets[:, None]) | (donors == np.arange(count))[:, None]
    return given.keep(given.present & ~own)
