"""The contracts of samplers: of neighbors, and of scene graphs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from graphcond.attributed_graph import AttributedGraph, LazyRows
from graphcond.context import NeighborContext, SceneContext
from graphcond.progress import Progress
from graphcond.samplers.config import NeighborSamplerConfig
from graphcond.samplers.ranking import choosable
from graphcond.scene_graph import SceneGraph


class NeighborSampler(ABC):
    """Chooses, for each target node, the neighbors that matter for its picture.

    A sampler does not change the graph, and never returns the target itself or a forbidden node. Given
    generators in the same state, its answer for a target does not depend on the batch. Of nodes with the
    same score the one with the lower row comes first.
    """

    makes: ClassVar = NeighborContext
    """The context that this family of samplers makes."""

    averages: bool = False
    """True if encoders read means of neighbors, made by `read`, instead of the neighbors."""

    @abstractmethod
    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose neighbors for ``targets`` (rows of the node table), best first.

        Raises:
            InputError: a target is not a row of the graph.
        """

    def read(
        self, context: NeighborContext, table: Float[np.ndarray, "nodes d"] | LazyRows
    ) -> tuple[Float32[np.ndarray, "b n d"], Bool[np.ndarray, "b n"]]:
        """The features that encoders read: the embedding of each neighbor, unless the sampler ``averages``.

        Args:
            context: neighbors that this sampler chose.
            table: the embeddings of all nodes.

        Returns:
            The embeddings, zero where a neighbor is absent, and a mask of those that are present.
        """
        rows = np.zeros((*context.neighbors.shape, table.shape[1]), np.float32)
        rows[context.present] = table[context.neighbors[context.present]]
        return rows, context.present


DEFAULT = NeighborSamplerConfig.model_construct()


class ChoosingSampler(NeighborSampler):
    """A sampler that chooses among the nodes which may be returned.

    Args:
        graph: where neighbors come from.
        neighbors: how many to choose at most.
        require_picture: choose only nodes that have a picture.
        forbidden: rows that are never chosen; walks may pass through them.

    Raises:
        InputError: a forbidden row does not exist, or the graph lacks what the sampler reads.
    """

    def __init__(
        self,
        graph: AttributedGraph,
        *,
        neighbors: int = DEFAULT.neighbors,
        require_picture: bool = DEFAULT.require_picture,
        forbidden: Int64[np.ndarray, " f"] | None = None,
    ) -> None:
        self.check_graph(graph)
        self._graph, self._neighbors = graph, neighbors
        self._allowed = choosable(graph, forbidden, require_picture=require_picture)

    def check_graph(self, graph: AttributedGraph) -> None:
        """Check that the graph has what the sampler reads.

        Raises:
            InputError: it has not.
        """


class SceneSampler(ABC):
    """Chooses, for each scene graph, the part that a model reads.

    A sampler does not change a graph. Given generators in the same state, its answer for a scene does not
    depend on the batch.
    """

    makes: ClassVar = SceneContext
    """The context that this family of samplers makes."""

    @abstractmethod
    def sample(self, scenes: Sequence[SceneGraph], generator: np.random.Generator | None) -> SceneContext:
        """Choose the part of each scene to keep; without ``generator`` the choice is deterministic."""


def sample_all(
    sampler: NeighborSampler,
    targets: Int64[np.ndarray, " b"],
    generator: np.random.Generator,
    *,
    batch: int = 1024,
    progress: Progress | None = None,
) -> NeighborContext:
    """Sample for many targets in batches; the answer does not depend on the size of a batch.

    Args:
        sampler: the sampler to ask.
        targets: rows of the node table.
        generator: draws the seed, which is the same for all batches.
        batch: targets per call of the sampler.
        progress: called after each batch with the number of targets done and of all.
    """
    seed = int(generator.integers(2**63))
    parts = []
    for start in range(0, max(len(targets), 1), batch):
        parts.append(sampler.sample(targets[start : start + batch], np.random.default_rng(seed)))
        if progress is not None:
            progress(min(start + batch, len(targets)), len(targets))
    return NeighborContext.join(parts)
