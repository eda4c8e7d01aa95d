"""From a graph on disk to what encoders read: embeddings of nodes, sampled and shuffled contexts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from jaxtyping import Int64

from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings
from graphcond.context import Context, NeighborContext, NeighborFeatures, SceneContext
from graphcond.errors import InputError
from graphcond.features.clip import FeatureExtractor, TextEmbedder
from graphcond.features.feature_cache import FeatureCache, cached_pictures, cached_texts
from graphcond.progress import Progress
from graphcond.samplers import NeighborSampler, with_relations
from graphcond.samplers.neighbor_file import graph_identity

Sampled: TypeAlias = NeighborContext | SceneContext
"""What samplers return."""

Chosen = TypeVar("Chosen", bound=Sampled)
Read = TypeVar("Read", bound=Context, covariant=True)


class ContextSource(Protocol[Chosen, Read]):
    """Data as one condition reads them: `GraphContexts`, or `graphcond.data.scene_contexts.SceneContexts`.

    Rows are those of the data. A row gets the same context in whatever batch it comes.
    """

    @property
    def feature_width(self) -> int:
        """d, width of the embeddings that encoders read."""
        ...

    @property
    def texts(self) -> Sequence[str]:
        """The prompt of every row."""
        ...

    def sample(self, rows: Int64[np.ndarray, " b"]) -> Chosen:
        """The contexts of ``rows``."""
        ...

    def features(self, context: Chosen) -> Read:
        """Contexts as encoders read them, in float32 on the CPU."""
        ...

    def shuffled(self, context: Chosen, seed: int) -> Chosen:
        """The control: every row gets the context of another one."""
        ...

    def identity(self) -> tuple[object, ...]:
        """What `graphcond.io.fingerprint.fingerprint` names this source by."""
        ...


AnySource: TypeAlias = ContextSource[Any, Any]


def embed_graph(
    graph: AttributedGraph,
    extractor: FeatureExtractor,
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> NodeEmbeddings:
    """Embed every picture and text of a graph, each distinct content once; ``cache`` keeps them between runs.

    Texts are left out where ``extractor`` embeds pictures only.

    Raises:
        InputError: a picture is missing or cannot be decoded.
    """
    paths = [graph.picture_path(node) for node in range(len(graph))]
    return NodeEmbeddings(
        pictures=cached_pictures(extractor, paths, cache, progress),
        texts=cached_texts(extractor, graph.nodes.texts, cache, progress)
        if isinstance(extractor, TextEmbedder)
        else None,
    )


@dataclass(frozen=True)
class GraphContexts:
    """A graph with the sampler of one condition and the embeddings its encoder reads.

    Args:
        graph: the graph.
        sampler: chooses neighbors.
        embeddings: of all nodes; encoders read the pictures', or ``extra`` where that is given.
        seed: of the sampler's random choices.
    """

    graph: AttributedGraph
    sampler: NeighborSampler
    embeddings: NodeEmbeddings
    seed: int = 0

    @property
    def feature_width(self) -> int:
        """d, width of the embeddings that encoders read."""
        return self._read().shape[1]

    @property
    def texts(self) -> Sequence[str]:
        """The text of every node."""
        return self.graph.nodes.texts

    def sample(self, targets: Int64[np.ndarray, " b"]) -> NeighborContext:
        """The neighbors of ``targets``: the same for a target in whatever batch it comes.

        Where the graph has edge types, relations are told.
        """
        return with_relations(self.graph, self.sampler.sample(targets, np.random.default_rng(self.seed)))

    def features_of(self, *ids: str) -> NeighborFeatures:
        """The embeddings of the neighbors of nodes, by their ids: what `GraphPipeline` takes as a graph.

        Raises:
            InputError: there is no such node.
        """
        return self.features(self.sample(rows_of(ids, self.graph.nodes.index, "node", self.graph.root)))

    def features(self, context: NeighborContext) -> NeighborFeatures:
        """What the sampler has encoders read, in float32: embeddings of neighbors, or means of them.

        Means have no relations.
        """
        rows, present = self.sampler.read(context, self._read())
        relations = None if self.sampler.averages else context.relations
        return NeighborFeatures(
            torch.from_numpy(rows),
            torch.from_numpy(present),
            None if relations is None else torch.from_numpy(relations.astype(np.int64)),
            self.graph.relation_names,
        )

    def shuffled(self, context: NeighborContext, seed: int) -> NeighborContext:
        """The control: every target gets the neighbors of another one; see `shuffled`."""
        return shuffled(context, seed)

    def identity(self) -> tuple[object, ...]:
        """Everything that neighbors and their embeddings follow from, the sampler's settings excepted."""
        embeddings = self.embeddings
        known = (embeddings.pictures, embeddings.texts, embeddings.extra)
        return (graph_identity(self.graph), *known, self.seed)

    def _read(self) -> np.ndarray:
        table = self.embeddings.pictures if self.embeddings.extra is None else self.embeddings.extra
        if table is None:
            raise InputError(
                "no picture of the graph is embedded", place="features", remedy="add pictures or a file"
            )
        return table


def rows_of(
    ids: Sequence[str], index: Mapping[str, int], what: str, place: object
) -> Int64[np.ndarray, " b"]:
    """The rows of ``ids``.

    Args:
        ids: what to look up.
        index: the row of every id.
        what: what an id names, as the error says it.
        place: where it is looked for, as the error says it.

    Raises:
        InputError: an id has no row.
    """
    unknown = [name for name in ids if name not in index]
    if unknown:
        raise InputError(f"there is no {what} '{unknown[0]}'", place=place, remedy="check the id")
    return np.array([index[name] for name in ids], np.int64)


def shuffled(context: NeighborContext, seed: int) -> NeighborContext:
    """The control: every target gets the neighbors of another one with their relations, none its own.

    A neighbor that is the target itself is taken out. With one target there is nobody to swap with,
    and its row comes back empty.
    """
    count = len(context.targets)
    order = np.random.default_rng(seed).permutation(count)
    donors = np.empty(count, np.int64)
    donors[order] = np.roll(order, 1)
    given = replace(context.take(donors), targets=context.targets)
    own = (given.neighbors == given.targets[:, None]) | (donors == np.arange(count))[:, None]
    return given.keep(given.present & ~own)
