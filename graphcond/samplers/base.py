"""The contracts of samplers: of those that choose neighbors, and of those that read scene graphs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from graphcond.context import NeighborContext, SceneContext
from graphcond.scene_graph import SceneGraph


class NeighborSampler(ABC):
    """Chooses, for each target node, the neighbors that matter for its picture.

    A sampler does not change the graph, never returns the target itself nor a forbidden node, and
    gives the same answer for a target in whatever batch it comes, given generators in the same state.
    Of nodes with the same score the one with the lower row comes first.
    """

    makes: ClassVar = NeighborContext
    """The context that this family of samplers makes."""

    averages: bool = False
    """Whether encoders read means of neighbors in their place, as `read` makes them."""

    @abstractmethod
    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose neighbors for ``targets`` (rows of the node table), best first.

        Raises:
            InputError: a target is not a row of the graph.
        """

    def read(
        self, context: NeighborContext, table: Float[np.ndarray, "nodes d"]
    ) -> tuple[Float32[np.ndarray, "b n d"], Bool[np.ndarray, "b n"]]:
        """What encoders read of neighbors: the embedding of each, unless the sampler ``averages``.

        Args:
            context: neighbors that this sampler chose.
            table: the embeddings of all nodes.

        Returns:
            The embeddings, zero where there is none, and where there is one.
        """
        rows = np.asarray(table[np.where(context.present, context.neighbors, 0)], np.float32)
        rows[~context.present] = 0.0
        return rows, context.present


class SceneSampler(ABC):
    """Chooses, for each scene graph, the part that a model reads.

    A sampler does not change a graph, and gives the same answer for a scene in whatever batch it comes,
    given generators in the same state.
    """

    makes: ClassVar = SceneContext
    """The context that this family of samplers makes."""

    @abstractmethod
    def sample(self, scenes: Sequence[SceneGraph], generator: np.random.Generator | None) -> SceneContext:
        """Choose what to keep of each scene; without ``generator`` nothing is left to chance."""


def sample_all(
    sampler: NeighborSampler,
    targets: Int64[np.ndarray, " b"],
    generator: np.random.Generator,
    *,
    batch: int = 1024,
    progress: Callable[[int], object] | None = None,
) -> NeighborContext:
    """Sample for many targets in batches; the answer does not depend on the size of a batch.

    Args:
        sampler: who answers.
        targets: rows of the node table.
        generator: draws the one seed that all batches share.
        batch: targets per call of the sampler.
        progress: called after each batch with the number of targets that it answered.
    """
    seed = int(generator.integers(2**63))
    parts = []
    for start in range(0, max(len(targets), 1), batch):
        parts.append(sampler.sample(targets[start : start + batch], np.random.default_rng(seed)))
        if progress is not None:
            progress(len(parts[-1].targets))
    return NeighborContext.join(parts)
